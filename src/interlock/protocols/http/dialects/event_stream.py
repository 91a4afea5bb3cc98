"""Server-sent events (WHATWG HTML, 9.2): a stream of bytes in any cut to events.

Nothing is interpreted besides the fields of the format; bytes that are not UTF-8 are the reader's to refuse.
"""

from collections.abc import Iterator

import msgspec


class StreamEvent(msgspec.Struct, frozen=True):
    """One event. ``raw`` is it as it came, with the blank line that ends it.

    ``data`` are its data lines joined by line feeds, None when it has none; ``fields`` are its other lines, as they
    came, comments among them.
    """

    raw: bytes
    type: bytes = b""
    data: bytes | None = None
    fields: tuple[bytes, ...] = ()

    def with_data(self, data: bytes) -> bytes:
        """The event with other data, which must be a single line."""
        return b"".join(line + b"\n" for line in self.fields) + b"data: " + data + b"\n\n"


class EventStream:
    """Cuts a stream into events; what is not complete is kept. Who feeds it bounds ``buffered``."""

    def __init__(self) -> None:
        self._buffer = b""
        self._searched = 0
        self._begun = False

    @property
    def buffered(self) -> int:
        """How many bytes are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """More of the stream."""
        self._buffer += data

    def next(self) -> StreamEvent | None:
        """The next complete event, None when more bytes are needed for one."""
        if not self._begun and len(self._buffer) >= 3:
            self._begun = True
            self._buffer = self._buffer.removeprefix(b"\xef\xbb\xbf")
        end = self._end_of_event() if self._begun or self._buffer[:1] != b"\xef" else -1
        if end < 0:
            return None
        raw, self._buffer, self._searched = self._buffer[:end], self._buffer[end:], 0
        return read_event(raw)

    def take_rest(self) -> bytes:
        """What is kept and no event; readers of the format drop it (9.2.6)."""
        rest, self._buffer, self._searched = self._buffer, b"", 0
        return rest

    def _end_of_event(self) -> int:
        """Where the first blank line ends, -1 when there is none yet."""
        position = self._searched
        while True:
            end, following = _line_end(self._buffer, position)
            if following < 0:
                self._searched = position
                return -1
            if end == position:
                return following
            position = following


def read_event(raw: bytes) -> StreamEvent:
    """The event in its lines."""
    kind, data, fields = b"", [], []
    for line in _lines(raw):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
            continue
        if name == b"event":
            kind = value
        fields.append(line)
    return StreamEvent(raw, kind, b"\n".join(data) if data else None, tuple(fields))


def _lines(raw: bytes) -> Iterator[bytes]:
    for line in raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if line:
            yield line


def _line_end(buffer: bytes, start: int) -> tuple[int, int]:
    """Where the line that begins at ``start`` ends and where the next one begins; (-1, -1) when that is not known."""
    feed = buffer.find(b"\n", start)
    carriage = buffer.find(b"\r", start, feed if feed >= 0 else len(buffer))
    if carriage < 0:
        return (feed, feed + 1) if feed >= 0 else (-1, -1)
    if carriage + 1 == len(buffer):
        return -1, -1  # A line feed may follow that belongs to it.
    return carriage, carriage + (2 if buffer[carriage + 1] == 10 else 1)
