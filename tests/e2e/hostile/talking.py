"""A client that sends bytes and reads bytes, and knows of HTTP only what it takes to tell answers apart."""

import functools
import re
import socket
from typing import Final

from tests.servers.gateway import GatewayServer

TIMEOUT_S: Final = 20
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3})[ \r]")
CANARY: Final = b"GET @P/canary HTTP/1.1\r\n@T\r\nConnection: close\r\n\r\n"
"""The last request of a connection: when it is answered, everything before it was."""


def written(request: bytes, gateway: GatewayServer, connection: str) -> bytes:
    """A request of the corpus as it is sent."""
    token = _token(gateway)
    path = f"/c/{connection}".encode()
    return request.replace(b"@P", path).replace(b"@T", b"Host: gateway\r\nAuthorization: Bearer " + token)


@functools.cache
def _token(gateway: GatewayServer) -> bytes:
    return gateway.token().encode()


def talk(gateway: GatewayServer, data: bytes) -> bytes:
    """Send bytes, and read until the gateway closes."""
    with socket.create_connection(("127.0.0.1", gateway.http_port), TIMEOUT_S) as client:
        client.sendall(data)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Everything until the other end closes."""
    parts = []
    while data := client.recv(1 << 18):
        parts.append(data)
    return b"".join(parts)


def statuses(answers: bytes) -> tuple[int, ...]:
    """The statuses of all final answers."""
    return tuple(status for status in map(int, _STATUS.findall(answers)) if status >= 200)
