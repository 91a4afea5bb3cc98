"""Requests as people write them for the tools around policy, and what they mean.

A *written request* is a request line without a version, then, if any, header lines, an empty line, and the body::

    POST /users?notify=1
    Content-Type: application/json

    {"name": "Ada"}

A body without ``Content-Type`` counts as JSON. The path is relative to the connection. ``CONNECT host:port`` is a
tunnel that is not looked into.
"""

import re
from typing import Final

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import HttpTarget
from interlock.protocols.http.dialects.base import Request
from interlock.protocols.http.dialects.registry import new_dialect
from interlock.protocols.http.tunnel import tunnel_meaning
from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, Headers, RequestHead
from interlock.protocols.http.wire.requests import RequestParser
from interlock.protocols.http.wire.targets import authority_form, canonical_authority, canonical_target

_TYPE: Final = re.compile(r"^content-type:", re.IGNORECASE | re.MULTILINE)
_HOST: Final = re.compile(r"^host:", re.IGNORECASE | re.MULTILINE)
_FRAMED: Final = re.compile(r"^(content-length|transfer-encoding):", re.IGNORECASE | re.MULTILINE)
_NO_HOST: Final = b"target.invalid"


class Unreadable(Exception):
    """What is wrong with a written request, a sentence."""


def meaning_of_written(text: str, target: HttpTarget) -> Meaning:
    """What a written request means on a connection with these settings. Never raises for what is written.

    Raises ``ValueError`` for settings that contradict one another.
    """
    dialect = new_dialect(target)
    try:
        head, body = _parsed(text)
        if head.method == b"CONNECT":
            return _tunnel(head)
        return dialect.read(_request(head, body), None).meaning
    except Unreadable as unreadable:
        return _unclassified(text, str(unreadable))


def _parsed(text: str) -> tuple[RequestHead, bytes | None]:
    """Raises ``Unreadable``."""
    parser = RequestParser()
    parser.feed(_as_sent(text))
    head = parser.next()
    if not isinstance(head, RequestHead):
        raise Unreadable(head.reason if isinstance(head, BadMessage) else "It has no request line.")
    parts = []
    while isinstance(part := parser.next(), BodyData):
        parts.append(part.data)
    if not isinstance(part, BodyEnd):
        raise Unreadable(part.reason if isinstance(part, BadMessage) else "It is not complete.")
    return head, b"".join(parts) if parts else None


def _as_sent(text: str) -> bytes:
    """The bytes that a client would send for it. Raises ``Unreadable``."""
    section, _, body = text.strip("\n").replace("\r\n", "\n").partition("\n\n")
    line, _, headers = section.partition("\n")
    data = body.strip("\n").encode("utf-8", "replace")
    if _FRAMED.search(headers):
        raise Unreadable("Leave Content-Length and Transfer-Encoding away: they follow from the body.")
    lines = [f"{line.strip()} HTTP/1.1", *filter(None, (header.strip() for header in headers.split("\n")))]
    if not _HOST.search(headers):
        lines.append(f"Host: {_host_of(line)}")
    if data and not _TYPE.search(headers):
        lines.append("Content-Type: application/json")
    if data:
        lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + data


def _host_of(line: str) -> str:
    method, _, target = line.strip().partition(" ")
    return target.strip() if method == "CONNECT" else _NO_HOST.decode()


def _request(head: RequestHead, body: bytes | None) -> Request:
    """Raises ``Unreadable``."""
    target = canonical_target(head.target)
    if isinstance(target, str):
        raise Unreadable(target)
    return Request(
        head.method.decode(),
        target.path,
        target.query,
        target.query_keys,
        head.headers,
        _written_host(head.headers),
        _media_type(head.headers),
        body,
        body is not None,
    )


def _tunnel(head: RequestHead) -> Meaning:
    authority = authority_form(head.target)
    if isinstance(authority, str):
        raise Unreadable(authority)
    return tunnel_meaning(authority)


def _written_host(headers: Headers) -> str:
    authority = canonical_authority(_header(headers, b"host"))
    if isinstance(authority, str):
        raise Unreadable(authority)
    return "" if authority.wire == _NO_HOST else authority.wire.decode()


def _media_type(headers: Headers) -> str:
    return _header(headers, b"content-type").partition(b";")[0].strip().lower().decode("latin-1")


def _header(headers: Headers, name: bytes) -> bytes:
    return next((value for known, value in headers if known == name), b"")


def _unclassified(text: str, error: str) -> Meaning:
    """As with a statement that cannot be parsed."""
    method = text.strip().partition(" ")[0][:32]
    facts = {"http": {"method": method}, "error": error.rstrip(".")}
    return Meaning("unclassified", (Access("unclassified", ResourceKind.CONNECTION),), facts)
