"""Bytes that came and were not read yet. Holds what it is fed; who feeds it bounds it by ``size``."""

from typing import Final

from interlock.protocols.http.wire.messages import Malformed

_SECTION_END: Final = b"\r\n\r\n"
_CR: Final = 0x0D


class Received:
    """The unread bytes are ``data[at:]``; whoever reads moves ``at``."""

    def __init__(self) -> None:
        self.data: bytes = b""
        self.at: int = 0
        self._searched: int = 0

    @property
    def size(self) -> int:
        return len(self.data) - self.at

    def feed(self, data: bytes) -> None:
        if self.at == len(self.data):
            self.data = data
        else:
            self.data = self.data[self.at :] + data
        self._searched = max(self._searched - self.at, 0)
        self.at = 0

    def take(self, max_bytes: int) -> bytes:
        """At most so many bytes, none when there are none."""
        piece = self.data[self.at : self.at + max_bytes]
        self.at += len(piece)
        return piece

    def take_all(self) -> bytes:
        rest = self.data[self.at :]
        self.data = b""
        self.at = self._searched = 0
        return rest

    def section_end(self, max_bytes: int) -> int:
        """Where the empty line begins that ends a section of at most so many bytes; -1 when more bytes are needed.

        Which error is raised depends on the bytes only, not on how they were cut: the one that shows first.
        """
        start, since = self.at, max(self._searched, self.at)
        end = self.data.find(_SECTION_END, since, start + max_bytes)
        if end >= 0:
            self._searched = 0
            return end
        if since > start and self.data[since - 1] == _CR:
            since -= 1
        refuse_bare_line_feed(self.data, since, start + max_bytes)
        if self.size >= max_bytes:
            raise Malformed(431, f"the fields are longer than {max_bytes} bytes: send fewer or shorter ones")
        self._searched = max(len(self.data) - 3, 0)
        return -1


def refuse_bare_line_feed(data: bytes, start: int, end: int) -> None:
    """Raise when a line ends in LF alone, which some recipients take for the end of a line and some do not."""
    if data.count(b"\n", start, end) != data.count(b"\r\n", start, end):
        raise Malformed(400, "a line ends in LF alone: end lines with CR LF")
