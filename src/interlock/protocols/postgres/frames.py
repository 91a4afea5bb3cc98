"""Splits the byte streams of a PostgreSQL connection into messages; the hot kernel of this protocol.

``BackendFrames`` finds where messages of the target begin and end without copying them: rows are only counted, and
whole chunks can be passed on as they came. ``FrontendFrames`` cuts the client's stream into whole messages and streams
the ones too long to hold.

Neither looks into a body, and neither holds more than its bound. The module is plain typed Python that mypyc compiles
where a C compiler is at hand.
"""

from typing import Final

from mypy_extensions import i64, mypyc_attr

from interlock.protocols.postgres.held import HeldTail

_ROW: Final = 0x44  # DataRow, frontend Describe
_COPY_DATA: Final = 0x64

# Backend messages whose body the session reads: held until complete. All others may be cut anywhere.
_WHOLE: Final = frozenset(b"CEZSRKTvNAt")
_KNOWN: Final = frozenset(b"RKS23C1WGHDITEvnNAtsZdcV")

HELD_MAX_BYTES: Final = 1 << 20
STREAM_HEAD_BYTES: Final = 1 << 17
"""How much of a message that is streamed comes first, so that what is in front can be read."""


class FramingError(Exception):
    """The stream is not PostgreSQL's protocol: impossible length or unknown type."""


@mypyc_attr(native_class=True)
class BackendMessage:
    """A message in a scanned chunk: ``chunk[start:end]`` is the part of it that the chunk holds.

    ``rows`` counts the DataRow and CopyData messages that began between the message before and this one.
    ``whole`` is false when the body reaches beyond the chunk.
    """

    def __init__(self, kind: int, rows: int, start: int, end: int, whole: bool) -> None:
        self.kind = kind
        self.rows = rows
        self.start = start
        self.end = end
        self.whole = whole


class BackendFrames:
    """Scans the target's stream. Call ``scan`` with each chunk, then read ``chunk`` and ``rows_after``."""

    def __init__(self) -> None:
        self._held = HeldTail()
        self._remaining: i64 = 0
        self.chunk: bytes = b""
        self.rows_after: int = 0
        self.broken: str = ""

    @property
    def mid_message(self) -> bool:
        """Whether ``chunk`` ends within a message."""
        return self._remaining > 0

    def scan(self, data: bytes) -> list[BackendMessage]:
        """Messages that begin in ``data``, rows left out but counted.

        Afterwards ``chunk`` is what may go on now: all of the input but a held tail, which comes first in the next
        chunk. ``rows_after`` counts the rows behind the last message. ``broken`` says what is behind ``chunk`` when
        that is not this protocol; nothing more may be scanned then.
        """
        found: list[BackendMessage] = []
        if self._held.size > 0:
            data = self._held.join(data)
        size: i64 = len(data)
        position: i64 = self._remaining
        rows: i64 = 0
        wanted: i64 = 5
        while position + 5 <= size:
            kind: i64 = data[position]
            length: i64 = (
                (i64(data[position + 1]) << 24)
                | (i64(data[position + 2]) << 16)
                | (i64(data[position + 3]) << 8)
                | i64(data[position + 4])
            )
            if length < 4 or length > 0x7FFFFFFF:
                self.broken = "impossible message length"
                break
            end: i64 = position + 1 + length
            if kind == _ROW or kind == _COPY_DATA:  # noqa: SIM109 - compiled to two comparisons of machine integers
                rows += 1
                position = end
                continue
            if int(kind) not in _KNOWN:
                self.broken = f"unknown message type 0x{int(kind):02x}"
                break
            if end > size and int(kind) in _WHOLE and length <= HELD_MAX_BYTES:
                wanted = length + 1
                break
            found.append(BackendMessage(kind, rows, position, min(end, size), end <= size))
            rows = 0
            position = end
        self.rows_after = rows
        self._cut(data, position, size, wanted)
        return found

    def _cut(self, data: bytes, position: i64, size: i64, wanted: i64) -> None:
        """Keep what was not understood yet; remember how much of a body is still to come."""
        self._remaining = max(position - size, 0)
        self._held.keep(data, position, wanted)
        self.chunk = data[:position] if position < size else data


class FrontendFrames:
    """Cuts the client's stream into messages, oldest first."""

    def __init__(self, streamed_min_bytes: int) -> None:
        self._streamed_min_bytes = streamed_min_bytes
        self._parts: list[bytes] = []
        self._buffer: bytes = b""
        self._position: int = 0
        self._wanted: int = 5
        self._remaining: int = 0
        self.pending_bytes: int = 0

    def feed(self, data: bytes) -> None:
        """Add received bytes behind what is still unread."""
        self._parts.append(data)
        self.pending_bytes += len(data)

    def next_message(self) -> bytes | None:
        """The next whole message, type and length included; None when more bytes are needed.

        A message of ``streamed_min_bytes`` or more comes in parts, however it arrives: this returns its first
        ``STREAM_HEAD_BYTES``, ``streaming`` is then true, and ``next_part`` gives the rest. Raises ``FramingError``.
        """
        if self.pending_bytes < self._wanted:
            return None
        self._gather()
        position = self._position
        length = int.from_bytes(self._buffer[position + 1 : position + 5], "big")
        if length < 4 or length > 0x3FFFFFFF:
            raise FramingError(f"impossible message length {length}")
        size = length + 1
        head = size if size < self._streamed_min_bytes else STREAM_HEAD_BYTES
        if head > self.pending_bytes:
            self._wanted = head
            return None
        self._remaining = size - head
        self._wanted = 5
        return self._take(head)

    def next_part(self) -> bytes | None:
        """More of the message that is streaming; None when more bytes are needed or nothing is streaming."""
        if self.pending_bytes == 0 or self._remaining == 0:
            return None
        self._gather()
        size = min(self.pending_bytes, self._remaining)
        self._remaining -= size
        return self._take(size)

    def rest(self) -> bytes:
        """Everything that is still unread, which is then no longer kept."""
        self._gather()
        return self._take(self.pending_bytes)

    @property
    def streaming(self) -> bool:
        """Whether a message has begun whose end has not been read yet."""
        return self._remaining > 0

    def _gather(self) -> None:
        if not self._parts:
            return
        if self._position < len(self._buffer):
            self._parts.insert(0, self._buffer[self._position :])
        self._buffer = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._position = 0

    def _take(self, size: int) -> bytes:
        start = self._position
        self._position = start + size
        self.pending_bytes -= size
        if start == 0 and size == len(self._buffer):
            taken = self._buffer
        else:
            taken = self._buffer[start : start + size]
        if self.pending_bytes == 0:
            self._buffer = b""
            self._position = 0
        return taken
