"""Output of a terminal as detection reads it: without control sequences, and with blanks in their places.

Two readings, because both can be seen. On a screen a sequence between two characters of a value is not there, and what
a backspace went over is gone. In the bytes, which a program reads, a sequence ends a word, a sequence that never shows
anything can hold one, and what a backspace went over still stands there.

Sequences are those of ECMA-48 and of xterm: CSI, the strings (OSC, DCS, SOS, PM, APC), other escapes, and single
control characters, in their forms of seven and of eight bits. They end with a line at the latest, so nothing is hidden
for long.
"""

import re
from bisect import bisect_right
from typing import Final, NamedTuple

from interlock.core.content.readable import Spans, is_text, lines_that_are_no_text, readable

_CSI: Final = rb"((?:\x1b\[|%(c1)b\x9b)[0-?]*[ -/]*[@-~]?)"
_STRING_BEGIN: Final = rb"(?:\x1b[\]PX^_]|%(c1)b[\x90\x98\x9d-\x9f])"
_STRING_END: Final = rb"(?:\x07|\x1b\\|\x18|\x1a|%(c1)b\x9c|(?=\x1b|%(c1)b[\x80-\x9f]))"
_STRING: Final = b"(" + _STRING_BEGIN + rb"%(content)b" + _STRING_END + b")"
_ERASED: Final = rb"(\x08)"
_INVISIBLE: Final = rb"\xc2\xad|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf"
_OTHER: Final = rb"\x1b[ -/]*[0-~]?|[\x00-\x07\x0b-\x1f\x7f]|%(c1)b[\x80-\x9f]|" + _INVISIBLE
_CONTROL: Final = b"|".join((_CSI, _STRING, _ERASED, _OTHER))
_UTF_8: Final = re.compile(
    _CONTROL % {b"c1": rb"\xc2", b"content": rb"(?:[^\x07\n\x18\x1a\x1b\xc2]|\xc2[^\x80-\x9f])*+"}
)
_EIGHT_BITS: Final = re.compile(_CONTROL % {b"c1": rb"\xc2?", b"content": rb"[^\x07\n\x18\x1a\x1b\x80-\x9f]*+"})
_CSI_GROUP: Final = 1
_STRING_GROUP: Final = 2
_ERASED_GROUP: Final = 3

_CONTROL_BYTES: Final = bytes(set(range(32)) - set(b"\t\n\r")) + b"\x7f"
_NOT_ASCII_CONTROL: Final = re.compile(rb"\xc2[\x80-\x9f]|" + _INVISIBLE)
_CLOSING: Final = re.compile(rb"(?:\x07|\x1b\\|\x18|\x1a|\xc2?\x9c)\Z")


class Reading(NamedTuple):
    """``text`` is what to look at. ``kept`` are the spans of the output that stay whatever is found around them, which
    are control sequences, but for what is in strings.

    ``starts`` and ``origins`` have, run by run, where it begins in the text and in the output.
    """

    text: bytes
    kept: Spans
    starts: list[int]
    origins: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]`` is in the output. It has at least one byte."""
        return self._origin(start), self._origin(end - 1) + 1

    def _origin(self, position: int) -> int:
        run = bisect_right(self.starts, position) - 1
        return self.origins[run] + position - self.starts[run]


def is_plain(output: bytes) -> bool:
    """Whether there is nothing but text and ends of lines in it."""
    if len(output.translate(None, _CONTROL_BYTES)) < len(output):
        return False
    if output.count(b"\r") != output.count(b"\r\n"):
        return False
    return output.isascii() or (is_text(output) and _NOT_ASCII_CONTROL.search(output) is None)


def readings(output: bytes) -> list[Reading]:
    """Each is to be looked at. A line's end is never a part of a sequence."""
    if is_plain(output):
        return [Reading(output, [], [0], [0])]
    no_text = lines_that_are_no_text(output)
    return _Reader(output, readable(output, no_text)).read(no_text)


class _Reader:
    """Goes through one piece of output once."""

    def __init__(self, output: bytes, text: bytes) -> None:
        self._output = output
        self._text = text
        self._runs: list[list[int]] = []
        """Of what is shown: starts and ends."""
        self._kept: Spans = []
        self._written = bytearray(text)
        self._blanked: Spans = []
        self._position = 0

    def read(self, no_text: Spans) -> list[Reading]:
        position = 0
        for start, end in no_text:
            self._go_through(_UTF_8, position, start)
            self._go_through(_EIGHT_BITS, start, end)
            position = end
        self._go_through(_UTF_8, position, len(self._output))
        self._show(len(self._output))
        written = Reading(bytes(self._written), self._blanked, [0], [0])
        return [self._shown(), written]

    def _shown(self) -> Reading:
        text, starts, length = self._text, [0], 0
        for start, end in self._runs:
            length += end - start
            starts.append(length)
        shown = b"".join([text[start:end] for start, end in self._runs])
        return Reading(shown, self._kept, starts[:-1], [start for start, _ in self._runs])

    def _go_through(self, control: re.Pattern[bytes], start: int, end: int) -> None:
        for match in control.finditer(self._output, start, end):
            first, last = match.span()
            self._show(first)
            self._position = last
            opened = first + (1 if 0x80 <= self._output[first] < 0xA0 else 2)
            if match.lastindex == _STRING_GROUP:
                ending = _CLOSING.search(self._output, opened, last)
                closed = last if ending is None else ending.start()
                self._kept += ((first, opened), (closed, last))
                self._blank(first, opened)
                self._blank(closed, last)
                continue
            self._kept.append((first, last))
            if match.lastindex == _CSI_GROUP:
                self._blank(first, opened)
                self._blank(max(opened, last - (self._output[last - 1] >= 0x40)), last)
            elif match.lastindex == _ERASED_GROUP:
                self._blank(first, last)
                self._erase()
            else:
                self._blank(first, first + 1 if self._output[first] == 0x1B else last)

    def _show(self, end: int) -> None:
        if end > self._position:
            self._runs.append([self._position, end])

    def _blank(self, start: int, end: int) -> None:
        if end > start:
            self._written[start:end] = b" " * (end - start)
            self._blanked.append((start, end))

    def _erase(self) -> None:
        """Take the last character of the line back."""
        while self._runs:
            run = self._runs[-1]
            byte = self._text[run[1] - 1]
            if byte == 0x0A:
                return
            run[1] -= 1
            if run[0] == run[1]:
                self._runs.pop()
            if byte & 0xC0 != 0x80:
                return
