"""SHA-256 over what is read from a file, or written to it, in the order of its offsets.

Clients keep many requests in flight, and answers may be short, so that pieces come out of order: up to
``MAX_STASHED_BYTES`` wait for what is missing before them. When that does not help, or a part comes twice, there is no
digest and that is said; what was covered is known all the same, up to ``MAX_RANGES`` pieces.
"""

import hashlib
from bisect import bisect_right
from typing import Final

MAX_STASHED_BYTES: Final = 4 << 20
MAX_RANGES: Final = 64
_SHOWN_RANGES: Final = 8

Data = bytes | memoryview


class RangeDigest:
    """One direction of one open file."""

    def __init__(self) -> None:
        self.total_bytes = 0
        """What came in all, with what came twice."""
        self._hasher = hashlib.sha256()
        self._start = -1
        """Where the digest begins; -1 before there is anything."""
        self._position = 0
        """Up to where it goes."""
        self._stash: dict[int, bytes] = {}
        self._stashed = 0
        self._in_order = True
        self._ranges: list[list[int]] = []
        self._scattered = False

    def expect(self, offset: int) -> None:
        """What comes first by its offset, which may not be what comes first in time."""
        if self._start < 0:
            self._start = self._position = offset

    def add(self, offset: int, data: Data) -> None:
        """``data`` is at ``offset``."""
        size = len(data)
        if not size:
            return
        self.total_bytes += size
        self._cover(offset, offset + size)
        if not self._in_order:
            return
        self.expect(offset)
        if offset == self._position:
            self._hash(offset, data)
        elif offset > self._position and self._stashed + size <= MAX_STASHED_BYTES and offset not in self._stash:
            self._stash[offset] = bytes(data)
            self._stashed += size
        else:
            self.give_up()

    def append(self, data: Data) -> None:
        """``data`` is behind what came before, wherever that is."""
        self.add(self._position, data)

    def give_up(self) -> None:
        """There will be no digest."""
        self._in_order = False
        self._stash.clear()

    def describe(self) -> str:
        """``12 bytes sha256:…``; what else was covered when there is no digest."""
        count = f"{self.total_bytes} bytes"
        if not self._in_order or self._stash:
            return f"{count} not in order ({self._covered()})"
        begins = f" from {self._start}" if self._start > 0 else ""
        return f"{count}{begins} sha256:{self._hasher.hexdigest()}"

    def _hash(self, offset: int, data: Data) -> None:
        self._hasher.update(data)
        self._position = offset + len(data)
        while self._stash and (stashed := self._stash.pop(self._position, None)) is not None:
            self._stashed -= len(stashed)
            self._hasher.update(stashed)
            self._position += len(stashed)

    def _cover(self, start: int, end: int) -> None:
        ranges = self._ranges
        if ranges and ranges[-1][1] == start:
            ranges[-1][1] = end
            return
        place = bisect_right(ranges, [start, end])
        if place and ranges[place - 1][1] >= start:
            place -= 1
            start, end = ranges[place][0], max(end, ranges[place][1])
        last = place
        while last < len(ranges) and ranges[last][0] <= end:
            end = max(end, ranges[last][1])
            last += 1
        ranges[place:last] = [[start, end]]
        if len(ranges) > MAX_RANGES:
            self._scattered = True
            self._merge_nearest()

    def _merge_nearest(self) -> None:
        """Of more ranges than are kept, the two that are closest count as one."""
        ranges = self._ranges
        gaps = [ranges[place + 1][0] - ranges[place][1] for place in range(len(ranges) - 1)]
        place = gaps.index(min(gaps))
        ranges[place : place + 2] = [[ranges[place][0], ranges[place + 1][1]]]

    def _covered(self) -> str:
        shown = ", ".join(f"{start}-{end}" for start, end in self._ranges[:_SHOWN_RANGES])
        more = len(self._ranges) - _SHOWN_RANGES
        return f"{'about ' if self._scattered else ''}{shown}{f' and {more} more' if more > 0 else ''}"
