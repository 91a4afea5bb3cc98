"""The web server behind all ways: nginx with files, and services in Python behind it for what comes piece by piece."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web
from tests.servers.http_service import HttpService
from tests.servers.nginx import Nginx
from tests.servers.websocket_echo import WebSocketEcho

SMALL: Final = "/small.txt"
BIG: Final = "/big.json"
SINK: Final = "/sink"
"""Takes a body and answers when it has the whole of it."""
CLOSING: Final = "/closing"
"""Answers, and ends the connection."""
EVENTS: Final = "/events"
SOCKET: Final = "/echo"

MAX_CONNECTIONS: Final = 24_000
STREAMED: Final = "proxy_http_version 1.1; proxy_buffering off; proxy_set_header Upgrade $http_upgrade;"
"""Directives of a proxy that passes everything on as it comes."""
EVENTS_PER_STREAM: Final = 200

_SMALL_BYTES: Final = 1024
_PAUSE_S: Final = 0.005
_RECORD: Final = {
    "id": 0,
    "name": "Ada Lovelace",
    "email": "",
    "city": "London",
    "amount": 12.5,
    "note": "agreed " * 16,
}
_DIRECTIVES: Final = f"""
location = {SINK} {{ proxy_pass http://127.0.0.1:%(sink)d; proxy_pass_request_body off;
    proxy_set_header Content-Length ""; }}
location = {CLOSING} {{ keepalive_timeout 0; default_type text/plain; return 200 "{"x" * 16}"; }}
location = {EVENTS} {{ proxy_pass http://127.0.0.1:%(events)d; {STREAMED} }}
location = {SOCKET} {{ proxy_pass http://127.0.0.1:%(socket)d; {STREAMED} proxy_set_header Connection upgrade; }}
"""


@contextmanager
def open_origin(big_bytes: int) -> Iterator[int]:
    """Run it until the block ends; its port. The large document has at least ``big_bytes`` bytes."""
    with HttpService(events=_tell_time) as events, WebSocketEcho() as echo, Nginx(server="return 204;") as sink:
        server = _DIRECTIVES % {"events": events.port, "socket": echo.port, "sink": sink.port}
        files = {SMALL[1:]: b"x" * _SMALL_BYTES, BIG[1:]: big_document(big_bytes)}
        with Nginx(server=server, files=files, connections=MAX_CONNECTIONS) as origin:
            yield origin.port


def big_document(size: int) -> bytes:
    """A JSON array of records, each with an address that is masked, of at least ``size`` bytes."""
    first = json.dumps(_RECORD).encode()
    records = (
        json.dumps(_RECORD | {"id": number, "email": f"customer{number}@example.com"}).encode()
        for number in range(size // len(first) + 1)
    )
    return b"[" + b",\n".join(records) + b"]"


async def _tell_time(request: web.Request, body: bytes) -> web.StreamResponse:
    """Events that hold the time when they were sent, in nanoseconds."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for _ in range(EVENTS_PER_STREAM):
        await answer.write(b"data: %d\n\n" % time.monotonic_ns())
        await asyncio.sleep(_PAUSE_S)
    await answer.write_eof()
    return answer
