"""The ledger of one gateway node: what both durability modes share.

Two locks keep the event loop fast. ``_lock`` guards the journal's writing end and what waits for it; it is held for a
write to the operating system at most. ``_disk_lock`` guards what takes long (sync, rotation, checkpoints); only the
ledger's own thread and ``close`` take it, always before ``_lock``.

The *keeper* is that thread. It ticks while there is something to do and sleeps when everything is written, synced and
under a checkpoint. When it meets an error the ledger has a *fault*, which lasts until a later tick succeeds: standard
mode accepts nothing meanwhile; strict mode, where each record waits for its own sync, goes on trying.
"""

import contextlib
import os
import threading
import time
from abc import ABC, abstractmethod
from asyncio import Future
from pathlib import Path

import msgspec

from interlock.adapters.ledger.checkpoints import CheckpointLog
from interlock.adapters.ledger.journal import Journal, TimedRecord
from interlock.adapters.ledger.segments import MAX_ENTRY_BYTES, first_sequence
from interlock.adapters.ledger.state import LedgerState, save_state
from interlock.core.chain import Head, encode_record
from interlock.core.errors import EvidenceError, LedgerUnavailable
from interlock.core.ledger import AnyRecord, SessionClosed, SessionOpened
from interlock.core.merkle import Frontier
from interlock.services.ports import Clock

_FOLD_STEP = 256
_MARKING = (SessionOpened, SessionClosed)
_RECORD_LIMIT = MAX_ENTRY_BYTES - 256


class LedgerSettings(msgspec.Struct, frozen=True):
    """Sizes and paces. Defaults are what the documentation promises.

    Every ``tick_s`` buffered notes are written; every ``sync_ticks`` what was written is synced (standard mode); a
    checkpoint follows ``checkpoint_entries`` entries, or ``checkpoint_ticks`` after the last one when there is anything
    new. ``max_waiting`` bounds the records that wait for the disk.
    """

    segment_bytes: int = 64 << 20
    tick_s: float = 0.1
    sync_ticks: int = 10
    checkpoint_ticks: int = 20
    checkpoint_entries: int = 4096
    max_waiting: int = 16384


class _Snapshot(msgspec.Struct, frozen=True):
    """The journal at the moment its leaves were taken for a checkpoint."""

    head: Head
    segment: int
    offset: int
    open_sessions: dict[str, int]


