"""Requests of a client, read from its bytes (RFC 9112, sections 2 and 3).

``RequestParser`` gives events in order. Whatever it cannot read in exactly one way ends it with a ``BadMessage``; the
connection is of no use then, because nobody knows where the next request begins.
"""

import re
from typing import Final

from interlock.protocols.http.wire.fields import TOKEN, connection_options, listed_tokens, parse_fields
from interlock.protocols.http.wire.framing import ABSENT, CHUNKED, BodyReader, stated_length
from interlock.protocols.http.wire.messages import (
    BadMessage,
    BodyData,
    BodyEnd,
    BodyKind,
    Malformed,
    RequestHead,
)
from interlock.protocols.http.wire.received import Received
from interlock.protocols.http.wire.targets import ABSOLUTE_FORM, AUTHORITY, AUTHORITY_FORM

_MAX_REQUEST_LINE_BYTES: Final = 16 << 10
_MAX_METHOD_BYTES: Final = 32

# No small letters in methods: to some servers "delete" is DELETE.
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Z]{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_ANY_VERSION: Final = re.compile(rb"[^ ]+ [^ ]+ HTTP/[0-9](?:\.[0-9])?\r\n")

_BODILESS_METHODS: Final = frozenset({b"GET", b"HEAD", b"CONNECT", b"TRACE"})


class RequestParser:
    """The requests of one connection. Feed bytes, then call ``next`` until it gives nothing.

    It holds what it was fed and has not given yet; ``buffered`` says how much that is.
    """

    def __init__(self, max_head_bytes: int = 64 << 10, max_headers: int = 200) -> None:
        self._max_head_bytes = max_head_bytes
        self._max_headers = max_headers
        self._received = Received()
        self._body = BodyReader(self._received, underscores=False)
        self._after_empty_line: bool = False
        self._line: re.Match[bytes] | None = None
        """The request line while fields are missing."""
        self._bad: BadMessage | None = None

    @property
    def buffered(self) -> int:
        """How many bytes were fed and not read."""
        return self._received.size

    def feed(self, data: bytes) -> None:
        """Add what came. Ignored after a ``BadMessage``."""
        if self._bad is None and data:
            self._received.feed(data)

    def next(self) -> RequestHead | BodyData | BodyEnd | BadMessage | None:
        """What follows; nothing when more bytes are needed. After ``BodyEnd`` this is the next request."""
        if self._bad is not None:
            return self._bad
        try:
            return self._head() if self._body.ended else self._body.next()
        except Malformed as malformed:
            return self._end(malformed.status, malformed.reason)

    def take_rest(self) -> bytes:
        """What follows a request that was the last: the bytes are no longer HTTP/1.1."""
        return self._received.take_all()

    def eof(self) -> BadMessage | None:
        """Nothing more comes. Call it when ``next`` gives nothing: a request that was cut is bad."""
        if self._bad is None and (not self._body.ended or self._received.size > 0):
            return self._end(400, "the connection ended within a request")
        return self._bad

    def _end(self, status: int, reason: str) -> BadMessage:
        self._received.take_all()
        self._bad = BadMessage(status, reason)
        return self._bad

    def _head(self) -> RequestHead | None:
        received = self._received
        if not self._after_empty_line and received.data.startswith(b"\r\n", received.at):
            received.at += 2  # RFC 9112, section 2.2: some clients end a body with a line end too many
            self._after_empty_line = True
        line = self._line = self._line or self._request_line()
        end = received.section_end(self._max_head_bytes) if line is not None else -1
        if line is None or end < 0:
            return None
        section = received.data[received.at : end]
        received.at = end + 4
        self._after_empty_line, self._line = False, None
        head = _request_head(line, section, self._max_headers)
        self._body.begin(CHUNKED if head.body is BodyKind.CHUNKED else head.length)
        return head

    def _request_line(self) -> re.Match[bytes] | None:
        received = self._received
        end = received.data.find(b"\n", received.at, received.at + _MAX_REQUEST_LINE_BYTES) + 1
        if end > 0:
            line = _REQUEST_LINE.fullmatch(received.data, received.at, end)
            if line is None:
                raise _line_problem(received.data[received.at : end])
            return line
        start = received.data[received.at : received.at + 1]
        if start and start != b"\r" and TOKEN.fullmatch(start) is None:
            raise _line_problem(start)
        if received.size >= _MAX_REQUEST_LINE_BYTES:
            raise Malformed(414, f"the request line is longer than {_MAX_REQUEST_LINE_BYTES} bytes")
        return None


def _line_problem(line: bytes) -> Malformed:
    """What is wrong with a line that is no request line."""
    method = TOKEN.match(line)
    if method is None:
        return Malformed(400, "what came does not begin with a method: it is not an HTTP/1.1 request")
    if not line.endswith(b"\r\n"):
        return Malformed(400, "a line ends in LF alone: end lines with CR LF")
    if _ANY_VERSION.fullmatch(line) is not None and b" HTTP/1.1" not in line and b" HTTP/1.0" not in line:
        return Malformed(505, "the versions spoken here are HTTP/1.1 and HTTP/1.0")
    if method.end() > _MAX_METHOD_BYTES:
        return Malformed(501, f"the method is longer than {_MAX_METHOD_BYTES} bytes")
    if _REQUEST_LINE.fullmatch(method[0].upper() + line[method.end() :]) is not None:
        return Malformed(400, "the method has small letters, in which some servers see another one: use capitals")
    return Malformed(400, "the request line is not a method, a target of visible ASCII and HTTP/1.1, one blank between")


def _request_head(line: re.Match[bytes], section: bytes, max_headers: int) -> RequestHead:
    method, target = line[1], line[2]
    minor = 1 if line[3] == b"1" else 0
    fields = parse_fields(section, 1, max_headers, underscores=False)
    host = fields.named.get(b"host")
    if host is None:
        if minor == 1:
            raise Malformed(400, "there is no host field")
    elif AUTHORITY.fullmatch(host) is None:
        raise Malformed(400, "the field host is not a host and an optional port")
    if target[0] != 0x2F or method == b"CONNECT":
        _refuse_form(method, target)
    length = stated_length(fields, minor)
    if length not in (ABSENT, 0) and method in _BODILESS_METHODS:
        raise Malformed(400, f"a {method.decode('ascii')} request has a body, which many servers take for the next one")
    options = connection_options(fields)
    return RequestHead(
        method,
        target,
        minor,
        fields.headers,
        BodyKind.CHUNKED if length == CHUNKED else BodyKind.LENGTH if length > 0 else BodyKind.NONE,
        max(length, 0),
        b"close" not in options and (minor == 1 or b"keep-alive" in options),
        _expects_continue(fields.named.get(b"expect"), minor) and length not in (ABSENT, 0),
        _upgrade(fields.named.get(b"upgrade"), options),
    )


def _refuse_form(method: bytes, target: bytes) -> None:
    """Raise when the target is not in the form that the method has (RFC 9112, section 3.2)."""
    if method == b"CONNECT":
        if AUTHORITY_FORM.fullmatch(target) is None:
            raise Malformed(400, "the target of a CONNECT request is not a host and a port")
    elif target == b"*":
        if method != b"OPTIONS":
            raise Malformed(400, "only an OPTIONS request has the target *")
    elif ABSOLUTE_FORM.fullmatch(target) is None:
        raise Malformed(400, "the target is neither a path that begins with / nor an http or https address")


def _expects_continue(expect: bytes | None, minor: int) -> bool:
    if expect is None or minor == 0:
        return False
    if expect.lower() != b"100-continue":
        raise Malformed(417, "the only expectation that can be met is 100-continue")
    return True


def _upgrade(upgrade: bytes | None, options: list[bytes]) -> bytes:
    if upgrade is None:
        return b""
    protocols = listed_tokens(upgrade)
    if any(protocol.startswith((b"h2c", b"http/")) for protocol in protocols):
        raise Malformed(400, "an upgrade to another version of HTTP is not possible: HTTP/2 is chosen with TLS")
    return b",".join(protocols) if b"upgrade" in options else b""
