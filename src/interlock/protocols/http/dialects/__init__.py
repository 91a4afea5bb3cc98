"""What requests mean, in the API languages that the gateway reads. A new one is a module and a line in ``registry``."""