class FileLedger(ABC):
    """A directory of segments, open for writing. Implements ``services.ports.Ledger``."""

    def __init__(
        self,
        directory: Path,
        lock_descriptor: int,
        journal: Journal,
        tree: Frontier,
        checkpoints: CheckpointLog,
        clock: Clock,
        settings: LedgerSettings,
    ) -> None:
        self.directory = directory
        self._lock_descriptor = lock_descriptor
        self._journal = journal
        self._tree = tree
        self._checkpoints = checkpoints
        self._clock = clock
        self._settings = settings
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._disk_lock = threading.Lock()
        self._waiting: list[TimedRecord] = []
        self._fault: str | None = None
        self._closing = False
        self._busy = True
        self._ticks = 0
        self._keeper = threading.Thread(target=self._keep, name="ledger", daemon=True)
        self._keeper.start()

    # ------------------------------------------------------------ appending

    @abstractmethod
    def append(self, record: AnyRecord) -> Future[None] | None:
        """See ``services.ports.Ledger``."""

    @abstractmethod
    def append_now(self, record: AnyRecord) -> None:
        """Append a record and wait until it is on stable storage; for callers without an event loop.

        Raises ``LedgerUnavailable``.
        """

    def note(self, record: AnyRecord) -> None:
        """Append a record that nothing waits for; it is written with the next record or within a tick.

        Survives a fault as long as there is room. Raises ``LedgerUnavailable`` when there is none. Any thread may call.
        """
        timed = self._timed(record)
        with self._lock:
            self._accept()
            self._waiting.append(timed)

    def _timed(self, record: AnyRecord) -> TimedRecord:
        """Encode a record and read the clock. Raises ``LedgerUnavailable`` when either fails."""
        try:
            time_ns = int(self._clock.now_s() * 1e6) * 1000
            raw = encode_record(record)
        except (OSError, ValueError, OverflowError) as error:
            raise LedgerUnavailable(f"the clock cannot be read: {type(error).__name__}") from None
        except EvidenceError as error:
            raise LedgerUnavailable(str(error)) from None
        if len(memoryview(raw)) > _RECORD_LIMIT or not 0 <= time_ns < 1 << 63:
            raise LedgerUnavailable("a record is over the ledger's size limit or its time is out of range")
        return time_ns, raw, record if isinstance(record, _MARKING) else None

    def _accept(self) -> None:
        """Under the lock: raise ``LedgerUnavailable`` unless one more record may wait; wake the keeper."""
        if self._closing:
            raise LedgerUnavailable("the ledger is closed")
        if len(self._waiting) >= self._settings.max_waiting:
            raise LedgerUnavailable("too many records wait for the ledger's disk")
        if not self._busy:
            self._busy = True
            self._wake.notify_all()

    # ------------------------------------------------------------ keeping

    def _keep(self) -> None:
        """The keeper's life."""
        try:
            while self._wait():
                self._tick()
        except BaseException as error:  # noqa: BLE001 - without its keeper the ledger must not go on
            with self._lock:
                self._fault, self._closing = f"the ledger's keeper stopped: {type(error).__name__}", True

    def _wait(self) -> bool:
        """Sleep until there is something to do. False when the ledger closes."""
        with self._lock:
            if self._idle():
                self._busy = False
                self._wake.wait_for(lambda: self._busy or self._closing)
            if not self._closing:
                self._wake.wait_for(self._urgent, self._settings.tick_s)
            return not self._closing

    def _urgent(self) -> bool:
        """Under the lock: whether the keeper must not wait for its tick."""
        return self._closing

    def _idle(self) -> bool:
        """Under the lock: whether everything is written and under a checkpoint."""
        last = self._checkpoints.last
        covered = last.size if last else 0
        return not self._waiting and not self._fault and covered == self._journal.head.sequence

    def _tick(self) -> None:
        """One round: write what waits, then whatever is due. An ``OSError`` becomes the ledger's fault."""
        self._ticks += 1
        try:
            with self._disk_lock:
                self._flush()
                self._maintain()
        except OSError as error:
            fault: str | None = f"the ledger's disk: {error.strerror or error}"
        else:
            fault = None
        with self._lock:
            self._fault = fault

    @abstractmethod
    def _flush(self) -> None:
        """Write what waits. Raises ``OSError``; what was not acknowledged to a waiter stays for the next time."""

    def _maintain(self) -> None:
        """Sync, rotate and checkpoint when due, or at once after a fault."""
        settings, journal = self._settings, self._journal
        if self._fault or self._ticks % settings.sync_ticks == 0:
            journal.sync()
        if journal.offset >= settings.segment_bytes:
            journal.sync()
            with self._lock:
                journal.rotate()
        fresh = journal.head.sequence - self._tree.size
        if fresh >= settings.checkpoint_entries or self._fault or self._ticks % settings.checkpoint_ticks == 0:
            self._checkpoint()

    def _checkpoint(self, *, clean: bool = False) -> None:
        """Fold the new entries into the tree, sign its root, remember where. Raises ``OSError``.

        The entries are synced first: a checkpoint never speaks of an entry that a power cut can still take.
        """
        journal = self._journal
        with self._lock:
            snapshot = _Snapshot(
                journal.head, first_sequence(journal.path), journal.offset, dict(journal.open_sessions)
            )
            leaves = journal.take_leaves()
        self._fold(leaves)
        journal.sync()
        if self._tree.size > (self._checkpoints.last.size if self._checkpoints.last else 0):
            self._checkpoints.add(self._tree.size, self._tree.root())
        elif not clean:
            return
        save_state(self.directory, self._state(snapshot, clean=clean))

    def _fold(self, leaves: list[bytes]) -> None:
        """Grow the tree in small steps, so that the event loop's thread never waits long for the interpreter."""
        for start in range(0, len(leaves), _FOLD_STEP):
            self._tree.extend(leaves[start : start + _FOLD_STEP])
            time.sleep(0)

    def _state(self, snapshot: _Snapshot, *, clean: bool) -> LedgerState:
        return LedgerState(
            size=snapshot.head.sequence,
            hashes=tuple(self._tree.hashes),
            segment=snapshot.segment,
            offset=snapshot.offset,
            prev=snapshot.head.prev,
            open_sessions=snapshot.open_sessions,
            clean=clean,
        )

    # ------------------------------------------------------------ for the owner

    @property
    def fault(self) -> str | None:
        """Why the ledger accepts nothing at the moment, or None."""
        return self._fault

    @property
    def size(self) -> int:
        """How many entries are accepted and can be read from the segments: those with lower sequence numbers."""
        return self._journal.committed

    def checkpoint(self) -> None:
        """Write, sync and sign everything accepted so far. Raises ``LedgerUnavailable``."""
        try:
            with self._disk_lock:
                self._flush()
                self._checkpoint()
        except OSError as error:
            raise LedgerUnavailable(f"the ledger's disk: {error.strerror}") from None

    def close(self) -> None:
        """Write, sync and sign everything, then give up the directory. Further calls do nothing.

        Raises ``LedgerUnavailable`` when the last records could not be kept; the directory is given up all the same.
        """
        with self._lock:
            if self._closing and not self._keeper.is_alive():
                return
            self._closing = True
            self._wake.notify_all()
        self._keeper.join()
        try:
            with self._disk_lock:
                self._flush()
                self._checkpoint(clean=True)
        except OSError as error:
            raise LedgerUnavailable(f"the ledger could not be closed in order: {error.strerror}") from None
        finally:
            self._journal.close()
            self._checkpoints.close()
            with contextlib.suppress(OSError):
                os.close(self._lock_descriptor)
