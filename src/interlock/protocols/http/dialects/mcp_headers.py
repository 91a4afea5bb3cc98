"""What headers of an MCP request say must be what its body says.

Since version 2026-07-28 headers repeat the method, the name and the version of the body, for whoever routes by them.
Nothing here is decided by a header; but a request that says two things is refused, so that nobody behind the gateway
decides by the other one.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from interlock.protocols.http.dialects.mcp_messages import (
    FIRST_STATELESS,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_VERSION,
    VERSION_IN_META,
    VERSIONS,
    Malformed,
    Message,
    MessageKind,
)
from interlock.protocols.http.wire.messages import Headers

NAMED_BY: Final[Mapping[str, str]] = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The parameter that ``Mcp-Name`` repeats, by method."""

_SINGLE = (b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id", b"last-event-id")
_PARAMETER = b"mcp-param-"


def version_of(headers: Headers, message: Message | None) -> str | Malformed:
    """The protocol version that a request is made in, ``""`` before one was agreed on."""
    doubled = _doubled(headers)
    if doubled:
        return Malformed(HEADER_MISMATCH, f"The header {doubled} is there more than once.")
    said = _header(headers, b"mcp-protocol-version")
    identity = message.id if message is not None else None
    meant = message.meta.get(VERSION_IN_META) if message is not None else None
    if meant is not None and meant != said:
        return Malformed(HEADER_MISMATCH, "MCP-Protocol-Version is not the version in the body.", id=identity)
    if said is not None and said not in VERSIONS:
        reason = f"The gateway knows versions {', '.join(VERSIONS)} of MCP."
        return Malformed(UNSUPPORTED_VERSION, reason, id=identity, data={"supported": VERSIONS, "requested": said})
    if said == FIRST_STATELESS and message is not None and message.kind is MessageKind.REQUEST and meant is None:
        return Malformed(INVALID_PARAMS, f"params._meta lacks {VERSION_IN_META}.", id=identity)
    return said or ""


def disagreement(headers: Headers, message: Message, version: str) -> Malformed | None:
    """What headers and the message say differently; None for nothing."""
    stateless = version == FIRST_STATELESS and message.kind is MessageKind.REQUEST
    method = _header(headers, b"mcp-method")
    if (method is not None or stateless) and method != message.method:
        return Malformed(HEADER_MISMATCH, "Mcp-Method is not the method of the body.", id=message.id)
    name, parameter = _header(headers, b"mcp-name"), NAMED_BY.get(message.method)
    named = message.params.get(parameter) if parameter is not None else None
    required = name is not None or (stateless and named is not None)
    if required and (name is None or named is None or decoded(name) != named):
        return Malformed(HEADER_MISMATCH, "Mcp-Name is not what the body names.", id=message.id)
    if not _parameters_agree(headers, message):
        return Malformed(HEADER_MISMATCH, "An Mcp-Param header is no argument of the body.", id=message.id)
    return None


def decoded(value: str) -> str | None:
    """A header's value, in Base64 where it says so (``=?base64?...?=``); None when it is none."""
    if not (value.startswith("=?base64?") and value.endswith("?=") and len(value) >= 11):
        return value
    payload = value[9:-2]
    try:
        plain = base64.b64decode(payload, validate=True)
        return plain.decode() if base64.b64encode(plain).decode() == payload else None
    except (binascii.Error, ValueError):
        return None


def _doubled(headers: Headers) -> str:
    names = [name for name, _ in headers if name in _SINGLE or name.startswith(_PARAMETER)]
    return next((name.decode() for name in names if names.count(name) > 1), "")


def _header(headers: Headers, name: bytes) -> str | None:
    return next((value.decode("latin-1") for one, value in headers if one == name), None)


def _parameters_agree(headers: Headers, message: Message) -> bool:
    """Whether each ``Mcp-Param-`` header repeats an argument; which one it is to be is for the tool's schema to say."""
    said = [decoded(value.decode("latin-1")) for name, value in headers if name.startswith(_PARAMETER)]
    if not said:
        return True
    rendered = frozenset(_scalars(message.params.get("arguments"))) if message.method == "tools/call" else frozenset()
    return all(value in rendered for value in said)


def _scalars(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _scalars(child)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, str | int | Decimal):
        yield str(value)
