"""The writing end of the segment files: chains records, writes them whole or not at all, and rotates.

A journal keeps no lock and no thread: its owner makes sure that one thread writes at a time. After an error it stands
where it stood before, and the next write tries again.
"""

import os
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from interlock.adapters.ledger.disk import UNCUT, Disk, open_append, sync_directory, write_whole
from interlock.adapters.ledger.segments import MAGIC, SegmentReader, first_sequence, pack_header, segment_path
from interlock.core.chain import Head, SealedEntry, encode
from interlock.core.ledger import SessionClosed, SessionOpened

SessionMark = SessionOpened | SessionClosed

TimedRecord = tuple[int, msgspec.Raw, SessionMark | None]
"""Unix time in nanoseconds, an encoded record, and the record itself when it opens or closes a session."""


def mark_session(open_sessions: dict[str, int], sequence: int, record: object) -> None:
    """Keep the map from each open session to the entry that opened it."""
    if isinstance(record, SessionOpened):
        open_sessions[record.session] = sequence
    elif isinstance(record, SessionClosed):
        open_sessions.pop(record.session, None)


class Journal:
    """Appends to the last segment, after cutting it to ``offset``.

    ``head`` is the end of the chain, ``offset`` the end of the segment. What ``write`` has written becomes final with
    ``commit``; ``rewind`` takes it back, and so does the next write when there was no commit (an exception in between).
    """

    def __init__(self, path: Path, offset: int, head: Head, open_sessions: dict[str, int], disk: Disk) -> None:
        self.path = path
        self.offset = offset
        self.head = head
        self.open_sessions = open_sessions
        self._disk = disk
        self._leaves: list[bytes] = []
        self._marks: list[tuple[int, SessionMark]] = []
        self._committed = (offset, head, 0)
        self._synced = offset
        self._unsettled = False
        self._lost_sync = False
        self._descriptor = open_append(path)
        try:
            self._begin()
        except OSError:
            os.close(self._descriptor)
            raise

    def _begin(self) -> None:
        """Cut the file, or give a new one its magic, and make that and its name durable."""
        new = self.offset < len(MAGIC)
        self._disk.ftruncate(self._descriptor, 0 if new else self.offset)
        if new:
            write_whole(self._disk, self._descriptor, MAGIC, 0)
            self.offset = self._synced = len(MAGIC)
            self._committed = (self.offset, self.head, 0)
        self._disk.fdatasync(self._descriptor)
        sync_directory(self.path.parent)

    @property
    def committed(self) -> int:
        """How many entries are final. Any thread may ask."""
        return self._committed[1].sequence

    def write(self, records: Sequence[TimedRecord]) -> None:
        """Append records in one system call. Raises ``OSError``, then none of them is in the ledger."""
        if self._unsettled:
            self.rewind()
        sequence, prev = self.head.sequence, self.head.prev
        leaves: list[bytes] = []
        frames: list[bytes] = []
        for time_ns, record, mark in records:
            data = encode(SealedEntry(sequence, time_ns, prev, record))
            frames += pack_header(len(data), zlib.crc32(data)), data
            prev = sha256(b"\x00" + data).digest()
            leaves.append(prev)
            if mark is not None:
                self._marks.append((sequence, mark))
            sequence += 1
        whole = b"".join(frames)
        self._unsettled = True
        try:
            write_whole(self._disk, self._descriptor, whole, self.offset)
        except OSError as error:
            self._unsettled = error.filename == UNCUT
            self._marks.clear()
            raise
        self.offset += len(whole)
        self.head = Head(sequence, prev)
        self._leaves += leaves

    def commit(self) -> None:
        """What was written is acknowledged and stays."""
        self._committed = (self.offset, self.head, len(self._leaves))
        self._unsettled = False
        if self._marks:
            for sequence, mark in self._marks:
                mark_session(self.open_sessions, sequence, mark)
            self._marks.clear()

    def rewind(self) -> None:
        """Take back what was written since the last ``commit``.

        Raises ``OSError`` when the file cannot be cut; then the next write tries again first.
        """
        self.offset, self.head, leaves = self._committed
        del self._leaves[leaves:]
        self._marks.clear()
        self._synced = min(self._synced, self.offset)
        self._lost_sync = self._synced < self.offset
        self._disk.ftruncate(self._descriptor, self.offset)
        self._unsettled = False

    def sync(self) -> None:
        """Put what was written so far on stable storage. Raises ``OSError``. May run beside ``write``.

        Linux reports a lost write once and then calls the page clean, so that a second sync would succeed without the
        data: after a failure the same bytes are written again.
        """
        offset = self.offset
        if offset == self._synced:
            return
        try:
            if self._lost_sync:
                self._rewrite_unsynced()
            self._disk.fdatasync(self._descriptor)
        except OSError:
            self._lost_sync = True
            raise
        self._lost_sync = False
        self._synced = offset

    def _rewrite_unsynced(self) -> None:
        """Write the bytes behind the last sync again. Raises ``OSError`` when they are no longer what was written."""
        reader = SegmentReader(self.path, self._synced)
        for _ in reader:
            pass
        if reader.damage or reader.end != self.offset:
            raise OSError("what was written to the ledger is no longer there")
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            position = self._synced
            while position < self.offset:
                data = os.pread(descriptor, min(1 << 20, self.offset - position), position)
                position += os.pwrite(descriptor, data, position)
        finally:
            os.close(descriptor)

    def rotate(self) -> None:
        """Go on in a new segment. Raises ``OSError``, then the old one stays in use. Everything must be committed."""
        if self.head.sequence == first_sequence(self.path):
            return
        self.sync()
        path = segment_path(self.path.parent, self.head.sequence)
        fresh = Journal(path, 0, self.head, self.open_sessions, self._disk)
        os.close(self._descriptor)
        self._descriptor, self.path = fresh._descriptor, path
        self.offset = self._synced = fresh.offset
        self._committed = (self.offset, self.head, len(self._leaves))

    def take_leaves(self) -> list[bytes]:
        """The leaf hashes since the last call, to be folded into the tree. Everything must be committed."""
        leaves, self._leaves = self._leaves, []
        self._committed = (self.offset, self.head, 0)
        return leaves

    def close(self) -> None:
        """Close the file. What is not synced stays with the operating system."""
        os.close(self._descriptor)
