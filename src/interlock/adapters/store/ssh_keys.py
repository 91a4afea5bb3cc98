"""SSH keys registered for identities, in the state store."""

import sqlite3

from interlock.adapters.store.database import Database
from interlock.core.errors import AdministrationRefused, NotFound
from interlock.core.ssh_key import RegisteredSshKey, SshPublicKey

_ADD = "INSERT INTO ssh_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class SshKeyTable:
    """Implements ``services.state.SshKeyStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, fingerprint: str) -> RegisteredSshKey | None:
        """The key with this fingerprint, None when there is none. Raises StateUnavailable."""
        rows = self._database.read("SELECT * FROM ssh_keys WHERE fingerprint = ?", (fingerprint,))
        return _registered(rows[0]) if rows else None

    def all(self, identity: str = "") -> list[RegisteredSshKey]:
        """The keys of an identity, or all of them, by identity and age. Raises StateUnavailable."""
        sql = "SELECT * FROM ssh_keys WHERE ? IN ('', identity) ORDER BY identity, added_at_s, fingerprint"
        return [_registered(row) for row in self._database.read(sql, (identity,))]

    async def add(self, registered: RegisteredSshKey) -> None:
        """Keep a key. Raises AdministrationRefused when it is kept already or there is no such identity."""
        await self._database.write(lambda connection: _add(connection, registered))

    async def remove(self, fingerprint: str) -> None:
        """Forget a key; one that is not there is none to forget. Raises StateUnavailable."""
        sql = "DELETE FROM ssh_keys WHERE fingerprint = ?"
        await self._database.write(lambda connection: connection.execute(sql, (fingerprint,)))


def _add(connection: sqlite3.Connection, registered: RegisteredSshKey) -> None:
    key = registered.key
    sql = "SELECT identity FROM ssh_keys WHERE fingerprint = ?"
    if (row := connection.execute(sql, (key.fingerprint,)).fetchone()) is not None:
        raise AdministrationRefused(f"this key belongs to {row['identity']!r} already; remove it there first")
    sql = "SELECT name FROM identities WHERE name = ?"
    if connection.execute(sql, (registered.identity,)).fetchone() is None:
        raise NotFound(f"there is no registered identity {registered.identity!r}")
    values = (
        key.fingerprint,
        registered.identity,
        key.algorithm,
        key.blob,
        key.comment,
        registered.by,
        registered.added_at_s,
        registered.expires_at_s,
    )
    connection.execute(_ADD, values)


def _registered(row: sqlite3.Row) -> RegisteredSshKey:
    key = SshPublicKey(row["algorithm"], row["blob"], row["comment"])
    return RegisteredSshKey(row["identity"], key, row["by"], row["added_at_s"], row["expires_at_s"])
