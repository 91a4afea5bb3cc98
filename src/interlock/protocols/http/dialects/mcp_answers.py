"""Looks at what an MCP server answers, on its way to the client: lists of tools, and what the server asks for itself.

A tool that has not been reviewed is not shown. Each message is shown as a whole or not at all; what cannot be read as
one message with one meaning is never shown. What the server asks of the client (to run its model, to ask its user, for
its directories) is left out unless the settings let it through.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.core.tool import ToolDefinition, tool_definition
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.event_stream import EventStream, StreamEvent
from interlock.protocols.http.dialects.mcp_messages import (
    REFUSED,
    Malformed,
    Message,
    MessageKind,
    read_message,
    written,
)
from interlock.protocols.http.dialects.mcp_replies import error, tool_error

ASKED_OF_CLIENTS: Final = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""Requests of servers, by the name of the client's capability that they need."""

_WANTS_ELICITATION: Final = -32042

MAX_TOOLS: Final = 500
"""Tools in one answer; what is beyond is not shown."""

_NO_TOOLS: tuple[ToolDefinition, ...] = ()
_NOT_ASKED_FOR = "The MCP server asked this client for {}, which the gateway does not let through on this connection."
_PASSED_TYPES = frozenset({b"", b"message"})


class _Listing(msgspec.Struct):
    """A list of tools that waits for its review, and the event that it came in (None for a JSON body)."""

    message: Message
    tools: list[tuple[ToolDefinition, object]]
    event: StreamEvent | None


class McpAnswers:
    """One answer's body. Implements ``AnswerFilter``.

    While ``listed`` is not empty, everything waits for ``reviewed``.
    """

    usage: int = 0

    def __init__(self, stream: bool, call: bool, version: str, let_through: frozenset[str], max_bytes: int) -> None:
        """``call``: it is the answer to ``tools/call``. ``let_through``: what servers may ask of clients."""
        self._events = EventStream() if stream else None
        self._body = b""
        self._call = call
        self._version = version
        self._let_through = let_through
        self._max_bytes = max_bytes
        self._finished = False
        self._listing: _Listing | None = None

    @property
    def listed(self) -> tuple[ToolDefinition, ...]:
        """The tools that wait for ``reviewed``."""
        return _NO_TOOLS if self._listing is None else tuple(tool for tool, _ in self._listing.tools)

    def feed(self, data: bytes) -> bytes:
        """What may go on. Raises ``BodyRefused``."""
        if self._events is None:
            self._body += data
            self._bound(len(self._body))
            return b""
        self._events.feed(data)
        shown = b"" if self._listing is not None else self._next_events()
        self._bound(self._events.buffered)
        return shown

    def finish(self) -> bytes:
        """The rest; what came of an event that is not complete is dropped. Raises ``BodyRefused``."""
        self._finished = True
        if self._events is None and self._listing is None and self._body:
            body, self._body = self._body, b""
            return self._shown(body, None)
        return b""

    def reviewed(self, shown: Sequence[bool]) -> bytes:
        """What may go on once it is said which of ``listed`` may be shown. Raises ``BodyRefused``."""
        listing, self._listing = self._listing, None
        if listing is None or len(shown) != len(listing.tools):
            raise BodyRefused("the list of tools could not be reviewed")
        tools = [tool for (_, tool), show in zip(listing.tools, shown, strict=True) if show]
        result = {**listing.message.result, "tools": tools}
        if "cacheScope" in result:
            result["cacheScope"] = "private"  # another caller may see other tools
        return _rewritten({**listing.message.value, "result": result}, listing.event) + (
            self._next_events() if self._events is not None else b""
        )

    def _next_events(self) -> bytes:
        assert self._events is not None
        shown = []
        while self._listing is None and (event := self._events.next()) is not None:
            shown.append(self._event(event))
        return b"".join(shown)

    def _event(self, event: StreamEvent) -> bytes:
        """An event as it may be shown. Types that the transport does not have are dropped, as clients do."""
        if not event.data:
            return event.raw
        return self._shown(event.data, event) if event.type in _PASSED_TYPES else b""

    def _shown(self, text: bytes, event: StreamEvent | None) -> bytes:
        """A message as it may be shown, nothing while its tools wait for their review."""
        message = read_message(text)
        if isinstance(message, Malformed):
            raise BodyRefused(f"the MCP server answered with no message that can be passed on: {message.reason}")
        raw = text if event is None else event.raw
        if message.kind is MessageKind.REQUEST:
            return raw if self._passes(message.method) else b""
        if message.kind is MessageKind.NOTIFICATION:
            return raw
        if (asked := self._asked_with(message)) is not None:
            return _rewritten(self._instead(message, _NOT_ASKED_FOR.format(asked)), event)
        if "tools" not in message.result:
            return raw
        self._listing = _Listing(message, _definitions(message), event)
        return b"" if self._listing.tools else self.reviewed(())

    def _passes(self, method: str) -> bool:
        return method == "ping" or ASKED_OF_CLIENTS.get(method) in self._let_through

    def _asked_with(self, message: Message) -> str | None:
        """What an answer asks the client for and does not get, None for nothing.

        Results have ``inputRequests`` for that (2026-07-28), errors a code of their own (2025-11-25).
        """
        failure = message.value.get("error")
        if isinstance(failure, dict) and failure.get("code") == _WANTS_ELICITATION:
            return None if self._passes("elicitation/create") else "elicitation/create"
        asked = message.result.get("inputRequests")
        if not asked:
            return None
        methods = [one.get("method") if isinstance(one, dict) else None for one in _members(asked)]
        return next((str(one) for one in methods if not (isinstance(one, str) and self._passes(one))), None)

    def _instead(self, message: Message, text: str) -> dict[str, object]:
        return tool_error(message.id, self._version, text) if self._call else error(message.id, REFUSED, text)

    def _bound(self, held_bytes: int) -> None:
        if held_bytes > self._max_bytes:
            raise BodyRefused(f"the MCP server's message is longer than {self._max_bytes} bytes")


def _definitions(message: Message) -> list[tuple[ToolDefinition, object]]:
    """The tools of a list that can be shown at all, each name once."""
    tools = message.result["tools"]
    if not isinstance(tools, list):
        return []
    found: dict[str, tuple[ToolDefinition, object]] = {}
    for listed in tools[:MAX_TOOLS]:
        definition = tool_definition(listed) if isinstance(listed, dict) else None
        if definition is not None and definition.name not in found:
            found[definition.name] = definition, listed
    return list(found.values())


def _members(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else [None]


def _rewritten(value: dict[str, object], event: StreamEvent | None) -> bytes:
    text = written(value)
    return text if event is None else event.with_data(text)
