"""A real MCP server, as its SDK has it, whose tools a test can change while it runs; it keeps what it was sent.

It runs in a thread of the test's own process, on a free port of the loopback. Clients of version 2026-07-28 and of
those before it, with sessions, are served at ``/mcp``.
"""

import asyncio
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings

LOOKUP = "Looks a customer up."


@dataclass(frozen=True)
class Received:
    """One request as the server saw it. Names of headers are in lower case."""

    method: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


class McpTarget:
    """A context manager. ``calls`` are the calls that tools got, as name and argument.

    A call about ``FOREVER`` does not end by itself: ``waiting`` is set then, and ``left`` once its client has left.
    """

    FOREVER = "forever"

    def __init__(self, *, json_response: bool = False) -> None:
        self.waiting = threading.Event()
        self.left = threading.Event()
        self.calls: list[tuple[str, str]] = []
        self.received: list[Received] = []
        self._server = MCPServer("target")
        self.describe("lookup", LOOKUP)
        self.describe("delete", "Deletes a customer.")
        self._server.add_tool(self._ask, "ask", description="Asks the client's user.")
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        app = self._server.streamable_http_app(json_response=json_response, transport_security=security)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(_Recorder(app, self.received), log_level="error", timeout_graceful_shutdown=1)
        self._started = threading.Event()
        self._uvicorn = _Uvicorn(config, self._started)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(20)
        self._socket.close()

    def describe(self, name: str, description: str) -> None:
        """Have a tool of this name, described like this."""

        async def run(customer: str) -> str:
            self.calls.append((name, customer))
            if customer == self.FOREVER:
                await self._wait()
            return f"{name} of {customer}: ada@example.com"

        if any(tool.name == name for tool in self._server._tool_manager.list_tools()):
            self._server.remove_tool(name)
        self._server.add_tool(run, name, description=description)

    async def _ask(self, customer: str, ctx: Context[Any]) -> str:
        self.calls.append(("ask", customer))
        await ctx.info("asking")
        return "asked"

    async def _wait(self) -> None:
        self.waiting.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.left.set()

    def _run(self) -> None:
        asyncio.run(self._uvicorn.serve(sockets=[self._socket]))


class _Uvicorn(uvicorn.Server):
    """Says when it has begun to listen."""

    def __init__(self, config: uvicorn.Config, started_event: threading.Event) -> None:
        super().__init__(config)
        self._started_event = started_event

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started_event.set()


class _Recorder:
    """Keeps requests on their way into an application."""

    def __init__(self, app: Any, received: list[Received]) -> None:
        self._app = app
        self._received = received

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = b""

        async def recording() -> Any:
            nonlocal body
            message = await receive()
            if message["type"] == "http.request":
                body += message.get("body", b"")
                if not message.get("more_body"):
                    self._received.append(Received(scope["method"], headers, body))
            return message

        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        await self._app(scope, recording, send)
