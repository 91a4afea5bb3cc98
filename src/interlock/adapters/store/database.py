"""The SQLite file behind the state store: one connection that reads, one thread that writes.

Reads are short and run where they are asked for; with a write-ahead log they never wait for a writer. Writes run in
order in the writing thread, several to a transaction, so that nothing waits for the disk on the event loop. The queue
is bounded. A write that nobody waits for is logged when it fails, and ``failure`` says so from then on.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from interlock.adapters.private_file import create_private, require_private
from interlock.adapters.store.schema import MIGRATIONS
from interlock.core.errors import ConfigurationError, StateUnavailable

BUSY_TIMEOUT_S: Final = 5.0
_RETRY_S: Final = 0.01
MAX_QUEUED: Final = 10_000
MAX_WRITES_PER_TRANSACTION: Final = 64

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Any]
_Job = tuple[Work, Future[Any]]

log = structlog.get_logger(__name__)


class Database:
    """The open file. ``failure`` says what went wrong with a write that nobody waited for; None when nothing did."""

    def __init__(self, file: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        """Open or create the file, and bring its tables up to date.

        Raises ConfigurationError when a newer version made it or others may reach it, StateUnavailable when it cannot
        be used.
        """
        self.failure: str | None = None
        with contextlib.suppress(FileExistsError):
            create_private(file, b"")
        require_private(file)
        with contextlib.ExitStack() as opened:
            try:
                self._writing = opened.enter_context(contextlib.closing(_connect(file)))
                _migrate(self._writing, migrations, file)
                self._reading = opened.enter_context(contextlib.closing(_connect(file)))
                self._reading.execute("PRAGMA query_only = ON")
            except sqlite3.Error as error:
                raise StateUnavailable(f"{file}: {error}") from None
            opened.pop_all()
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_QUEUED)
        self._closed = False
        self._thread = threading.Thread(target=self._write_all, name="state store writer", daemon=True)
        self._thread.start()

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        """All rows of a short query. Raises StateUnavailable."""
        try:
            return self._reading.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise StateUnavailable(f"the state store cannot be read: {error}") from None

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run ``work`` in the writing thread, in a transaction; returns once it is committed.

        Raises StateUnavailable, or what ``work`` raises.
        """
        result: Result = await asyncio.wrap_future(self._submit(work))
        return result

    def write_soon(self, work: Work) -> None:
        """The same without waiting: what goes wrong is logged and kept in ``failure``."""
        try:
            self._submit(work).add_done_callback(self._notice)
        except StateUnavailable as error:
            self._fail(str(error))

    def close(self) -> None:
        """Finish the queued writes and close the file."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._writing.close()
        self._reading.close()

    def _submit(self, work: Work) -> Future[Any]:
        if self._closed:
            raise StateUnavailable("the state store is closed")
        future: Future[Any] = Future()
        try:
            self._jobs.put_nowait((work, future))
        except queue.Full:
            raise StateUnavailable("the state store cannot keep up with its writes") from None
        return future

    def _write_all(self) -> None:
        more = True
        while more:
            jobs: list[_Job] = []
            more = self._take(jobs)
            if jobs:
                self._write_together(jobs)

    def _take(self, jobs: list[_Job]) -> bool:
        """Wait for a job and add it with those behind it; False when the last one was taken."""
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == MAX_WRITES_PER_TRANSACTION or self._jobs.empty():
                return True
            job = self._jobs.get_nowait()
        return False

    def _write_together(self, jobs: list[_Job]) -> None:
        """Run the jobs in one transaction. One that fails is rolled back alone."""
        outcomes: list[tuple[Future[Any], object, Exception | None]] = []
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            for work, future in jobs:
                outcomes.append((future, *self._attempt(work)))
            self._writing.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._writing.execute("ROLLBACK")
            failure = StateUnavailable(f"the state store cannot be written: {error}")
            outcomes = [(future, None, failure) for _, future in jobs]
        for future, result, problem in outcomes:
            if future.set_running_or_notify_cancel():
                future.set_result(result) if problem is None else future.set_exception(problem)

    def _attempt(self, work: Work) -> tuple[object, Exception | None]:
        self._writing.execute("SAVEPOINT job")
        try:
            result = work(self._writing)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for this write
            self._writing.execute("ROLLBACK TO job")
            problem = StateUnavailable(str(error)) if isinstance(error, sqlite3.Error) else error
            return None, problem
        finally:
            self._writing.execute("RELEASE job")
        return result, None

    def _notice(self, future: Future[Any]) -> None:
        if (error := future.exception()) is not None:
            self._fail(str(error))

    def _fail(self, reason: str) -> None:
        """Say it once: a store that cannot keep up must not flood the log as well."""
        if self.failure != reason:
            self.failure = reason
            log.error("state store write lost", reason=reason)


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Whatever the timeout, SQLite does not wait for a writer when it changes the journal's mode: it is tried again."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(_RETRY_S)


def _migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]], file: Path) -> None:
    """Apply what is missing, all or nothing; two processes that start together do it once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations):
            raise ConfigurationError(f"{file}: made by a newer version of the gateway (schema {version})")
        for migration in migrations[version:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        connection.close()
        raise
