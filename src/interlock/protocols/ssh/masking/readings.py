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
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Final, NamedTuple

from interlock.core.content.readable import ONLY_ASCII, Spans, is_text, lines_that_are_no_text

_CSI: Final = rb"(?:\x1b\[|%(c1)b\x9b)[0-?]*[ -/]*[@-~]?"
_STRING_BEGIN: Final = rb"(?:\x1b[\]PX^_]|%(c1)b[\x90\x98\x9d-\x9f])"
_STRING_END: Final = rb"(?:\x07|\x1b\\|\x18|\x1a|%(c1)b\x9c|(?=\x1b|%(c1)b[\x80-\x9f]))"
_STRING: Final = _STRING_BEGIN + rb"%(content)b" + _STRING_END
_INVISIBLE: Final = rb"\xc2\xad|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf"
_BACKSPACE: Final = b"\b"
_ESCAPE: Final = b"\x1b"
_LINE_FEED: Final = 0x0A
_OTHER: Final = rb"\x1b[ -/]*[0-~]?|[\x00-\x07\x0b-\x1a\x1c-\x1f\x7f]+|\x08|%(c1)b[\x80-\x9f]|" + _INVISIBLE
_FIRST: Final = rb"(?=[\x00-\x08\x0b-\x1f\x7f-\x9f\xc2\xe2\xef])"  # of every alternative: makes the search quicker
_CONTROL: Final = _FIRST + b"(" + b"|".join((_CSI, _STRING, _OTHER)) + b")"
_UTF_8: Final = re.compile(
    _CONTROL % {b"c1": rb"\xc2", b"content": rb"(?:[^\x07\n\x18\x1a\x1b\xc2]|\xc2[^\x80-\x9f])*+"}
)
_EIGHT_BITS: Final = re.compile(_CONTROL % {b"c1": rb"\xc2?", b"content": rb"[^\x07\n\x18\x1a\x1b\x80-\x9f]*+"})

_CONTROL_BYTES: Final = bytes(set(range(32)) - set(b"\t\n\r")) + b"\x7f"
_NOT_ASCII_CONTROL: Final = re.compile(rb"\xc2[\x80-\x9f]|" + _INVISIBLE)
_PARAMETERS: Final = re.compile(rb"(\x1b\[|\xc2?\x9b)[0-?]*[ -/]*([@-~]?)")
_CONTENT: Final = re.compile(
    rb"(\x1b[\]PX^_]|\xc2?[\x90\x98\x9d-\x9f])[^\x07\x18\x1a\x1b]*?(\x07|\x1b\\|\x18|\x1a|\xc2?\x9c|)"
)
_MAX_REMEMBERED: Final = 1024


class _Places(NamedTuple):
    """Where runs of a text begin, in it and in the output, and what is kept of the output."""

    starts: list[int]
    origins: list[int]
    kept: Spans


class Reading:
    """``text`` is what to look at."""

    def __init__(self, text: bytes, places: Callable[[], "_Places"]) -> None:
        self.text = text
        self._find_places = places
        self._places: _Places | None = None

    @property
    def kept(self) -> Spans:
        """What stays whatever is found around it: control sequences, but for what is in strings."""
        return self._found().kept

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]``, which is not empty, is in the output."""
        return self._origin(start), self._origin(end - 1) + 1

    def _origin(self, position: int) -> int:
        places = self._found()
        run = bisect_right(places.starts, position) - 1
        return places.origins[run] + position - places.starts[run]

    def _found(self) -> "_Places":
        # Most texts have nothing in them, and nobody asks.
        if self._places is None:
            self._places = self._find_places()
        return self._places


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
        return [Reading(output, _as_it_is)]
    split = _Split()
    position = 0
    for start, end in lines_that_are_no_text(output):
        split.add(output[position:start], _UTF_8)
        split.add(output[start:end], _EIGHT_BITS)
        position = end
    split.add(output[position:], _UTF_8)
    return [split.shown(), split.written()]


def _as_it_is() -> _Places:
    return _Places([0], [0], [])


class _Split:
    """Output in texts and the controls between them."""

    def __init__(self) -> None:
        self._texts: list[bytes] = [b""]
        self._controls: list[bytes] = []

    def add(self, part: bytes, control: re.Pattern[bytes]) -> None:
        """What comes next, and what controls look like in it."""
        parts = control.split(part)
        texts = parts[::2]
        if control is _EIGHT_BITS:
            texts = [text.translate(ONLY_ASCII) for text in texts]
        self._controls += (b"", *parts[1::2])
        self._texts += texts

    def shown(self) -> Reading:
        """As on a screen."""
        texts = _erased(self._texts, self._controls) if _BACKSPACE in self._controls else self._texts
        return Reading(b"".join(texts), lambda: self._places(texts, _kept_of))

    def written(self) -> Reading:
        """As in the bytes."""
        blanked = [_BLANKED[control] for control in self._controls]
        text = b"".join(chain.from_iterable(zip_longest(self._texts, blanked, fillvalue=b"")))
        return Reading(text, lambda: _as_it_is()._replace(kept=self._places(self._texts, _blanks_of).kept))

    def _places(self, texts: list[bytes], kept_of: Callable[[bytes], Spans]) -> _Places:
        """Of texts of which the ends may be gone."""
        starts: list[int] = []
        origins: list[int] = []
        kept: Spans = []
        start = position = 0
        for text, whole, control in zip_longest(texts, self._texts, self._controls, fillvalue=b""):
            starts.append(start)
            origins.append(position)
            start += len(text)
            position += len(whole)
            kept += ((position + first, position + last) for first, last in kept_of(control))
            position += len(control)
        return _Places(starts, origins, kept)


def _erased(texts: list[bytes], controls: list[bytes]) -> list[bytes]:
    """The texts without the characters that backspaces go back over, which is not beyond a line's beginning."""
    lengths = [len(text) for text in texts]
    filled: list[int] = []
    for index, control in enumerate(controls):
        if lengths[index]:
            filled.append(index)
        if control == _BACKSPACE:
            _take_back(texts, lengths, filled)
    return [text[:length] for text, length in zip(texts, lengths, strict=True)]


def _take_back(texts: list[bytes], lengths: list[int], filled: list[int]) -> None:
    while filled:
        last = filled[-1]
        byte = texts[last][lengths[last] - 1]
        if byte == _LINE_FEED:
            return
        lengths[last] -= 1
        if not lengths[last]:
            filled.pop()
        if byte & 0xC0 != 0x80:
            return


def _kept_of(control: bytes) -> Spans:
    """What of a control sequence stays when it is in a value: all but what is in a string."""
    return [(0, len(control))] if _CONTENT.fullmatch(control) is None else _blanks_of(control)


def _blanks_of(control: bytes) -> Spans:
    """What of a control sequence is read as blank: what makes it one, but not its parameters or what is in a string."""
    inside = _PARAMETERS.fullmatch(control) or _CONTENT.fullmatch(control)
    if inside is not None:
        return [(0, inside.end(1)), (inside.start(2), len(control))]
    return [(0, 1 if control[:1] == _ESCAPE else len(control))]


class _Blanked(dict[bytes, bytes]):
    """Control sequences with blanks; those that occur often are remembered."""

    def __missing__(self, control: bytes) -> bytes:
        blanked = bytearray(control)
        for start, end in _blanks_of(control):
            blanked[start:end] = b" " * (end - start)
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
        self[control] = bytes(blanked)
        return self[control]


_BLANKED: Final = _Blanked()
