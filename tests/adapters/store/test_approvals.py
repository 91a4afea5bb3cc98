"""Requests for approval in a real state store: kept over starts, changed in one step, damage that releases nothing."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from interlock.adapters.store.approvals import ApprovalTable
from interlock.adapters.store.database import Database
from interlock.core.approval import ApprovalRequest, ApprovalStatus, Vote
from interlock.core.errors import StateUnavailable
from tests.services.approvals.bench import DBA, draft


def request(number: int, digest: str = "d") -> ApprovalRequest:
    return draft(digest, (DBA,), id=f"r{number}", claims=(("actor", "dana"),), expires_at_s=5.5)


def with_status(status: ApprovalStatus, one: ApprovalRequest) -> ApprovalRequest:
    return msgspec.structs.replace(one, status=status)


async def test_what_is_kept_is_read_again_after_a_start(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    vote = Vote("dana", True, "looked at it", ("dba",), 3.5, ("dba",))
    kept = msgspec.structs.replace(request(1), votes=(vote,), asked=7)
    await ApprovalTable(database).add(kept, b"sealed\0")
    database.close()
    database = Database(tmp_path / "state.db")
    assert ApprovalTable(database).find("r1") == (kept, b"sealed\0")
    database.close()


async def test_lists(database: Database) -> None:
    table = ApprovalTable(database)
    for number in range(1, 6):
        await table.add(request(number, "odd" if number % 2 else "even"), b"")
    await table.change("r2", lambda one: with_status(ApprovalStatus.DENIED, one))

    def ids(found: list[ApprovalRequest]) -> list[str]:
        return [one.id for one in found]

    assert ids(table.by_digest("odd")) == ["r5", "r3", "r1"]
    assert ids(table.recent(None, 2)) == ["r5", "r4"]
    assert ids(table.recent(None, 9, "r3")) == ["r2", "r1"]
    assert ids(table.recent(ApprovalStatus.DENIED, 9)) == ids(table.of_status(ApprovalStatus.DENIED)) == ["r2"]
    assert ids(table.of_status(ApprovalStatus.PENDING)) == ["r1", "r3", "r4", "r5"]
    assert table.find("r9") is None


async def test_a_change_is_one_step(database: Database) -> None:
    """Of many that want to spend it, one sees it unspent: also over two connections, as two processes have."""
    table = ApprovalTable(database)
    await table.add(with_status(ApprovalStatus.APPROVED, request(1)), b"")
    other = Database(Path(database.read("PRAGMA database_list")[0]["file"]))
    tables = [table, ApprovalTable(other)]

    def spend(one: ApprovalRequest) -> ApprovalRequest | None:
        return with_status(ApprovalStatus.SPENT, one) if one.status is ApprovalStatus.APPROVED else None

    spent = await asyncio.gather(*(tables[number % 2].change("r1", spend) for number in range(20)))
    assert sum(one is not None for one in spent) == 1
    other.close()


async def test_a_change_that_raises_changes_nothing(database: Database) -> None:
    table = ApprovalTable(database)
    await table.add(request(1), b"")

    def explode(_: ApprovalRequest) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await table.change("r1", explode)
    assert table.find("r1") == (request(1), b"")
    assert await table.change("r9", lambda one: one) is None


async def test_an_id_is_kept_once(database: Database) -> None:
    table = ApprovalTable(database)
    await table.add(request(1), b"first")
    with pytest.raises(StateUnavailable):
        await table.add(request(1), b"second")
    assert table.find("r1") == (request(1), b"first")


@pytest.mark.parametrize(
    "sql",
    ["UPDATE approvals SET request = '{' WHERE id = 'r1'", "UPDATE approvals SET request = '[]' WHERE id = 'r1'"],
)
async def test_a_damaged_row_is_unreadable_and_passed_over_in_lists(database: Database, sql: str) -> None:
    table = ApprovalTable(database)
    await table.add(request(1), b"")
    await table.add(request(2), b"")
    await database.write(lambda connection: connection.execute(sql))
    with pytest.raises(StateUnavailable, match="cannot be read"):
        table.find("r1")
    with pytest.raises(StateUnavailable, match="cannot be read"):
        await table.change("r1", lambda one: with_status(ApprovalStatus.APPROVED, one))
    assert table.recent(None, 9) == table.by_digest("d") == table.of_status(ApprovalStatus.PENDING) == [request(2)]


async def test_a_status_in_its_column_alone_approves_nothing(database: Database) -> None:
    """The column is there to search by; what counts is the request."""
    table = ApprovalTable(database)
    await table.add(request(1), b"")
    await database.write(lambda connection: connection.execute("UPDATE approvals SET status = 'approved'"))
    found = table.find("r1")
    assert found is not None
    assert found[0].status is ApprovalStatus.PENDING


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    table = ApprovalTable(database)
    database.close()
    for use in (lambda: table.find("r1"), lambda: table.by_digest("d"), lambda: table.recent(None, 1)):
        with pytest.raises((StateUnavailable, sqlite3.ProgrammingError)):
            use()
    with pytest.raises(StateUnavailable):
        await table.add(request(1), b"")
