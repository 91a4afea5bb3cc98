"""A Django application with two models, for the client matrix."""
