"""Requests of HTTP/2 as those of HTTP/1.1 (RFC 9113, 8.2 and 8.3): fields in, a head out, or what is wrong with them.

Nothing is repaired. What HTTP/1.1 itself forbids is left to its parser, which reads the result; here is refused what
the result could no longer show.
"""

import re
from typing import Final

import msgspec

from interlock.protocols.http.wire.messages import BadMessage, Headers
from interlock.protocols.http.wire.writing import last_chunk, request_head

_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))
_CONNECTION_SPECIFIC: Final = frozenset(
    b"connection http2-settings keep-alive proxy-connection transfer-encoding upgrade".split()
)
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_FORBIDDEN: Final = re.compile(rb"[\x00\r\n]")
_CREDENTIALS: Final = frozenset((b"authorization", b"interlock-token", b"proxy-authorization"))


class Http1Request(msgspec.Struct, frozen=True):
    """``head`` is complete. ``chunked``: the body, if there is one, is to follow in chunks."""

    method: bytes
    head: bytes
    chunked: bool


def http1_request(fields: Headers, has_body: bool) -> Http1Request | BadMessage:
    """The head for a request with these fields, as they came in HEADERS."""
    problem = _problem(fields)
    if problem:
        return BadMessage(400, problem)
    pseudo = {name: value for name, value in fields if name[:1] == b":"}
    if pseudo.get(b":method") == b"CONNECT":
        return BadMessage(405, "CONNECT is not possible with HTTP/2 here")
    problem = _request_line_problem(pseudo)
    if problem:
        return BadMessage(400, problem)
    hosts = [value for name, value in fields if name == b"host"]
    authority = pseudo.get(b":authority") or (hosts[0] if hosts else b"")
    if not authority or any(host.lower() != authority.lower() for host in hosts):
        return BadMessage(400, ":authority and host have to name the same host, at least one of them")
    return _written(pseudo, authority, [field for field in fields if field[0][:1] != b":"], has_body)


def http1_trailers(fields: Headers) -> bytes | BadMessage:
    """The end of a chunked body with these trailers."""
    problem = _problem(fields)
    if not problem and any(name[:1] == b":" for name, _ in fields):
        problem = "trailers cannot have pseudo-header fields"
    if problem:
        return BadMessage(400, problem)
    try:
        return last_chunk(fields)
    except ValueError:
        return BadMessage(400, "a trailer has a control byte")


def _problem(fields: Headers) -> str:
    """What is wrong with fields of any kind; empty for nothing."""
    seen: set[bytes] = set()
    regular = False
    for name, value in fields:
        if _FORBIDDEN.search(value) or value[:1] in (b" ", b"\t") or value[-1:] in (b" ", b"\t"):
            return "the value of a field has a line end, a NUL, or blanks around it"
        if name in _PSEUDO:
            if regular or name in seen:
                return "a pseudo-header field comes twice, or after other fields"
            seen.add(name)
            continue
        regular = True
        if not _NAME.fullmatch(name):
            return "the name of a field is not one, has upper case, or is a pseudo-header field that is not known"
        if name in _CONNECTION_SPECIFIC or (name == b"te" and value.lower() != b"trailers"):
            return f"the field {name.decode()} has no place in HTTP/2"
    return ""


def _request_line_problem(pseudo: dict[bytes, bytes]) -> str:
    if not {b":method", b":scheme", b":path"} <= pseudo.keys():
        return ":method, :scheme or :path is missing"
    if pseudo[b":scheme"] not in (b"https", b"http"):
        return ":scheme has to be https"
    path = pseudo[b":path"]
    if path[:1] != b"/" and not (path == b"*" and pseudo[b":method"] == b"OPTIONS"):
        return ":path has to begin with /"
    return ""


def _written(
    pseudo: dict[bytes, bytes], authority: bytes, fields: list[tuple[bytes, bytes]], has_body: bool
) -> Http1Request | BadMessage:
    chunked = has_body and not any(name == b"content-length" for name, _ in fields)
    headers = [(b"host", authority), *(field for field in fields if field[0] not in (b"host", b"te"))]
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    try:
        head = request_head(pseudo[b":method"], pseudo[b":path"], headers)
    except ValueError:
        return BadMessage(400, "the method, the path or a field has bytes that it cannot have")
    return Http1Request(pseudo[b":method"], head, chunked)


def caller_key(fields: Headers) -> tuple[object, ...]:
    """What two requests have in common that one session can serve: host, ``/c/CONNECTION``, and credentials."""
    said = dict(fields)
    path = re.split(rb"[/?]", said.get(b":path", b""), maxsplit=3)
    connection = path[2] if path[:2] == [b"", b"c"] and len(path) > 2 else b""
    credentials = tuple(field for field in fields if field[0] in _CREDENTIALS)
    return (said.get(b":authority"), said.get(b"host"), connection, credentials)


def problem_answer(bad: BadMessage) -> tuple[Headers, bytes]:
    """Fields and body of the answer to what cannot be a request (RFC 9457)."""
    title = "Not possible here" if bad.status == 405 else "The request cannot be read"
    problem = {"type": "about:blank", "title": title, "status": bad.status, "detail": bad.reason}
    return (
        (b":status", b"%d" % bad.status),
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
    ), msgspec.json.encode(problem)
