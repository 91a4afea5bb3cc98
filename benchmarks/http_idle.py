"""Connections that are kept alive and say nothing: what each of them costs the way in the middle in memory."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.http_origin import CLOSING, SMALL
from benchmarks.http_ways import HttpWay, allow_files
from benchmarks.processes import resident_kib

IDLE: Final = 10_000
_WARM_UP: Final = 100
_SPARE_FILES: Final = 500
_END: Final = b"x" * 16


def idle_count(wanted: int = IDLE) -> int:
    """As many as wanted, or as the system permits a process to have open."""
    return min(wanted, allow_files() - _SPARE_FILES)


def idle_kib(way: HttpWay, count: int) -> float:
    """Growth of the resident memory for each connection that has had an answer and whose target has closed its end.

    Some come and go first, so that what is allocated once does not count. Measure a fresh process: one that has
    served many before keeps their memory for reuse and seems to need none.
    """
    return _growth_kib(way, count, CLOSING)


def idle_with_target_kib(way: HttpWay, count: int) -> float:
    """The same where the target has kept its end open, too."""
    return _growth_kib(way, count // 2, SMALL)


def _growth_kib(way: HttpWay, count: int, path: str) -> float:
    assert way.pid is not None
    request = _request(way, path)
    with _connections(way.port, request, _WARM_UP):
        pass
    before = resident_kib(way.pid)
    with _connections(way.port, request, count):
        return (resident_kib(way.pid) - before) / count


def _request(way: HttpWay, path: str) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in way.headers().items())
    return f"GET {way.prefix}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode()


@contextmanager
def _connections(port: int, request: bytes, count: int) -> Iterator[None]:
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            opened.append(_answered(port, request))
        yield
    finally:
        for connection in opened:
            connection.close()


def _answered(port: int, request: bytes) -> socket.socket:
    """A connection on which one request was answered."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(request)
    received = b""
    while not received.endswith(_END):
        more = connection.recv(65536)
        if not more:
            raise RuntimeError(f"the connection was closed after {received[:200]!r}")
        received += more
    return connection
