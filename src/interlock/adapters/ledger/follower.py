"""Follows the segment files of a ledger that this process writes, from an entry on. Changes nothing.

What was read is never read again: it keeps its place in the last segment it came to.
"""

import contextlib
from pathlib import Path

from interlock.adapters.ledger.ledger import FileLedger
from interlock.adapters.ledger.opening import SEGMENTS
from interlock.adapters.ledger.segments import HEADER_BYTES, SegmentReader, first_sequence, list_segments
from interlock.core.errors import EvidenceError


class SegmentFollower:
    """Implements ``services.events.Follower``. One thread at a time."""

    def __init__(self, directory: Path, after: int) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._offset = 0
        self._at = 0
        self.position = after + 1

    def read(self, size: int, max_entries: int, max_bytes: int) -> list[bytes]:
        """See ``services.events.Follower``."""
        found: list[bytes] = []
        room = max_bytes
        while self._at < size and len(found) < max_entries and room > 0:
            before = self._at
            self._read_segment(size, max_entries, room, found)
            room = max_bytes - sum(map(len, found))
            if self._at == before and not self._advance():
                raise EvidenceError(f"entry {self._at} cannot be read")
        return found

    def _read_segment(self, size: int, max_entries: int, room: int, found: list[bytes]) -> None:
        if self._path is None:
            return
        reader = SegmentReader(self._path, self._offset)
        with contextlib.closing(iter(reader)) as entries:
            while self._at < size and len(found) < max_entries and room > 0:
                stored = next(entries, None)
                if stored is None:
                    break
                if self._at >= self.position:
                    found.append(stored.data)
                    room -= len(stored.data)
                self._at += 1
                self._offset = stored.offset + HEADER_BYTES + len(stored.data)
        self.position = max(self.position, self._at)

    def _advance(self) -> bool:
        """Go to the segment with the next entry, at first to the one where reading begins. False when there is none."""
        segments = list_segments(self._directory)
        wanted = self.position if self._path is None else self._at
        following = [path for path in segments if first_sequence(path) <= wanted]
        if not following or following[-1] == self._path:
            return False
        self._path, self._offset, self._at = following[-1], 0, first_sequence(following[-1])
        return True


class FollowedLedger:
    """Implements ``services.events.LedgerNews``."""

    def __init__(self, ledger: FileLedger) -> None:
        self._ledger = ledger

    @property
    def size(self) -> int:
        return self._ledger.size

    def follow(self, after: int) -> SegmentFollower:
        return SegmentFollower(self._ledger.directory / SEGMENTS, after)
