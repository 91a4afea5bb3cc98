"""The event stream, ``GET /v1/events``: server-sent events whose id is the ledger's sequence number.

A client that comes back with the id of the last event it had (``Last-Event-ID``, or ``after``) misses nothing and gets
nothing twice. One that does not read is cut off; so is one that loses its permission.
"""

import asyncio
import re
from collections import Counter
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from interlock.core.administration import Permission
from interlock.core.administration.evidence import LedgerEntry
from interlock.core.errors import InvalidCommand
from interlock.core.identity import Actor
from interlock.core.ledger import AdministrationChanged
from interlock.services.authority import Authority
from interlock.services.events import KINDS, Events
from interlock.services.ports import Clock, Ledger
from interlock.surfaces.api.authentication import Authentication
from interlock.surfaces.api.openapi import permission_note, responses
from interlock.surfaces.api.problems import RETRY_AFTER_S, RequestProblem
from interlock.surfaces.api.routes import answering, query_of

PATH: Final = "/v1/events"
PERMISSIONS: Final = (Permission.RESPOND, Permission.AUDIT, Permission.REVIEW)
ACTION: Final = "events.follow"

HEARTBEAT_S: Final = 15.0
CHECK_S: Final = 1.0
"""How often it is looked whether the listener may still listen."""
SEND_TIMEOUT_S: Final = 30.0
MAX_LIFE_S: Final = 3600.0
"""A stream ends then; the client comes back and proves anew who it is."""
MAX_STREAMS: Final = 64
MAX_STREAMS_EACH: Final = 8

_DESCRIPTION: Final = (
    "An event's name is the kind of its record, its id the entry's number in the ledger, its data the entry. "
    "With `after` or `Last-Event-ID` the stream goes on behind that entry."
)
_NUMBER: Final = re.compile(r"-1|[0-9]{1,18}")


class EventStreams:
    """Everything around the streams: who may have one, and how many there are."""

    def __init__(
        self, events: Events, authority: Authority, authentication: Authentication, ledger: Ledger, clock: Clock
    ) -> None:
        self.events = events
        self.clock = clock
        self._authority = authority
        self._authentication = authentication
        self._ledger = ledger
        self._open: Counter[str] = Counter()

    def add_to(self, app: FastAPI) -> None:
        """Answer on the application's path."""
        app.add_api_route(PATH, answering(self._answer), methods=["GET"], operation_id=ACTION, response_class=Response)

    def may_listen(self, actor: Actor) -> bool:
        """Whether the actor may listen, now. Raises OSError when there is no time."""
        ends_at_s = actor.principal.expires_at_s
        if ends_at_s is not None and ends_at_s <= self.clock.now_s():
            return False
        return not self._authority.permissions(actor).isdisjoint(PERMISSIONS)

    def opened(self, actor: Actor) -> None:
        """Count a stream. Raises RequestProblem when there are as many as there may be."""
        if self._open.total() >= MAX_STREAMS or self._open[actor.name] >= MAX_STREAMS_EACH:
            wait = {"Retry-After": str(RETRY_AFTER_S)}
            raise RequestProblem(503, "there are as many event streams as there may be", wait)
        self._open[actor.name] += 1

    def closed(self, actor: Actor) -> None:
        """Count one less."""
        self._open[actor.name] -= 1
        if not self._open[actor.name]:
            del self._open[actor.name]

    async def _answer(self, request: Request) -> Response:
        actor = await self._authentication.actor(request)
        await self._authority.require(PERMISSIONS, actor, ACTION)
        kinds, after = self._wanted(request)
        accepted = self._ledger.append(AdministrationChanged(actor.name, "evidence.read", "", ACTION))
        if accepted is not None:
            await accepted
        return _EventStream(self, actor, kinds, after)

    def _wanted(self, request: Request) -> tuple[frozenset[str], int]:
        """Which kinds, behind which entry. Raises InvalidCommand."""
        query = query_of(request)
        for name, _ in query:
            if name not in ("kind", "after"):
                raise InvalidCommand(f"unknown query parameter {name[:100]!r}; allowed: kind, after")
        kinds = frozenset(value for name, value in query if name == "kind") or frozenset(KINDS)
        if unknown := sorted(kinds - set(KINDS)):
            raise InvalidCommand(f"unknown kind {unknown[0][:100]!r}; allowed: {', '.join(KINDS)}")
        given = [value for name, value in query if name == "after"]
        last = request.headers.get("last-event-id", "") or (given[-1] if given else "")
        return kinds, self._place(last)

    def _place(self, text: str) -> int:
        """The entry to go on behind. Raises InvalidCommand."""
        if not text:
            return self.events.last
        if not _NUMBER.fullmatch(text):
            raise InvalidCommand("after, or Last-Event-ID, is the number of an entry; -1 stands before the first")
        if int(text) > self.events.last:
            raise InvalidCommand(f"there is no entry {int(text)} yet; the newest is {self.events.last}")
        return int(text)


class _EventStream(Response):
    """One listener's stream."""

    def __init__(self, streams: EventStreams, actor: Actor, kinds: frozenset[str], after: int) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self._streams = streams
        self._actor = actor
        self._kinds = kinds
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.opened(self._actor)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._stream(Request(scope, receive), send)
        finally:
            self._streams.closed(self._actor)

    async def _stream(self, request: Request, send: Send) -> None:
        clock = self._streams.clock
        closing: asyncio.Event = request.scope["state"]["closing"]
        began_s = checked_s = spoke_s = clock.monotonic_s()
        await _say(send, f"retry: 2000\nid: {self._after}\n\n".encode())
        async for batch in self._streams.events.follow(self._after, self._kinds):
            now_s = clock.monotonic_s()
            if batch.events or now_s - checked_s >= CHECK_S:
                checked_s = now_s
                if not self._streams.may_listen(self._actor) or now_s - began_s >= MAX_LIFE_S:
                    break
                if await request.is_disconnected():
                    return
            if closing.is_set():
                break
            if batch.events or now_s - spoke_s >= HEARTBEAT_S:
                spoke_s = now_s
                await _say(send, b"".join(map(_event, batch.events)) or _heartbeat(batch.position))
        await _say(send, b"", more=False)


def _event(event: LedgerEntry) -> bytes:
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.kind.encode(), event.sequence, msgspec.json.encode(event))


def _heartbeat(position: int) -> bytes:
    """A sign of life, which is no event; whoever comes back after it need not have older entries looked at again."""
    return b": heartbeat\nid: %d\n\n" % position


async def _say(send: Send, data: bytes, *, more: bool = True) -> None:
    """Send, and be patient for so long only. Raises TimeoutError."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await send({"type": "http.response.body", "body": data, "more_body": more})


def describe_events() -> dict[str, Any]:
    """The stream's path item for the description of the API."""
    kind = {"type": "array", "items": {"enum": list(KINDS)}, "uniqueItems": True}
    after = {"type": "string", "pattern": "^(-1|[0-9]{1,18})$"}
    parameters = [
        {"name": "kind", "in": "query", "required": False, "schema": kind, "explode": True},
        {"name": "after", "in": "query", "required": False, "schema": after},
        {"name": "Last-Event-ID", "in": "header", "required": False, "schema": after},
    ]
    return {
        "get": {
            "operationId": ACTION,
            "tags": ["events"],
            "summary": "What happens, as it happens, as server-sent events.",
            "description": f"{_DESCRIPTION} {permission_note(PERMISSIONS)}",
            "parameters": parameters,
            "responses": responses({"text/event-stream": {"schema": {"type": "string"}}}),
            "x-permissions": [permission.value for permission in PERMISSIONS],
        }
    }
