"""Recorded bodies as lines for people: pretty JSON, events and lines as they came, text, and the size of anything else.

Codings are taken off and characters read as far as that is possible; what cannot be read is said to be so. Nothing in
here raises for what was recorded, and nothing a line shows can steer a terminal.
"""

import codecs
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec

from interlock.core.printable import printable
from interlock.core.recording import DocumentLine, TranscriptKind, TranscriptLine
from interlock.protocols.http.bodies.charsets import CHARSETS
from interlock.protocols.http.bodies.codings import Decoding, open_decoding
from interlock.protocols.http.bodies.media_types import MediaType, media_type
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.documents import Fields, csv_fields, json_fields, pretty
from interlock.protocols.http.wire.messages import Headers

MAX_HELD: Final = 8 << 20
"""Characters of one body that are held to be read as a whole; one that is longer is shown as it comes."""
_MAX_DECODED_BYTES: Final = 256 << 20
_LINES: Final = frozenset(
    {"application/x-ndjson", "application/jsonl", "application/json-seq", "application/jsonlines"}
)
_TEXTS: Final = frozenset(
    {"application/xml", "application/x-www-form-urlencoded", "application/javascript", "application/graphql"}
)


class Shown(msgspec.Struct, frozen=True):
    """A part of a body as it is shown, and the values in it."""

    text: str
    fields: Fields = ()


class BodyReader(Protocol):
    """Reads the characters of one kind of body."""

    def feed(self, text: str) -> Iterator[Shown]: ...

    def finish(self) -> Iterator[Shown]: ...


class BodyLines:
    """The lines of one recorded body: ``feed`` what was kept of it, in order, then ``finish``."""

    def __init__(self, number: int, headers: Headers) -> None:
        kind = media_type([value for name, value in headers if name == b"content-type"])
        self._kind = kind if isinstance(kind, MediaType) else MediaType()
        codings = b",".join(value for name, value in headers if name == b"content-encoding").lower().split(b",")
        decoding = open_decoding([coding.strip() for coding in codings], _MAX_DECODED_BYTES)
        self._decoding: Decoding | None = decoding if isinstance(decoding, Decoding) else None
        charset = CHARSETS.get(self._kind.parameter("charset").lower(), "utf-8")
        self._characters = codecs.getincrementaldecoder(charset)("replace")
        self._number = number
        self._reader: BodyReader | None = None
        self._size = 0

    def feed(self, at_us: int, data: bytes) -> Iterator[TranscriptLine]:
        """The lines that this part of the body completes."""
        self._size += len(data)
        text = self._characters.decode(self._decoded(data))
        if self._reader is None and text:
            self._reader = reader_of(self._kind, text)
        if self._reader is not None:
            yield from self._shown(at_us, self._reader.feed(text))

    def finish(self, at_us: int) -> Iterator[TranscriptLine]:
        """The lines of what was held."""
        if self._reader is not None:
            yield from self._shown(at_us, self._reader.finish())
        if self._decoding is None and self._size:
            text = f"{self._size} bytes that cannot be decoded"
            yield TranscriptLine(at_us, self._number, TranscriptKind.DATA, text)

    def _decoded(self, data: bytes) -> bytes:
        if self._decoding is None:
            return b""
        pieces: list[bytes] = []
        try:
            pieces.extend(self._decoding.feed(data))
        except BodyRefused:
            self._decoding = None
        return b"".join(pieces)

    def _shown(self, at_us: int, shown: Iterator[Shown]) -> Iterator[TranscriptLine]:
        for one in shown:
            text = printable(one.text.replace("\r\n", "\n"))
            yield DocumentLine(at_us, self._number, TranscriptKind.DATA, text, fields=one.fields)


def reader_of(kind: MediaType, start: str) -> BodyReader:
    """What reads a body of this type that starts like this."""
    name = kind.name
    if name == "text/event-stream":
        return EventReader()
    if name in _LINES:
        return LineReader()
    if name == "text/csv":
        return WholeReader(lambda text: Shown(text, csv_fields(text)))
    if name.endswith(("/json", "+json")) or start.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        return WholeReader(shown_json)
    if name.startswith("text/") or name in _TEXTS or name.endswith("+xml") or not name:
        return TextReader()
    return SizeReader(name)


def shown_json(text: str) -> Shown:
    """A JSON text, pretty when it is whole."""
    plain = text.removeprefix("\ufeff")
    return Shown(pretty(plain) or plain, json_fields(plain))


class WholeReader:
    """Holds a body until it is whole, and what is longer than that is possible not at all."""

    def __init__(self, show: Callable[[str], Shown]) -> None:
        self._show = show
        self._parts: list[str] = []
        self._held = 0

    def feed(self, text: str) -> Iterator[Shown]:
        self._parts.append(text)
        self._held += len(text)
        if self._held > MAX_HELD:
            yield from self.finish()

    def finish(self) -> Iterator[Shown]:
        if self._parts:
            text, self._parts, self._held = "".join(self._parts), [], 0
            yield self._show(text)


class LineReader:
    """One JSON text on each line."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterator[Shown]:
        *lines, self._rest = (self._rest + text).split("\n")
        yield from (Shown(line, json_fields(line)) for line in lines if line.strip("\x1e \r"))

    def finish(self) -> Iterator[Shown]:
        rest, self._rest = self._rest, ""
        if rest:
            yield Shown(rest, json_fields(rest))


class EventReader:
    """Server-sent events (HTML, 9.2), each as its lines."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._rest = ""

    def feed(self, text: str) -> Iterator[Shown]:
        raw = self._rest + text
        held = "\r" if raw.endswith("\r") else ""  # a line feed may follow
        *lines, rest = raw.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = rest + held
        for line in lines:
            if line:
                self._lines.append(line)
            else:
                yield from self._event()

    def finish(self) -> Iterator[Shown]:
        if rest := self._rest.removesuffix("\r"):
            self._lines.append(rest)
        self._rest = ""
        yield from self._event()

    def _event(self) -> Iterator[Shown]:
        lines, self._lines = self._lines, []
        if lines:
            data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
            yield Shown("\n".join(lines), json_fields(data) if data[:1] in ("{", "[") else ())


class TextReader:
    """Text as it comes, up to the last line break."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterator[Shown]:
        lines, separator, rest = (self._rest + text).rpartition("\n")
        self._rest = rest
        if separator and lines:
            yield Shown(lines)

    def finish(self) -> Iterator[Shown]:
        rest, self._rest = self._rest, ""
        if rest:
            yield Shown(rest)


class SizeReader:
    """What is no text is only told."""

    def __init__(self, name: str) -> None:
        self._name = name

    def feed(self, text: str) -> Iterator[Shown]:
        return iter(())

    def finish(self) -> Iterator[Shown]:
        yield Shown(f"a body of the type {self._name}")
