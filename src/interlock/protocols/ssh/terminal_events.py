"""An SSH session's recording as events of terminals (``core.terminal_event``), for playing and exporting.

Like ``transcript`` it takes whatever was recorded and raises for nothing. Output that went to no terminal gets the line
ends of one. What cannot act on a terminal is shown as it was written.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final

from interlock.core.recording import Frame, SealedRequest
from interlock.core.terminal import TerminalText
from interlock.core.terminal_event import TerminalEvent, TerminalEventKind
from interlock.protocols.ssh.asked import Asked
from interlock.protocols.ssh.recorded import Stream, decode, terminal_size

MAX_OPERATIONS: Final = 1000
"""Operations whose streams are told apart; of the one that began first, a sequence that is cut is lost."""

_KINDS: Final = {
    Stream.OUTPUT: TerminalEventKind.OUTPUT,
    Stream.ERROR: TerminalEventKind.OUTPUT,
    Stream.INPUT: TerminalEventKind.INPUT,
    Stream.RESIZED: TerminalEventKind.RESIZED,
    Stream.SIGNAL: TerminalEventKind.SIGNAL,
    Stream.EXIT: TerminalEventKind.EXIT,
}
_BARE_LINE_END: Final = re.compile(r"(?<!\r)\n")


class SshTerminalEvents:
    """Implements ``services.evidence.archive.TerminalReader`` for one session."""

    def __init__(self) -> None:
        self._operations: dict[int, _Operation] = {}

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterator[TerminalEvent]:
        """What was asked for."""
        yield TerminalEvent(at_us, number, TerminalEventKind.ASKED, Asked.of(request).text)

    def frame(self, frame: Frame) -> Iterator[TerminalEvent]:
        """What happened: nothing, when it is the part of a letter or of a sequence."""
        try:
            stream, data = decode(frame.data)
        except ValueError:
            text = f"{len(frame.data)} bytes cannot be read"
            yield TerminalEvent(frame.at_us, frame.number, TerminalEventKind.GAP, text)
            return
        if text := self._operation(frame.number).text(stream, data):
            yield TerminalEvent(frame.at_us, frame.number, _KINDS[stream], text)
        if stream is Stream.EXIT:
            del self._operations[frame.number]

    def _operation(self, number: int) -> "_Operation":
        if number not in self._operations:
            if len(self._operations) >= MAX_OPERATIONS:
                del self._operations[next(iter(self._operations))]
            self._operations[number] = _Operation()
        return self._operations[number]


class _Operation:
    """The streams of one operation."""

    def __init__(self) -> None:
        self._has_terminal = False
        self._outputs: dict[Stream, TerminalText] = {}
        self._typed = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, stream: Stream, data: bytes) -> str:
        """What is shown of a frame."""
        if stream in (Stream.OUTPUT, Stream.ERROR):
            text = self._outputs.setdefault(stream, TerminalText()).feed(data)
            return text if self._has_terminal else _BARE_LINE_END.sub("\r\n", text)
        if stream is Stream.RESIZED:
            self._has_terminal = True
            columns, rows = terminal_size(data)
            return f"{columns}x{rows}"
        return self._typed.decode(data) if stream is Stream.INPUT else data.decode(errors="replace")
