"""Locks and their exemptions in the state store."""

import msgspec
import pytest

from interlock.adapters.store.database import Database
from interlock.adapters.store.locks import LockTable
from interlock.core.errors import StateUnavailable
from interlock.core.lock import Exemption, Lock, LockMode, LockSubject

LOCK = Lock("l1", LockSubject.CONNECTION, "pg", LockMode.READ_ONLY, "code freeze", "ada", 5.0, 9.5, "incident 1")
OTHER = Lock("l2", LockSubject.SUBJECT, "idp 7", LockMode.FREEZE, "what is this?", "ada", 6.0, issued_before_s=5.5)
EXEMPTION = Exemption(LockSubject.AGENT, "ci-1", "hotfix", "eve", 6.5, 7.5)


def exempted(lock: Lock, *exemptions: Exemption) -> Lock:
    return msgspec.structs.replace(lock, exemptions=exemptions)


async def test_locks_are_kept_and_forgotten(database: Database) -> None:
    table = LockTable(database)
    await table.save(OTHER)
    await table.save(LOCK)
    assert table.all() == [LOCK, OTHER]
    await table.remove("l1")
    await table.remove("l1")
    assert table.all() == [OTHER]


async def test_exemptions_are_kept_with_their_lock(database: Database) -> None:
    table = LockTable(database)
    await table.save(LOCK)
    await table.save(OTHER)
    second = msgspec.structs.replace(EXEMPTION, subject_kind=LockSubject.GROUP, begins_at_s=6.75)
    for exemption in (second, EXEMPTION):
        await table.save_exemption("l1", exemption)
    await table.save(LOCK)
    assert table.all() == [exempted(LOCK, EXEMPTION, second), OTHER]
    await table.remove_exemption("l1", second)
    assert table.all() == [exempted(LOCK, EXEMPTION), OTHER]
    await table.remove("l1")
    await table.save(LOCK)
    assert table.all() == [LOCK, OTHER]


async def test_a_later_one_replaces_an_earlier_one_and_is_not_forgotten_in_its_place(database: Database) -> None:
    table = LockTable(database)
    await table.save(LOCK)
    later = msgspec.structs.replace(EXEMPTION, begins_at_s=7.0, ends_at_s=8.0, reason="longer")
    await table.save_exemption("l1", EXEMPTION)
    await table.save_exemption("l1", later)
    await table.remove_exemption("l1", EXEMPTION)
    assert table.all() == [exempted(LOCK, later)]


async def test_there_is_none_without_a_lock(database: Database) -> None:
    table = LockTable(database)
    with pytest.raises(StateUnavailable, match="lock 'l1' is not in the state store"):
        await table.save_exemption("l1", EXEMPTION)
    await table.save(LOCK)
    assert table.all() == [LOCK]


@pytest.mark.parametrize("table", ["locks", "exemptions"])
async def test_what_cannot_be_read_is_never_no_lock(database: Database, table: str) -> None:
    locks = LockTable(database)
    await locks.save(LOCK)
    await locks.save_exemption("l1", EXEMPTION)
    await database.write(lambda connection: connection.execute(f"UPDATE {table} SET subject_kind = 'x'"))
    with pytest.raises(StateUnavailable, match="lock 'l1' in the state store cannot be read"):
        locks.all()
