"""The Model Context Protocol over HTTP (streamable HTTP transport, versions 2025-03-26 to 2026-07-28).

``mcp_messages``, ``mcp_headers`` read a request, ``mcp_meaning`` says what it asks for, ``mcp_replies`` refuses it,
``mcp_answers`` looks at what comes back. The connection has nothing but the MCP server: other paths are refused, as a
server may take them for another spelling of its own. Neither batches nor the transport of 2024-11-05, with its separate
stream, are carried.
"""

from typing import Final

import msgspec

from interlock.core.denial import Denial
from interlock.core.masking import Masking
from interlock.core.operation import Meaning
from interlock.core.settings import HttpTarget
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects import mcp_replies
from interlock.protocols.http.dialects.base import AnswerFilter, Reading, Reply, Request
from interlock.protocols.http.dialects.mcp_answers import ASKED_OF_CLIENTS, McpAnswers
from interlock.protocols.http.dialects.mcp_headers import disagreement, version_of
from interlock.protocols.http.dialects.mcp_meaning import (
    CALL,
    bound_part,
    meaning_of,
    meaning_of_malformed,
    meaning_without_message,
)
from interlock.protocols.http.dialects.mcp_messages import (
    CAPABILITIES_IN_META,
    INVALID_REQUEST,
    Malformed,
    Message,
    MessageKind,
    read_message,
    written,
)
from interlock.protocols.http.wire.messages import ResponseHead

_NO_MESSAGE: Final = Malformed(INVALID_REQUEST, "An MCP request is a POST of one JSON message.", status=405)
_NOT_JSON: Final = Malformed(INVALID_REQUEST, "An MCP message has the content type application/json.", status=415)
_TOO_LONG: Final = Malformed(INVALID_REQUEST, "The message is longer than the gateway holds to read it.", status=413)
_ELSEWHERE: Final = Malformed(INVALID_REQUEST, "There is no MCP server at this path of the connection.", status=404)
_QUERY: Final = Malformed(INVALID_REQUEST, "The address of an MCP server has no query.")
_UNASKED: Final = Malformed(
    INVALID_REQUEST, "The MCP server may not ask this client for anything, so this is no answer."
)


class Asked(msgspec.Struct, frozen=True):
    """What the dialect remembers of a request: ``note`` of its reading."""

    accept: bytes
    message: Message | None = None
    problem: Malformed | None = None
    version: str = ""


class McpDialect:
    """MCP on one connection. Implements ``Dialect``."""

    def __init__(self, settings: HttpTarget) -> None:
        self._paths = frozenset(settings.mcp_paths)
        self._let_through = frozenset(one.value for one in settings.server_requests)
        self._max_bytes = settings.max_held_bytes

    def wants_body(self, request: Request) -> bool:
        return request.method == "POST"

    def read(self, request: Request, masking: Masking | None) -> Reading:
        accept = b",".join(value for name, value in request.headers if name == b"accept")
        message = _message_in(request) if request.path in self._paths else _ELSEWHERE
        if isinstance(message, Malformed):
            return _refused(request, accept, message)
        version = version_of(request.headers, message)
        if isinstance(version, Malformed):
            return _refused(request, accept, version)
        if message is None:
            return Reading(meaning_without_message(request), note=Asked(accept, version=version))
        meaning = self._checked(request, message, version)
        if isinstance(meaning, Malformed):
            return _refused(request, accept, meaning)
        note = Asked(accept, message, version=version)
        return Reading(meaning, body=self._with_fewer_capabilities(message), note=note, bound=bound_part(message))

    def refuse(self, request: Request, reading: Reading, denial: Denial, link: str, approval: str = "") -> Reply | None:
        asked = _asked(reading)
        if asked.problem is not None:
            return mcp_replies.malformed(asked.problem, asked.accept)
        message = asked.message
        if message is None or message.kind is not MessageKind.REQUEST:
            return None
        if message.method == CALL:
            text = mcp_replies.sentence(denial, link)
            return mcp_replies.reply(mcp_replies.tool_error(message.id, asked.version, text), asked.accept)
        return mcp_replies.refused(message.id, denial, link, asked.accept)

    def answer(
        self, request: Request, reading: Reading, head: ResponseHead, masking: Masking | None
    ) -> AnswerFilter | None:
        asked = _asked(reading)
        kind = _content_type(head)
        stream = kind == b"text/event-stream"
        if not stream and kind != b"application/json":
            return _NoBody() if head.status < 400 else None
        called = asked.message is not None and asked.message.method == CALL
        return McpAnswers(stream, called, asked.version, self._let_through, self._max_bytes)

    def _checked(self, request: Request, message: Message, version: str) -> Meaning | Malformed:
        if (problem := disagreement(request.headers, message, version)) is not None:
            return problem
        if message.kind is MessageKind.RESULT and message.result and not self._let_through:
            return _UNASKED
        return meaning_of(request, message)

    def _with_fewer_capabilities(self, message: Message) -> bytes | None:
        """The message without what the server may not ask for, so that it does not; None when it is as it came."""
        refused = frozenset(ASKED_OF_CLIENTS.values()) - self._let_through
        meta = message.params.get("_meta")
        params = _without(message.params, "capabilities", refused) if message.method == "initialize" else None
        if isinstance(meta, dict) and (fewer := _without(meta, CAPABILITIES_IN_META, refused)) is not None:
            params = {**(params or message.params), "_meta": fewer}
        return None if params is None else written({**message.value, "params": params})


class _NoBody:
    """For an answer that MCP does not have. Implements ``AnswerFilter``."""

    usage: int = 0
    listed = ()

    def feed(self, data: bytes) -> bytes:
        if data:
            raise BodyRefused("the MCP server answered with neither JSON nor an event stream")
        return b""

    def finish(self) -> bytes:
        return b""

    def reviewed(self, shown: object) -> bytes:
        return b""


def _asked(reading: Reading) -> Asked:
    assert isinstance(reading.note, Asked)
    return reading.note


def _message_in(request: Request) -> Message | Malformed | None:
    """The message of a request, None for a GET or DELETE, which have none."""
    if request.query:
        return _QUERY
    if request.method in ("GET", "DELETE"):
        return _NO_MESSAGE if request.has_body else None
    if request.method != "POST":
        return _NO_MESSAGE
    if request.content_type != "application/json":
        return _NOT_JSON
    if request.body is None:
        return _TOO_LONG if request.has_body else _NO_MESSAGE
    return read_message(request.body)


def _refused(request: Request, accept: bytes, problem: Malformed) -> Reading:
    return Reading(meaning_of_malformed(request, problem), note=Asked(accept, problem=problem))


def _without(holder: object, key: str, names: frozenset[str]) -> dict[str, object] | None:
    """A mapping with fewer members in one of its members; None when there are none of them."""
    assert isinstance(holder, dict)
    inner = holder.get(key)
    if not isinstance(inner, dict) or names.isdisjoint(inner):
        return None
    return {**holder, key: {name: value for name, value in inner.items() if name not in names}}


def _content_type(head: ResponseHead) -> bytes:
    value = next((value for name, value in head.headers if name == b"content-type"), b"")
    return value.partition(b";")[0].strip().lower()
