"""The same visit to an HTTP server with one client library after the other.

Each module has ``visit(base, headers)``, which does with its client what people do with it, and returns what came of
it: a list that must be the same whatever is between client and server.
"""
