"""What is claimed about speed and memory, runnable. Each module prints its figures and ends with one JSON object."""
