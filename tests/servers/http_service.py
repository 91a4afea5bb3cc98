"""An HTTP server as it stands behind the gateway: answers as it is told to, and keeps what it got.

It runs in a thread of the test's own process, on a free port of the loopback. It speaks HTTP/1.1, with TLS when it is
given a context.
"""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One request as the server saw it. Names of fields are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


Handler = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


async def _echo(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response({"method": request.method, "path": request.raw_path, "body": body.decode("latin-1")})


class HttpService:
    """A context manager. ``handlers`` answer by path; what has none is echoed as JSON."""

    def __init__(self, tls: ssl.SSLContext | None = None, /, **handlers: Handler) -> None:
        self.handlers: dict[str, Handler] = {f"/{name}": handler for name, handler in handlers.items()}
        self.received: list[Received] = []
        self.port = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        server = web.Server(self._answer)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.BaseRequest)
        body = await request.content.read()  # not bounded, unlike read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.method, request.raw_path, headers, body))
        handler = self.handlers.get(request.path, _echo)
        return await handler(request, body)  # type: ignore[arg-type]
