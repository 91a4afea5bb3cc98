"""Answers of a target, read from its bytes (RFC 9112, sections 4 and 6.3).

A target is no more trusted than a client: an answer whose end is in doubt could smuggle a second one to somebody else.
Every ``BadMessage`` here has status 502.
"""

import re
from typing import Final

from interlock.protocols.http.wire.fields import Fields, connection_options, parse_fields
from interlock.protocols.http.wire.framing import ABSENT, CHUNKED, UNTIL_CLOSE, BodyReader, stated_length
from interlock.protocols.http.wire.messages import (
    BadMessage,
    BodyData,
    BodyEnd,
    BodyKind,
    Malformed,
    ResponseHead,
)
from interlock.protocols.http.wire.received import Received, refuse_bare_line_feed

_MAX_INTERIM: Final = 32
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
_START: Final = b"HTTP/1."

_KINDS: Final = {ABSENT: BodyKind.NONE, 0: BodyKind.NONE, CHUNKED: BodyKind.CHUNKED, UNTIL_CLOSE: BodyKind.UNTIL_CLOSE}


class ResponseParser:
    """The answers on one connection. Call ``begin`` when a request goes out, feed bytes, call ``next``.

    Interim answers are heads without a ``BodyEnd``; the answer proper follows. After a 101 or an answer that opens a
    tunnel, ``take_rest`` gives what is no longer HTTP/1.1.
    """

    def __init__(self, max_head_bytes: int = 64 << 10, max_headers: int = 200) -> None:
        self._max_head_bytes = max_head_bytes
        self._max_headers = max_headers
        self._received = Received()
        self._body = BodyReader(self._received, underscores=True)
        self._method: bytes = b""
        self._upgrade: bool = False
        self._interim: int = 0
        self._bad: BadMessage | None = None

    @property
    def buffered(self) -> int:
        """How many bytes were fed and not read. Between answers these are bytes that nobody asked for."""
        return self._received.size

    def begin(self, method: bytes, upgrade: bool = False) -> None:
        """Expect the answer to a request. Bytes that came before it make the answer bad.

        Args:
            method: of the request; decides whether the answer has a body.
            upgrade: whether the request asked for one; otherwise a 101 is bad.
        """
        if self._received.size > 0:
            self._end("the target sent bytes before it was asked")
        self._method = method
        self._upgrade = upgrade
        self._interim = 0

    def feed(self, data: bytes) -> None:
        """Add what came. Ignored after a ``BadMessage``."""
        if self._bad is None and data:
            self._received.feed(data)

    def next(self) -> ResponseHead | BodyData | BodyEnd | BadMessage | None:
        """What follows; nothing when more bytes are needed or no answer is expected."""
        if self._bad is not None:
            return self._bad
        try:
            if not self._body.ended:
                return self._body.next()
            return self._head() if self._method else None
        except Malformed as malformed:
            return self._end(malformed.reason)

    def take_rest(self) -> bytes:
        """What follows an answer that was the last: the bytes are no longer HTTP/1.1."""
        return self._received.take_all()

    def eof(self) -> BodyEnd | BadMessage | None:
        """Nothing more comes. Call it when ``next`` gives nothing: it ends a body, or the answer was cut."""
        if self._bad is not None:
            return self._bad
        if self._body.until_close:
            self._body.end()
            return BodyEnd()
        if not self._body.ended:
            return self._end("the target ended the connection within an answer")
        if self._method:
            return self._end("the target ended the connection without an answer")
        return None

    def _end(self, reason: str) -> BadMessage:
        self._received.take_all()
        self._bad = BadMessage(502, reason)
        return self._bad

    def _head(self) -> ResponseHead | None:
        received = self._received
        start = received.data[received.at : received.at + len(_START)]
        if not _START.startswith(start):
            raise Malformed(502, "the answer does not begin with HTTP/1.1")
        end = received.section_end(self._max_head_bytes)
        if end < 0:
            return None
        section = received.data[received.at : end]
        received.at = end + 4
        line = _STATUS_LINE.fullmatch(section.partition(b"\r\n")[0])
        if line is None:
            refuse_bare_line_feed(section, 0, len(section))
            raise Malformed(502, "the status line is malformed")
        fields = parse_fields(section, 1, self._max_headers, underscores=True)
        status = int(line[2])
        if status < 200 and status != 101:
            return self._interim_head(status, line, fields)
        return self._final_head(status, line, fields)

    def _interim_head(self, status: int, line: re.Match[bytes], fields: Fields) -> ResponseHead:
        self._interim += 1
        if self._interim > _MAX_INTERIM:
            raise Malformed(502, f"more than {_MAX_INTERIM} interim answers came")
        head = self._response_head(status, line, fields, _nothing(fields))
        if head.minor == 0 or not head.keep_alive:
            raise Malformed(502, "an interim answer is of HTTP/1.0 or the last of its connection")
        return head

    def _final_head(self, status: int, line: re.Match[bytes], fields: Fields) -> ResponseHead:
        if status == 101 and not self._upgrade:
            raise Malformed(502, "the target switched protocols without being asked")
        length = self._length(status, _minor(line), fields)
        self._method = b""
        self._body.begin(length)
        return self._response_head(status, line, fields, length)

    def _length(self, status: int, minor: int, fields: Fields) -> int:
        if status in (101, 204) or (self._method == b"CONNECT" and 200 <= status < 300):
            return _nothing(fields)
        length = stated_length(fields, minor)
        if status == 304 or self._method == b"HEAD":
            return 0
        return UNTIL_CLOSE if length == ABSENT else length

    def _response_head(self, status: int, line: re.Match[bytes], fields: Fields, length: int) -> ResponseHead:
        options, minor = connection_options(fields), _minor(line)
        stays = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        kind = _KINDS.get(length, BodyKind.LENGTH)
        return ResponseHead(
            status, line[3] or b"", minor, fields.headers, kind, max(length, 0), stays and length != UNTIL_CLOSE
        )


def _minor(line: re.Match[bytes]) -> int:
    return 1 if line[1] == b"1" else 0


def _nothing(fields: Fields) -> int:
    """No body, by the status; fields that state one are in doubt."""
    if stated_length(fields, 1) not in (ABSENT, 0):
        raise Malformed(502, "an answer that cannot have a body states one")
    return 0
