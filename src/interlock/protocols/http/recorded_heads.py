"""Heads of requests and answers as they are kept in recordings, read for people. Nothing in here raises."""

import msgspec

from interlock.core.printable import printable
from interlock.protocols.http.wire.messages import Headers


class RecordedHead(msgspec.Struct, frozen=True):
    """A start line and fields, as they were kept. Names are in lower case."""

    start: str
    headers: Headers = ()

    def text(self) -> str:
        """As it is shown."""
        lines = (name + b": " + value for name, value in self.headers)
        return printable("\n".join((self.start, *(line.decode("utf-8", "replace") for line in lines))))

    def value(self, name: bytes) -> bytes:
        """The first field with a name, empty without one."""
        return next((value for known, value in self.headers if known == name), b"")

    @property
    def status(self) -> int:
        """Of an answer; 0 when there is none in it."""
        word = self.start.split(" ")[1:2]
        return int(word[0]) if word and len(word[0]) == 3 and word[0].isascii() and word[0].isdigit() else 0

    @property
    def method(self) -> str:
        """Of a request."""
        return self.start.partition(" ")[0]

    @property
    def path(self) -> str:
        """Of a request; empty when there is none in it."""
        target = self.start.split(" ")[1:2]
        return target[0].partition("?")[0] if target else ""


def read_head(text: bytes) -> RecordedHead:
    """A head from its bytes, with or without the empty line at its end."""
    lines = text.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    pairs = (line.partition(b":") for line in lines[1:] if line)
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    return RecordedHead(lines[0].decode("utf-8", "replace"), headers)
