"""The file: migrations, order, failures, and several users of it at once."""

import asyncio
import contextlib
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest
import structlog

from interlock.adapters.private_file import create_private
from interlock.adapters.store.database import MAX_QUEUED, Database
from interlock.adapters.store.schema import MIGRATIONS
from interlock.core.errors import ConfigurationError, StateUnavailable

FIRST = ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT",)
SECOND = ("ALTER TABLE notes ADD COLUMN author TEXT",)


async def add(database: Database, text: str) -> None:
    await database.write(lambda connection: connection.execute("INSERT INTO notes (text) VALUES (?)", (text,)))


def texts(database: Database) -> list[str]:
    return [row["text"] for row in database.read("SELECT text FROM notes ORDER BY id")]


def modes(directory: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


async def test_nobody_else_can_reach_the_file(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST])
    await add(database, "x")
    assert modes(tmp_path) == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    database.close()


def test_a_file_that_others_can_reach_is_refused(tmp_path: Path) -> None:
    Database(tmp_path / "state.db", [FIRST]).close()
    (tmp_path / "state.db").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Database(tmp_path / "state.db", [FIRST])


async def test_migrations_are_applied_once_and_keep_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    database = Database(file, [FIRST])
    await add(database, "kept")
    database.close()
    for _ in range(2):
        database = Database(file, [FIRST, SECOND])
        assert [tuple(row) for row in database.read("SELECT text, author FROM notes")] == [("kept", None)]
        database.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    Database(file, [FIRST, SECOND]).close()
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="newer version"):
        Database(file, [FIRST])
    assert file.read_bytes() == before


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    Database(file, [FIRST]).close()
    with pytest.raises(StateUnavailable):
        Database(file, [FIRST, (*SECOND, "CREATE TABLE notes (x)")])
    database = Database(file, [FIRST])
    assert [row["name"] for row in database.read("PRAGMA table_info(notes)")] == ["id", "text"]
    database.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    file.touch(mode=0o600)
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(StateUnavailable):
        Database(file)


def test_it_waits_for_a_writer_before_the_journal_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when several processes start with a new file."""
    file = tmp_path / "state.db"
    create_private(file, b"")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            writer.execute("COMMIT")

        monkeypatch.setattr(time, "sleep", sleep)
        Database(file).close()
    assert len(waited) == 1


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    barrier = threading.Barrier(4)
    opened: list[Database] = []

    def start() -> None:
        barrier.wait()
        opened.append(Database(file))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    assert {database.read("PRAGMA user_version")[0][0] for database in opened} == {len(MIGRATIONS)}
    for database in opened:
        database.close()


async def test_writes_happen_in_order_and_a_failing_one_alone_is_undone(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST])
    words = ["a", "b", "b", "c", "a", "d"]
    results = await asyncio.gather(*(add(database, word) for word in words), return_exceptions=True)
    assert [isinstance(result, StateUnavailable) for result in results] == [False, False, True, False, True, False]
    assert texts(database) == ["a", "b", "c", "d"]
    assert database.failure is None
    database.close()


async def test_what_the_work_raises_comes_back(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST])

    def work(_connection: sqlite3.Connection) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await database.write(work)
    await add(database, "still works")
    database.close()


def test_a_lost_write_is_loud(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST])
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            database.write_soon(lambda connection: connection.execute("INSERT INTO notes (text) VALUES ('x')"))
        database.close()
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert database.failure is not None
    assert "UNIQUE" in database.failure


def test_the_queue_is_bounded_and_the_caller_never_waits(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST])
    go_on, at_work = threading.Event(), threading.Event()

    def block(_connection: sqlite3.Connection) -> None:
        at_work.set()
        go_on.wait()

    database.write_soon(block)
    at_work.wait()
    for _ in range(MAX_QUEUED):
        database.write_soon(lambda _connection: None)
    assert database.failure is None
    with structlog.testing.capture_logs():
        database.write_soon(lambda _connection: None)
    assert database.failure == "the state store cannot keep up with its writes"
    go_on.set()
    database.close()


async def test_a_write_that_is_given_up_does_not_stop_the_others(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST])
    go_on, at_work = threading.Event(), threading.Event()

    def block(_connection: sqlite3.Connection) -> None:
        at_work.set()
        go_on.wait()

    database.write_soon(block)
    await asyncio.to_thread(at_work.wait)
    given_up = asyncio.ensure_future(add(database, "a"))
    await asyncio.sleep(0)
    given_up.cancel()
    kept = asyncio.ensure_future(add(database, "b"))
    await asyncio.sleep(0)
    go_on.set()
    await kept
    assert "b" in texts(database)
    database.close()


async def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST])
    database.close()
    database.close()
    with pytest.raises(StateUnavailable):
        await add(database, "x")
    with pytest.raises(StateUnavailable):
        database.read("SELECT 1")


async def test_two_processes_may_use_the_file(tmp_path: Path) -> None:
    one, two = Database(tmp_path / "state.db", [FIRST]), Database(tmp_path / "state.db", [FIRST])
    await asyncio.gather(*(add(store, f"{name}-{n}") for n in range(50) for name, store in (("1", one), ("2", two))))
    assert len(texts(one)) == len(texts(two)) == 100
    one.close()
    two.close()


def test_the_reading_connection_cannot_write(database: Database) -> None:
    with pytest.raises(StateUnavailable):
        database.read("DELETE FROM identities")
