"""Heads and chunks as bytes. What is written has the fields that were given and no others.

A name, value, target or reason that would begin a new line or field is a ``ValueError``: it can only come from a defect
in who calls.
"""

import re
from collections.abc import Iterable
from typing import Final

from interlock.protocols.http.wire.fields import CONTROLS, KNOWN_NAMES, TOKEN, listed_tokens
from interlock.protocols.http.wire.messages import Headers

_TARGET: Final = re.compile(rb"[\x21-\x7e]+")

# RFC 9110, section 7.6.1, and what is said between two neighbours besides.
_HOP_BY_HOP: Final = frozenset(b"connection http2-settings keep-alive te trailer transfer-encoding upgrade".split())

# Options of Connection that name no field besides these.
_NO_FIELDS: Final = (b"keep-alive", b"close", b"Keep-Alive", b"Close")


def request_head(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A request line, the fields and the empty line.

    Raises:
        ValueError: one of them would be read as something else.
    """
    if TOKEN.fullmatch(method) is None or _TARGET.fullmatch(target) is None:
        raise ValueError("not a method and a target")
    return _section(b"%b %b HTTP/1.1\r\n" % (method, target), headers)


def response_head(status: int, reason: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A status line, the fields and the empty line.

    Raises:
        ValueError: one of them would be read as something else.
    """
    if not 100 <= status <= 599:
        raise ValueError("not a status")
    return _section(b"HTTP/1.1 %d %b\r\n" % (status, reason), headers)


def chunk(data: bytes) -> bytes:
    """A chunk of a body; nothing for no bytes, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """The end of a chunked body.

    Raises:
        ValueError: a trailer would be read as something else.
    """
    return _section(b"0\r\n", trailers)


def without_hop_by_hop(headers: Headers) -> Headers:
    """The fields that may go on to the next recipient, among them Content-Length (RFC 9110, section 7.6.1)."""
    dropped = _HOP_BY_HOP
    for name, value in headers:
        if name == b"connection" and value not in _NO_FIELDS:
            dropped = dropped.union(listed_tokens(value))
    return tuple([field for field in headers if field[0] not in dropped and not field[0].startswith(b"proxy-")])


def _section(first_line: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    parts = [first_line]
    for name, value in headers:
        if name not in KNOWN_NAMES and TOKEN.fullmatch(name) is None:
            raise ValueError("not the name of a field")
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n")
    section = b"".join(parts)
    lines = len(parts) // 4 + 2
    if len(section.translate(None, CONTROLS)) + 2 * lines != len(section):
        raise ValueError("a control byte in a field or in the first line")
    return section
