"""An HTTP server as it stands behind the gateway: answers as it is told to, and keeps what it got.

It runs in a thread of the test's own process, on a free port of the loopback. It speaks HTTP/1.1, with TLS when it is
given a context.
"""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from tests.servers.threaded import ThreadedServer


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


class HttpService(ThreadedServer):
    """A context manager. ``handlers`` answer by path; what has none is echoed as JSON."""

    def __init__(self, tls: ssl.SSLContext | None = None, /, **handlers: Handler) -> None:
        self.handlers: dict[str, Handler] = {f"/{name}": handler for name, handler in handlers.items()}
        self.received: list[Received] = []
        super().__init__(tls)

    def new_runner(self) -> web.ServerRunner:
        return web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.BaseRequest)
        body = await request.content.read()  # not bounded, unlike read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.method, request.raw_path, headers, body))
        handler = self.handlers.get(request.path, _echo)
        return await handler(request, body)  # type: ignore[arg-type]
