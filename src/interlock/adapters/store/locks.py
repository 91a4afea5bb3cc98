"""The locks that are in force, in the state store."""

import sqlite3

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.errors import StateUnavailable
from interlock.core.lock import Lock


class LockTable:
    """Implements ``services.state.LockStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Lock]:
        """All locks, the oldest first. Raises StateUnavailable, also when one cannot be read."""
        return [_lock(row) for row in self._database.read("SELECT * FROM locks ORDER BY id")]

    async def save(self, lock: Lock) -> None:
        """Keep a lock. Raises StateUnavailable."""
        values = msgspec.to_builtins(lock)
        sql = (
            "INSERT OR REPLACE INTO locks"
            " (id, subject_kind, subject, mode, reason, by, created_at_s, expires_at_s, cause)"
            " VALUES (:id, :subject_kind, :subject, :mode, :reason, :by, :created_at_s, :expires_at_s, :cause)"
        )
        await self._database.write(lambda connection: connection.execute(sql, values))

    async def remove(self, lock_id: str) -> None:
        """Forget a lock. Raises StateUnavailable."""
        sql = "DELETE FROM locks WHERE id = ?"
        await self._database.write(lambda connection: connection.execute(sql, (lock_id,)))


def _lock(row: sqlite3.Row) -> Lock:
    try:
        return msgspec.convert(dict(row), Lock)
    except msgspec.ValidationError as error:
        raise StateUnavailable(f"lock {row['id']!r} in the state store cannot be read: {error}") from None
