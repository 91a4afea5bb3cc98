"""Masks what content detection finds in a file that is read, piece by piece, in any order.

A mask is as long as what it covers, so that offsets and sizes stay what they are. A client reads pieces; to see what
crosses their borders, each is read from the target with ``CONTEXT_BYTES`` before and behind it, and only the piece goes
on. A value that is longer than that may show a part of itself. Pieces that are no text, by their control characters,
pass as they are: a mask would break what they are part of. So does text in encodings that have NUL bytes (UTF-16).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from interlock.core.detection import scanner
from interlock.core.masking import Masking

CONTEXT_BYTES: Final = 8 << 10

_NOT_OF_TEXT: Final = bytes(set(range(32)) - set(b"\b\t\n\v\f\r\x1b")) + b"\x7f"


class Window(NamedTuple):
    """A piece of ``size`` bytes of a file, with so many more before and behind it."""

    before: int
    size: int
    behind: int = 0

    @property
    def whole(self) -> int:
        return self.before + self.size + self.behind

    def part(self, came: int) -> tuple[int, int]:
        """From where to where the piece is, of so many bytes that came.

        When fewer came than were wanted, what has not enough behind it is left for the client's next request: the file
        need not end there. When nothing would be left, it does.
        """
        start, end = min(self.before, came), min(self.before + self.size, came)
        if came < self.whole and came - self.behind > start:
            end = min(end, came - self.behind)
        return start, end


class Piece(NamedTuple):
    """What goes on of a piece, how many values were masked in it, and what was found, by class."""

    data: bytes
    masked: int
    found: Mapping[str, int]


class FileMask:
    """What is looked for in files for one principal. Stateless."""

    def __init__(self, masking: Masking) -> None:
        masked = {name for name, detector in masking.detectors.items() if detector.masked}
        self._masked = scanner(masked)
        self._reported = scanner(set(masking.detectors) - masked)

    def piece(self, window: bytes, start: int, end: int) -> Piece:
        """``window[start:end]`` with masks. Raises whatever detection raises: nothing may go on then."""
        if len(window.translate(None, _NOT_OF_TEXT)) < len(window):
            return Piece(window[start:end], 0, {})
        covered = [each for each in self._masked.find(window) if each.end > start and each.start < end]
        begun = [each for each in [*covered, *self._reported.find(window)] if start <= each.start < end]
        data = bytearray(window[start:end])
        for each in covered:
            first, last = max(each.start, start) - start, min(each.end, end) - start
            data[first:last] = b"*" * (last - first)
        masked = sum(each.start >= start for each in covered)
        return Piece(bytes(data), masked, Counter(each.detector for each in begun))

    def redact(self, text: bytes) -> bytes:
        """A text for a record, without what must not be seen."""
        return self._masked.redact(text)[0]


def mask_for(masking: Masking | None) -> FileMask | None:
    """None when nothing is to be looked for."""
    return FileMask(masking) if masking is not None and masking.detectors else None
