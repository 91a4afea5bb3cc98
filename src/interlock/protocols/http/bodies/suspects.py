"""Where in the data at hand a closer look is needed, found window by window as the reader gets there.

What the reader passes without asking, such as long arrays of harmless numbers, is not searched. The module is plain
typed Python that mypyc compiles where a C compiler is at hand.
"""

import re
from typing import Final

from interlock.protocols.http.bodies.plan import Plan

_WINDOW_BYTES: Final = 8 << 10
_NEXT_WINDOW_BYTES: Final = 512
"""With so little of a window left, the next one begins."""
_MANY_POINTS: Final = 64
# Numbers with a fraction that no detector knows, between what no finding goes across.
_HARMLESS: Final = re.compile(rb"(?:(?<=[\[,])|(?<=\":)) ?-?[0-9]{1,6}\.[0-9]+(?:[eE]-[0-9]+)?(?=[,\]}])")
_COMMAS: Final = b"," * 64


def _commas(number: re.Match[bytes]) -> bytes:
    """As long as the number, and nothing that is suspicious."""
    length = number.end() - number.start()
    return _COMMAS[:length] if length <= 64 else b"," * length


class Suspects:
    """To be asked from left to right. Without anything to look for, nothing is suspected."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._looks: bool = plan.looks_into_texts
        self._data = b""
        self._seen_to: int = 0
        self._spans: list[int] = []
        self._offset: int = 0
        self._next: int = 0

    def begin(self, data: bytes) -> None:
        """What follows is about this data."""
        self._data = data
        self._seen_to = 0

    def clear_until(self, position: int) -> int:
        """Up to where nothing is suspected, as far as that is known. ``position`` is where a token begins."""
        size = len(self._data)
        if not self._looks:
            return size
        if position + _NEXT_WINDOW_BYTES > self._seen_to and self._seen_to < size:
            self._see(position, position + _WINDOW_BYTES)
        return min(self._next_from(position), self._seen_to)

    def touch(self, context: int, start: int, end: int) -> bool:
        """Whether something is suspected from ``start`` to ``end``. What tells of it begins at ``context``."""
        if not self._looks:
            return False
        if end > self._seen_to:
            self._see(context, max(end, context + _WINDOW_BYTES))
        return self._next_from(start) < end

    def _see(self, start: int, end: int) -> None:
        window = self._data[start:end]
        if self._plan.content is not None and window.count(b".") > _MANY_POINTS:
            window = _HARMLESS.sub(_commas, window)
        self._spans = self._plan.candidates(window)
        self._offset = start
        self._next = 0
        self._seen_to = min(end, len(self._data))

    def _next_from(self, position: int) -> int:
        """Where the next suspicion begins that does not end before ``position``; behind everything for none."""
        spans = self._spans
        relative = position - self._offset
        while self._next < len(spans) and spans[self._next + 1] <= relative:
            self._next += 2
        return spans[self._next] + self._offset if self._next < len(spans) else len(self._data)
