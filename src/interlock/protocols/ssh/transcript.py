"""An SSH session's recording as lines for people: what was asked, typed, written and read, and how it ended.

Several channels run at once, so each operation is read by itself. One with a terminal (its recording begins with the
terminal's size) is read off an emulated screen; other output is taken line by line. Nothing in here raises for what was
recorded, and every text is made printable.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from interlock.core.printable import printable
from interlock.core.recording import Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.core.terminal import TerminalText
from interlock.core.terminal_event import exit_words
from interlock.protocols.ssh.asked import Asked
from interlock.protocols.ssh.recorded import Recorded, Stream, decode, terminal_size
from interlock.protocols.ssh.screen import Screen
from interlock.protocols.ssh.terminal_events import SshTerminalEvents

MAX_OPERATIONS: Final = 1000
"""Operations that are read at a time; the one that began first is over when there are more."""
MAX_LINE: Final = 8192
"""Characters of a line; what is longer comes in parts."""
QUIET_US: Final = 1_000_000
"""A screen is read after this time without output."""

_KINDS: Final = {
    Stream.OUTPUT: TranscriptKind.DATA,
    Stream.ERROR: TranscriptKind.ERROR,
    Stream.INPUT: TranscriptKind.REQUEST,
}


class SshTranscript:
    """Implements ``protocols.base.Transcript``, ``TerminalTranscriber`` and ``StreamTranscriber``."""

    def __init__(self) -> None:
        self._operations: dict[int, _Operation] = {}

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterator[TranscriptLine]:
        """What was asked for, and what was too long to be kept."""
        asked = Asked.of(request)
        yield TranscriptLine(at_us, number, TranscriptKind.REQUEST, asked.text, asked.variables)
        if request.forwarded:
            forwarded = printable(request.forwarded.decode(errors="replace"))
            yield TranscriptLine(at_us, number, TranscriptKind.NOTICE, f"sent to the target in its place: {forwarded}")
        cut = request.text_bytes - len(request.text) + request.parameter_bytes - len(request.parameters)
        if cut > 0:
            yield TranscriptLine(at_us, number, TranscriptKind.GAP, f"{cut} bytes of the request were not kept")

    def frame(self, frame: Frame) -> Iterator[TranscriptLine]:
        """The lines that this frame completes."""
        operation = self._operations.get(frame.number)
        if operation is None:
            yield from self._make_room()
            operation = self._operations[frame.number] = _Operation(frame.number)
        try:
            recorded = decode(frame.data)
        except ValueError:
            text = f"{len(frame.data)} bytes cannot be read"
            yield TranscriptLine(frame.at_us, frame.number, TranscriptKind.GAP, text)
            return
        yield from operation.take(frame.at_us, recorded)
        if recorded.stream is Stream.EXIT:
            del self._operations[frame.number]

    def finish(self) -> Iterator[TranscriptLine]:
        """What is left of operations that are not over."""
        for operation in self._operations.values():
            yield from operation.finish()
        self._operations.clear()

    def new_terminal(self) -> SshTerminalEvents:
        """A reader of the same session's recording as what happened at terminals."""
        return SshTerminalEvents()

    def stream(self, frame: Frame) -> tuple[str, bytes]:
        """See ``services.evidence.archive.StreamTranscriber``."""
        try:
            recorded = decode(frame.data)
        except ValueError:
            return "", frame.data
        return recorded.stream.name, recorded.data

    def _make_room(self) -> Iterator[TranscriptLine]:
        if len(self._operations) >= MAX_OPERATIONS:
            oldest = next(iter(self._operations))
            yield from self._operations.pop(oldest).finish()


class _Operation:
    """What is known while one operation is read."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._readings: dict[Stream, _Lines | _Terminal] = {}
        self._terminal: _Terminal | None = None
        self._at_us = 0

    def take(self, at_us: int, recorded: Recorded) -> Iterator[TranscriptLine]:
        stream, data = recorded
        quiet, self._at_us = at_us - self._at_us >= QUIET_US, at_us
        if quiet and self._terminal is not None:
            yield from self._lines(Stream.OUTPUT, self._terminal.settle())
        if stream in _KINDS:
            yield from self._lines(stream, self._reading(stream).feed(data))
        elif stream is Stream.RESIZED:
            yield from self._resized(data)
        else:
            yield from self.finish()
            yield self._line(*_ENDINGS[stream](data.decode(errors="replace")))

    def finish(self) -> Iterator[TranscriptLine]:
        """What has no end yet."""
        for stream, reading in self._readings.items():
            yield from self._lines(stream, reading.finish())

    def _reading(self, stream: Stream) -> "_Lines | _Terminal":
        if stream not in self._readings:
            is_output = stream is not Stream.INPUT
            self._readings[stream] = (is_output and self._terminal) or _Lines(typed=self._terminal is not None)
        return self._readings[stream]

    def _resized(self, data: bytes) -> Iterator[TranscriptLine]:
        columns, rows = terminal_size(data)
        if self._terminal is None:
            self._terminal = _Terminal(columns, rows)
            return
        yield from self._lines(Stream.OUTPUT, self._terminal.resize(columns, rows))
        yield self._line(TranscriptKind.NOTICE, f"the terminal has {columns} columns and {rows} rows")

    def _lines(self, stream: Stream, texts: Iterable[str]) -> Iterator[TranscriptLine]:
        return (self._line(_KINDS[stream], text) for text in texts)

    def _line(self, kind: TranscriptKind, text: str) -> TranscriptLine:
        return TranscriptLine(self._at_us, self._number, kind, printable(text))


class _Lines:
    """A stream that is no terminal's; of what was ``typed`` at one, lines end with the return key."""

    def __init__(self, *, typed: bool) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typed = typed
        self._begun = ""

    def feed(self, data: bytes) -> Iterator[str]:
        text = self._decoder.decode(data)
        *whole, self._begun = (self._begun + (text.replace("\r", "\n") if self._typed else text)).split("\n")
        for line in whole:
            yield from _parts(line.removesuffix("\r"))
        while len(self._begun) > MAX_LINE:
            yield self._begun[:MAX_LINE]
            self._begun = self._begun[MAX_LINE:]

    def finish(self) -> Iterator[str]:
        begun, self._begun = self._begun + self._decoder.decode(b"", True), ""
        if begun:
            yield begun


class _Terminal:
    """Output to a terminal, as it stood on its screen."""

    def __init__(self, columns: int, rows: int) -> None:
        self._text = TerminalText()
        self._screen = Screen(columns, rows)
        self.resize, self.settle, self.finish = self._screen.resize, self._screen.settle, self._screen.finish

    def feed(self, data: bytes) -> list[str]:
        return self._screen.feed(self._text.feed(data))


def _parts(line: str) -> Iterator[str]:
    for start in range(0, max(len(line), 1), MAX_LINE):
        yield line[start : start + MAX_LINE]


def _exit(text: str) -> tuple[TranscriptKind, str]:
    return TranscriptKind.DONE, exit_words(text)


def _signal(text: str) -> tuple[TranscriptKind, str]:
    return TranscriptKind.REQUEST, f"signal {text}"


_ENDINGS: Final[dict[Stream, Callable[[str], tuple[TranscriptKind, str]]]] = {
    Stream.EXIT: _exit,
    Stream.SIGNAL: _signal,
}
