"""WebSocket between a client and a target (RFC 6455, RFC 7692): the gateway is a peer of its own to each of them.

``handshake`` reads the client's request, makes the one for the target and checks what comes back. After the target's
101, and never before, ``relay`` takes the bytes of both sides. Nothing in here does I/O.
"""
