"""The locks that are in force, with their exemptions, in the state store."""

import sqlite3
from collections import defaultdict
from typing import TypeVar

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.errors import StateUnavailable
from interlock.core.lock import Exemption, Lock

ReadT = TypeVar("ReadT", Lock, Exemption)


class LockTable:
    """Implements ``services.state.LockStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Lock]:
        """All locks, the oldest first. Raises StateUnavailable, also when one cannot be read."""
        exemptions: defaultdict[str, list[Exemption]] = defaultdict(list)
        for row in self._database.read("SELECT * FROM exemptions ORDER BY begins_at_s"):
            exemptions[row["lock"]].append(_read(row, row["lock"], Exemption))
        locks = [_read(row, row["id"], Lock) for row in self._database.read("SELECT * FROM locks ORDER BY id")]
        return [msgspec.structs.replace(lock, exemptions=tuple(exemptions[lock.id])) for lock in locks]

    async def save(self, lock: Lock) -> None:
        """Keep a lock, without its exemptions. Raises StateUnavailable."""
        values = msgspec.to_builtins(lock)
        sql = (
            "INSERT OR REPLACE INTO locks"
            " (id, subject_kind, subject, mode, reason, by, created_at_s, expires_at_s, cause, issued_before_s)"
            " VALUES (:id, :subject_kind, :subject, :mode, :reason, :by, :created_at_s, :expires_at_s, :cause,"
            " :issued_before_s)"
        )
        await self._database.write(lambda connection: connection.execute(sql, values))

    async def remove(self, lock_id: str) -> None:
        """Forget a lock and its exemptions. Raises StateUnavailable."""

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM exemptions WHERE lock = ?", (lock_id,))
            connection.execute("DELETE FROM locks WHERE id = ?", (lock_id,))

        await self._database.write(forget)

    async def save_exemption(self, lock_id: str, exemption: Exemption) -> None:
        """Keep an exemption, in the place of one of the same subject. Raises StateUnavailable, as without the lock."""
        values = msgspec.to_builtins(exemption) | {"lock": lock_id}
        sql = (
            "INSERT OR REPLACE INTO exemptions (lock, subject_kind, subject, reason, by, begins_at_s, ends_at_s)"
            " SELECT id, :subject_kind, :subject, :reason, :by, :begins_at_s, :ends_at_s FROM locks WHERE id = :lock"
        )
        if not await self._database.write(lambda connection: connection.execute(sql, values).rowcount):
            raise StateUnavailable(f"lock {lock_id!r} is not in the state store")

    async def remove_exemption(self, lock_id: str, exemption: Exemption) -> None:
        """Forget an exemption, unless another one is in its place. Raises StateUnavailable."""
        values = msgspec.to_builtins(exemption) | {"lock": lock_id}
        sql = (
            "DELETE FROM exemptions WHERE lock = :lock AND subject_kind = :subject_kind AND subject = :subject"
            " AND begins_at_s = :begins_at_s"
        )
        await self._database.write(lambda connection: connection.execute(sql, values))


def _read(row: sqlite3.Row, lock_id: str, kind: type[ReadT]) -> ReadT:
    try:
        return msgspec.convert(dict(row), kind)
    except msgspec.ValidationError as error:
        raise StateUnavailable(f"lock {lock_id!r} in the state store cannot be read: {error}") from None
