"""Puts the gateway together: the only room that knows all others. Only ``__main__`` imports it."""
