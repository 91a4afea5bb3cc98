"""Where a body ends (RFC 9112, sections 6 and 7), and the body without its transfer coding.

Chunk extensions are checked, counted and dropped. Nothing is held but an unfinished chunk line or trailer section.
"""

import re
from typing import Final

from interlock.protocols.http.wire.fields import Fields, parse_trailers
from interlock.protocols.http.wire.messages import BodyData, BodyEnd, Malformed
from interlock.protocols.http.wire.received import Received

ABSENT: Final = -1
CHUNKED: Final = -2
UNTIL_CLOSE: Final = -3

_MAX_CHUNK_LINE_BYTES: Final = 256
_MAX_EXTENSION_BYTES: Final = 16 << 10
_MAX_TRAILER_BYTES: Final = 8 << 10
_MAX_TRAILERS: Final = 50

_CONTENT_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,17}")

# RFC 9112, section 7.1.1, without the "bad" blanks that it lets recipients accept.
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})((?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*)\r\n"
)

_SIZED: Final = 0  # also when the body has no bytes at all
_CLOSED: Final = 1
_CHUNK_LINE_NEXT: Final = 2
_CHUNK_DATA: Final = 3
_CHUNK_DATA_END: Final = 4
_TRAILERS: Final = 5
_ENDED: Final = 6


def stated_length(fields: Fields, minor: int) -> int:
    """What the fields say of the body: its length, ``CHUNKED``, or ``ABSENT``.

    Raises:
        Malformed: they say more than one thing, or nothing that is understood.
    """
    coding = fields.named.get(b"transfer-encoding")
    length = fields.named.get(b"content-length")
    if coding is None:
        if length is None:
            return ABSENT
        if _CONTENT_LENGTH.fullmatch(length) is None:
            raise Malformed(400, "content-length is not one decimal number of at most 18 digits without leading zeros")
        return int(length)
    if length is not None:
        raise Malformed(400, "content-length and transfer-encoding come together: send one of them")
    if minor == 0:
        raise Malformed(400, "transfer-encoding is not part of HTTP/1.0")
    if coding != b"chunked":
        raise Malformed(501, "the only transfer-encoding understood is exactly: chunked")
    return CHUNKED


class BodyReader:
    """Reads one body after the other from what was received. Call ``begin``, then ``next`` until it gives BodyEnd."""

    def __init__(self, received: Received, underscores: bool) -> None:
        self._received = received
        self._underscores = underscores
        self._state: int = _ENDED
        self._left: int = 0
        self._extension_bytes: int = 0
        self._malformed: Malformed | None = None

    @property
    def ended(self) -> bool:
        """Whether no body is being read."""
        return self._state == _ENDED

    @property
    def until_close(self) -> bool:
        """Whether the body ends with the connection."""
        return self._state == _CLOSED

    def begin(self, length: int) -> None:
        """Read a body of so many bytes next, or a ``CHUNKED`` one, or one ``UNTIL_CLOSE``."""
        self._left = max(length, 0)
        self._extension_bytes = 0
        if length == CHUNKED:
            self._state = _CHUNK_LINE_NEXT
        elif length == UNTIL_CLOSE:
            self._state = _CLOSED
        else:
            self._state = _SIZED

    def end(self) -> None:
        """The connection ended, and with it the body."""
        self._state = _ENDED

    def next(self) -> BodyData | BodyEnd | None:
        """What follows; nothing when more bytes are needed.

        Raises:
            Malformed: the chunks are not what they should be. What came before was given.
        """
        if self._state == _SIZED:
            return self._sized()
        if self._state == _CLOSED:
            data = self._received.take_all()
            return BodyData(data) if data else None
        return self._chunked()

    def _sized(self) -> BodyData | BodyEnd | None:
        if self._left == 0:
            self._state = _ENDED
            return BodyEnd()
        data = self._received.take(self._left)
        self._left -= len(data)
        return BodyData(data) if data else None

    def _chunked(self) -> BodyData | BodyEnd | None:
        if self._malformed is not None:
            raise self._malformed
        parts: list[bytes] = []
        try:
            while self._step(parts):
                pass
        except Malformed as malformed:
            if not parts:
                raise
            self._malformed = malformed
        if parts:
            return BodyData(parts[0] if len(parts) == 1 else b"".join(parts))
        return self._trailers() if self._state == _TRAILERS else None

    def _step(self, parts: list[bytes]) -> bool:
        """Read a chunk line, some of a chunk's data, or the line end behind it. False when there is no more to read."""
        if self._state == _CHUNK_DATA:
            data = self._received.take(self._left)
            if not data:
                return False
            parts.append(data)
            self._left -= len(data)
            if self._left == 0:
                self._state = _CHUNK_DATA_END
            return True
        if self._state == _CHUNK_DATA_END:
            return self._data_end()
        return self._state == _CHUNK_LINE_NEXT and self._chunk_line()

    def _data_end(self) -> bool:
        received = self._received
        if received.size < 2:
            return False
        if not received.data.startswith(b"\r\n", received.at):
            raise Malformed(400, "a chunk is longer or shorter than its size says")
        received.at += 2
        self._state = _CHUNK_LINE_NEXT
        return True

    def _chunk_line(self) -> bool:
        received = self._received
        end = received.data.find(b"\n", received.at, received.at + _MAX_CHUNK_LINE_BYTES) + 1
        if end == 0:
            if received.size >= _MAX_CHUNK_LINE_BYTES:
                raise Malformed(400, f"the line before a chunk is longer than {_MAX_CHUNK_LINE_BYTES} bytes")
            return False
        line = _CHUNK_LINE.fullmatch(received.data, received.at, end)
        if line is None:
            raise Malformed(400, "the line before a chunk is not a hexadecimal size and valid extensions")
        self._extension_bytes += line.end(2) - line.start(2)
        if self._extension_bytes > _MAX_EXTENSION_BYTES:
            raise Malformed(400, f"the chunk extensions are longer than {_MAX_EXTENSION_BYTES} bytes")
        received.at = end
        self._left = int(line[1], 16)
        self._state = _CHUNK_DATA if self._left else _TRAILERS
        return True

    def _trailers(self) -> BodyEnd | None:
        received = self._received
        if received.data.startswith(b"\r\n", received.at):
            received.at += 2
            self._state = _ENDED
            return BodyEnd()
        end = received.section_end(_MAX_TRAILER_BYTES)
        if end < 0:
            return None
        trailers = parse_trailers(received.data[received.at : end], _MAX_TRAILERS, self._underscores)
        received.at = end + 4
        self._state = _ENDED
        return BodyEnd(trailers)
