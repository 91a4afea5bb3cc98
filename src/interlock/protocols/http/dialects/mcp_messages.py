"""Messages of the Model Context Protocol: JSON-RPC 2.0, one in a body, with one meaning.

A message that two servers could read differently is none: a member that is not of JSON-RPC, or a name that is written
almost as one that counts (some JSON libraries do not tell upper from lower case). Batches, which version 2025-03-26
had, are refused.
"""

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from interlock.protocols.http.dialects.json_facts import BodyRejected, parse_json

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022
REFUSED: Final = -32000
"""For what policy denies; JSON-RPC leaves -32000 to -32099 to servers."""

VERSIONS: Final = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
"""The versions that have the streamable HTTP transport."""
FIRST_STATELESS: Final = "2026-07-28"

VERSION_IN_META: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_IN_META: Final = "io.modelcontextprotocol/clientCapabilities"

_MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_COUNTING = frozenset({"name", "uri", "arguments", "_meta", "cursor", "ref", "argument"})
"""Parameters that say what a request is about."""

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_CANONICAL: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")
NOTHING: Mapping[str, object] = MappingProxyType({})


class MessageKind(enum.Enum):
    """What JSON-RPC has."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESULT = "result"
    ERROR = "error"


class Message(msgspec.Struct, frozen=True):
    """One message. ``id`` is None exactly for a notification, ``method`` empty for an answer.

    ``value`` is the whole of it as it was read.
    """

    kind: MessageKind
    value: Mapping[str, object]
    id: str | int | None = None
    method: str = ""
    params: Mapping[str, object] = NOTHING

    @property
    def meta(self) -> Mapping[str, object]:
        """``params._meta``; empty when there is none."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else NOTHING

    @property
    def result(self) -> Mapping[str, object]:
        """``result``; empty when it is no object."""
        result = self.value.get("result")
        return result if isinstance(result, dict) else NOTHING


class Malformed(msgspec.Struct, frozen=True):
    """Why something is no message that can be passed on: a sentence, with the code of JSON-RPC for it."""

    code: int
    reason: str
    status: int = 400
    id: str | int | None = None
    data: object = None


def read_message(body: bytes) -> Message | Malformed:
    """The one message in a body."""
    try:
        value = parse_json(body)
        written(value)
    except BodyRejected as error:
        return Malformed(PARSE_ERROR, str(error))
    except UnicodeEncodeError:
        return Malformed(PARSE_ERROR, "The body has half a surrogate pair, which is no text.")
    if isinstance(value, list):
        return Malformed(INVALID_REQUEST, "Batches are not accepted: send one message in a body.")
    if not isinstance(value, dict):
        return Malformed(INVALID_REQUEST, "The body is no JSON-RPC message.")
    return _message(value)


def _message(value: dict[str, object]) -> Message | Malformed:
    identity = value.get("id")
    if isinstance(identity, bool) or not isinstance(identity, str | int | None):
        return Malformed(INVALID_REQUEST, "The id of a message is a string or an integer.")
    if value.get("jsonrpc") != "2.0" or not _MEMBERS.issuperset(value):
        reason = 'A message has "jsonrpc": "2.0" and no members besides those of JSON-RPC.'
        return Malformed(INVALID_REQUEST, reason, id=identity)
    answers = [name for name in ("result", "error") if name in value]
    if "method" not in value:
        return _answer(value, identity, answers)
    method, params = value["method"], value.get("params", {})
    if answers or not isinstance(method, str) or not method or not isinstance(params, dict):
        return Malformed(INVALID_REQUEST, "A request has a method and its params, as an object.", id=identity)
    if "id" in value and identity is None:
        return Malformed(INVALID_REQUEST, "The id of a message is a string or an integer.")
    if (problem := _ambiguous_params(params)) is not None:
        return Malformed(INVALID_PARAMS, problem, id=identity)
    kind = MessageKind.REQUEST if "id" in value else MessageKind.NOTIFICATION
    return Message(kind, value, identity, method, params)


def _answer(value: dict[str, object], identity: str | int | None, answers: Sequence[str]) -> Message | Malformed:
    if len(answers) != 1 or "params" in value or (identity is None and "result" in answers):
        return Malformed(INVALID_REQUEST, "A message is a request, a notification, or the answer to a request.")
    return Message(MessageKind.RESULT if "result" in answers else MessageKind.ERROR, value, identity)


def _ambiguous_params(params: dict[str, object]) -> str | None:
    """What is wrong with the names of parameters; None for nothing."""
    for name in params:
        folded = name.strip().casefold()
        if folded in _COUNTING and folded != name:
            return f"A parameter is named almost, but not quite, {folded}."
    if not isinstance(params.get("_meta", {}), dict) or not isinstance(params.get("arguments", {}), dict):
        return "_meta and arguments are objects."
    return None


def written(value: object) -> bytes:
    """A message as JSON text."""
    return _ENCODER.encode(value)


def canonical(value: object) -> bytes:
    """JSON text that is the same for equal values: keys sorted."""
    return _CANONICAL.encode(value)
