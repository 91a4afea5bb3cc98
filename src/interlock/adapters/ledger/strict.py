"""Strict durability: a record is accepted when it is on stable storage.

Group commit: while one sync runs, the records of all sessions gather; they go out in one write and one sync. Survives
a power cut as far as the disk keeps its word about synced data.
"""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Iterable
from pathlib import Path

from interlock.adapters.ledger.checkpoints import CheckpointLog
from interlock.adapters.ledger.journal import Journal, TimedRecord
from interlock.adapters.ledger.ledger import FileLedger, LedgerSettings
from interlock.core.errors import LedgerUnavailable
from interlock.core.ledger import AnyRecord
from interlock.core.merkle import Frontier
from interlock.services.ports import Clock

Waiter = asyncio.Future[None] | concurrent.futures.Future[None]


class StrictLedger(FileLedger):
    """Writes on the keeper's thread: ``append`` returns a future of the running event loop."""

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
        self._waiters: dict[int, Waiter] = {}  # before the keeper starts, which looks at it
        super().__init__(directory, lock_descriptor, journal, tree, checkpoints, clock, settings)

    def append(self, record: AnyRecord) -> asyncio.Future[None]:
        """Queue the record for the next commit. Raises, or sets on the future, ``LedgerUnavailable``."""
        waiter = asyncio.get_running_loop().create_future()
        self._enqueue(self._timed(record), waiter)
        return waiter

    def append_now(self, record: AnyRecord) -> None:
        waiter: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._enqueue(self._timed(record), waiter)
        waiter.result()

    def _enqueue(self, timed: TimedRecord, waiter: Waiter) -> None:
        with self._lock:
            self._accept()
            self._waiters[len(self._waiting)] = waiter
            self._waiting.append(timed)
            if len(self._waiters) == 1:
                self._wake.notify_all()

    def _urgent(self) -> bool:
        return bool(self._waiters) or self._closing

    def _flush(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
            waiters, self._waiters = self._waiters, {}
        if not batch:
            return
        try:
            self._journal.write(batch)
            self._journal.sync()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._journal.rewind()
            self._keep_notes([timed for place, timed in enumerate(batch) if place not in waiters])
            _settle(waiters.values(), LedgerUnavailable(f"the ledger's disk: {error.strerror}"))
            raise
        with self._lock:
            self._journal.commit()
        _settle(waiters.values(), None)

    def _keep_notes(self, notes: list[TimedRecord]) -> None:
        """Put notes whose commit failed in front of what has come since."""
        with self._lock:
            self._waiting[:0] = notes
            self._waiters = {place + len(notes): waiter for place, waiter in self._waiters.items()}


def _settle(waiters: Iterable[Waiter], error: LedgerUnavailable | None) -> None:
    """Complete what waits, with one call into each event loop. A loop that is gone has nobody waiting."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        if isinstance(waiter, concurrent.futures.Future):
            _complete(waiter, error)
        else:
            by_loop.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, futures in by_loop.items():
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_complete_all, futures, error)


def _complete_all(futures: list[asyncio.Future[None]], error: LedgerUnavailable | None) -> None:
    for future in futures:
        if not future.done():
            _complete(future, error)


def _complete(waiter: Waiter, error: LedgerUnavailable | None) -> None:
    if error:
        waiter.set_exception(LedgerUnavailable(str(error)))
    else:
        waiter.set_result(None)
