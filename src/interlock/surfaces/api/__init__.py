"""The HTTP API: every command of ``core.administration`` as one route, and a stream of what happens.

application      the ASGI application: everything below, put together
gate             what holds for every request: bounds, headers, no error without an answer
authentication   who asks: an account of this machine, or a bearer token
limits           how often
routes           commands from the table
events           the event stream
problems         errors as RFC 9457 has them
openapi          the description, from the commands' types
serving          connections: the Unix socket, TCP with TLS
local_socket     the Unix socket's file, and who is at its other end

Decides nothing: who may do what, ``services.authority`` says, and it is asked by what carries commands out.
"""
