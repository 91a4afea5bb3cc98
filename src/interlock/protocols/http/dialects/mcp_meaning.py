"""What an MCP message asks for: accesses and facts for policy.

What a method does that is not in here is not known: it is ``unclassified``.
"""

import functools
from collections.abc import Mapping
from typing import Final

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.tool import MAX_NAME_LENGTH
from interlock.protocols.http.dialects.base import Request
from interlock.protocols.http.dialects.json_facts import BodyRejected, facts_of
from interlock.protocols.http.dialects.mcp_messages import INVALID_PARAMS, Malformed, Message, MessageKind, canonical

CALL: Final = "tools/call"

_LIST: Final = Access("mcp-list", ResourceKind.CONNECTION)
_READ: Final = Access("mcp-read", ResourceKind.CONNECTION)
_UNKNOWN: Final = Access("unclassified", ResourceKind.CONNECTION)

_METHODS: Final[Mapping[str, Access]] = {
    **dict.fromkeys(("initialize", "server/discover", "ping", "logging/setLevel", "subscriptions/listen"), _LIST),
    **dict.fromkeys(("tools/list", "prompts/list", "resources/list", "resources/templates/list"), _LIST),
    **dict.fromkeys(("tasks/list", "tasks/cancel"), _LIST),
    **dict.fromkeys(("resources/read", "prompts/get", "completion/complete"), _READ),
    **dict.fromkeys(("resources/subscribe", "resources/unsubscribe", "tasks/get", "tasks/result"), _READ),
}
_NOTIFICATIONS: Final = frozenset(
    f"notifications/{name}" for name in ("cancelled", "initialized", "progress", "roots/list_changed")
)
_VOLATILE: Final = frozenset({"progressToken", "traceparent", "tracestate", "baggage"})
_OF_THE_PROTOCOL: Final = "io.modelcontextprotocol/"

GET_STREAM: Final = "GET"
END_SESSION: Final = "DELETE"

_Http = tuple[str, str, str, str, tuple[str, ...]]


def meaning_of(request: Request, message: Message) -> Meaning | Malformed:
    """What a message means."""
    called = message.method == CALL
    name = message.params.get("name") if called else ""
    if not isinstance(name, str) or (called and not 0 < len(name) <= MAX_NAME_LENGTH):
        reason = f"A tool is called by its name, of at most {MAX_NAME_LENGTH} characters."
        return Malformed(INVALID_PARAMS, reason, id=message.id)
    try:
        arguments = _arguments(message)
    except BodyRejected as error:
        return Malformed(INVALID_PARAMS, str(error), id=message.id)
    return _meaning(_access(message, name), message.method or message.kind.value, name, arguments, _http(request))


def meaning_without_message(request: Request) -> Meaning:
    """What a GET, which opens a stream of events, and a DELETE, which ends a session, mean."""
    return _meaning(_LIST, request.method, "", (), _http(request))


def meaning_of_malformed(request: Request, problem: Malformed) -> Meaning:
    """What is no message that can be passed on; it is refused whatever policy says."""
    return _malformed(problem.reason, _http(request))


def bound_part(message: Message) -> bytes:
    """What a person's yes to a message is bound to: all of it that counts at the target.

    Without what differs each time that the same is asked: the message's id, and what ``_meta`` says of the protocol, of
    traces and of progress.
    """
    meta = {key: value for key, value in message.meta.items() if not _is_volatile(key)}
    params = {key: value for key, value in message.params.items() if key != "_meta"}
    return canonical({"method": message.method, "params": {**params, "_meta": meta} if meta else params})


def _is_volatile(key: str) -> bool:
    return key in _VOLATILE or key.startswith(_OF_THE_PROTOCOL)


def _access(message: Message, tool: str) -> Access:
    if tool:
        return Access("mcp-call", ResourceKind.TOOL, (tool,))
    if message.kind is MessageKind.REQUEST:
        return _METHODS.get(message.method, _UNKNOWN)
    if message.kind is MessageKind.NOTIFICATION:
        return _LIST if message.method in _NOTIFICATIONS else _UNKNOWN
    return _READ if message.result else _LIST


def _arguments(message: Message) -> tuple[str, ...]:
    """The arguments of a call, the parameters of everything else: all fields, and all plain values. Raises."""
    if message.method == CALL:
        facts = facts_of(message.params.get("arguments", {}))
    else:
        facts = facts_of({name: value for name, value in message.params.items() if name != "_meta"})
    return (*facts.fields, *facts.values)


def _http(request: Request) -> _Http:
    return request.method, request.path, request.host, request.content_type, request.query_keys


@functools.lru_cache(maxsize=4096)
def _meaning(access: Access, method: str, tool: str, arguments: tuple[str, ...], http: _Http) -> Meaning:
    facts = {"http": _http_facts(http), "mcp": {"method": method, "tool": tool, "arguments": arguments}}
    return Meaning(f"{method} {tool}".rstrip(), (access,), facts)


@functools.lru_cache(maxsize=1024)
def _malformed(reason: str, http: _Http) -> Meaning:
    return Meaning("MALFORMED", (_UNKNOWN,), {"http": _http_facts(http)}, refusal=reason)


def _http_facts(http: _Http) -> dict[str, object]:
    return dict(zip(("method", "path", "host", "content_type", "query"), http, strict=True))
