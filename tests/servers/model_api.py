"""A model API as it stands behind the gateway, with the answers that a test has written for it.

It speaks Responses (JSON, events, WebSocket) and Chat Completions (JSON, events), keeps what it got, and asks nobody
who they are. It runs in a thread of the test's own process, on a free port of the loopback.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.protocols.http.dialects.streams import (
    CHAT_USAGE,
    USAGE,
    call_events,
    chat_calls,
    chat_document,
    chat_text,
    function_call,
    message,
    response,
    response_stream,
    sse,
    text_events,
)
from tests.servers.threaded import ThreadedServer

Event = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of a function; ``pieces`` are its arguments as they are streamed."""

    name: str
    pieces: Sequence[str]
    call_id: str = "call_1"


@dataclass
class Turn:
    """One answer: a text, in these pieces, and then calls. ``status`` other than 200 is an error instead.

    With ``pause_after``, a stream stops behind so many events until ``go_on`` is set; ``left`` is set when the client
    is gone before.
    """

    pieces: Sequence[str] = ()
    calls: Sequence[Call] = ()
    status: int = 200
    items: Sequence[Event] = ()
    """Further items of the output, as of hosted tools."""
    pause_after: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    paused: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def response_events(self) -> list[Event]:
        parts = [list(text_events(self.pieces))] if self.pieces else []
        for number, call in enumerate(self.calls, len(parts)):
            parts.append(list(call_events(call.pieces, number, call.name, call.call_id)))
        return response_stream(*parts, output=self.output)

    def chat_events(self) -> list[Event]:
        calls = [(call.name, call.pieces) for call in self.calls]
        events = list(chat_text(self.pieces) if not calls else chat_calls(calls))
        return [*events, {**events[0], "choices": [], "usage": CHAT_USAGE}]

    @property
    def output(self) -> list[Event]:
        texts = [message("".join(self.pieces))] if self.pieces else []
        return [
            *texts,
            *(function_call("".join(call.pieces), call.name, call.call_id) for call in self.calls),
            *self.items,
        ]

    def response(self) -> Event:
        return response(*self.output, usage=USAGE)

    def chat(self) -> Event:
        return chat_document("".join(self.pieces), [(call.name, "".join(call.pieces)) for call in self.calls])


@dataclass(frozen=True)
class Asked:
    """One request as the API saw it; a message over WebSocket has the method ``WS``. Names of fields are small."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ModelApi(ThreadedServer):
    """A context manager. ``turns`` are answered in order; when they are used up, every answer is ``ok``.

    With a context it speaks TLS.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.turns: list[Turn] = []
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def begin(self, *turns: Turn) -> None:
        """Forget what was asked, and answer like this from here on."""
        self.asked.clear()
        self.turns[:] = turns

    def go_on(self, turn: Turn) -> None:
        """Let a stream that is paused go on."""
        self.loop.call_soon_threadsafe(turn.go_on.set)

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def new_runner(self) -> web.BaseRunner:
        application = web.Application(client_max_size=64 << 20)
        application.router.add_get("/v1/responses", self._messages)
        application.router.add_post("/v1/responses", self._responses)
        application.router.add_post("/v1/chat/completions", self._chat)
        application.router.add_route("*", "/{rest:.*}", self._anything)
        return web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)

    async def _ask(self, request: web.Request) -> Event:
        body = await request.read()
        self._keep(request, request.method, body)
        return dict(json.loads(body)) if body else {}

    def _keep(self, request: web.Request, method: str, body: bytes) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(method, request.raw_path, headers, body))

    def _turn(self) -> Turn:
        return self.turns.pop(0) if self.turns else Turn(("ok",))

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, Turn.response, Turn.response_events, named=True)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, Turn.chat, Turn.chat_events, named=False)

    async def _answer(
        self,
        request: web.Request,
        document: Callable[[Turn], Event],
        events: Callable[[Turn], list[Event]],
        *,
        named: bool,
    ) -> web.StreamResponse:
        asked = await self._ask(request)
        turn = self._turn()
        if turn.status != 200:
            error = {"error": {"message": "the model is on strike", "type": "server_error", "code": None}}
            return web.json_response(error, status=turn.status)
        if not asked.get("stream"):
            return web.json_response(document(turn))
        return await self._stream(request, turn, _written(events(turn), named))

    async def _stream(self, request: web.Request, turn: Turn, events: Iterable[bytes]) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        try:
            async for event in _paced(turn, events):
                await stream.write(event)
        except (ConnectionError, asyncio.CancelledError):
            turn.left.set()
            raise
        return stream

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await self._anything(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for said in socket:
            if said.type is WSMsgType.TEXT:
                self._keep(request, "WS", said.data.encode())
                turn = self._turn()
                async for event in _paced(turn, [json.dumps(one).encode() for one in turn.response_events()]):
                    await socket.send_str(event.decode())
        return socket

    async def _anything(self, request: web.Request) -> web.StreamResponse:
        self._keep(request, request.method, await request.read())
        if request.path == "/v1/embeddings":
            return web.json_response({"object": "list", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}})
        return web.json_response({"error": {"message": "not found"}}, status=404)


def _written(events: Iterable[Event], named: bool) -> Iterator[bytes]:
    for event in events:
        yield sse([event], named=named)
    if not named:
        yield b"data: [DONE]\n\n"


async def _paced(turn: Turn, events: Iterable[bytes]) -> AsyncIterator[bytes]:
    for number, event in enumerate(events, 1):
        yield event
        if number == turn.pause_after:
            turn.paused.set()
            await turn.go_on.wait()
