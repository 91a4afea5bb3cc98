"""Connections added by commands, next to those of the settings file, and the sealed credentials of both."""

import sqlite3
from collections.abc import Mapping

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.errors import StateUnavailable
from interlock.core.settings import ConnectionSettings


class ConnectionTable:
    """Implements ``services.state.ConnectionStore``. A connection of the file hides one of the same name here."""

    def __init__(self, database: Database, configured: Mapping[str, ConnectionSettings]) -> None:
        self._database = database
        self._configured = dict(configured)

    def find(self, name: str) -> ConnectionSettings | None:
        """The connection of this name, None when there is none. Raises StateUnavailable."""
        if name in self._configured:
            return self._configured[name]
        rows = self._database.read("SELECT settings FROM connections WHERE name = ?", (name,))
        return _decode(rows[0]["settings"]) if rows else None

    def all(self) -> dict[str, ConnectionSettings]:
        """All connections by name. Raises StateUnavailable."""
        rows = self._database.read("SELECT name, settings FROM connections")
        found = {row["name"]: _decode(row["settings"]) for row in rows} | self._configured
        return dict(sorted(found.items()))

    def is_configured(self, name: str) -> bool:
        """Whether the connection is in the settings file, and so not for commands to change."""
        return name in self._configured

    def add_own(self, name: str, settings: ConnectionSettings) -> None:
        """A connection of the gateway itself, for as long as it runs."""
        self._configured[name] = settings

    async def save(self, name: str, settings: ConnectionSettings) -> None:
        """Add the connection, or put it in the place of the one of its name. Raises StateUnavailable."""
        values = (name, msgspec.json.encode(settings).decode())
        sql = "INSERT OR REPLACE INTO connections VALUES (?, ?)"
        await self._database.write(lambda connection: connection.execute(sql, values))

    async def remove(self, name: str) -> None:
        """Remove the connection and its sealed credential. Raises StateUnavailable."""

        def delete(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM connections WHERE name = ?", (name,))
            connection.execute("DELETE FROM credentials WHERE connection = ?", (name,))

        await self._database.write(delete)


class SealedCredentialTable:
    """Sealed credentials by connection. What is in them only the sealer knows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, connection: str) -> bytes | None:
        """The sealed credential of a connection, None when there is none. Raises StateUnavailable."""
        rows = self._database.read("SELECT sealed FROM credentials WHERE connection = ?", (connection,))
        return bytes(rows[0]["sealed"]) if rows else None

    async def save(self, connection: str, sealed: bytes) -> None:
        """Set the sealed credential of a connection. Raises StateUnavailable."""
        sql = "INSERT OR REPLACE INTO credentials VALUES (?, ?)"
        await self._database.write(lambda database: database.execute(sql, (connection, sealed)))


def _decode(text: str) -> ConnectionSettings:
    try:
        return msgspec.json.decode(text, type=ConnectionSettings)
    except msgspec.ValidationError as error:
        raise StateUnavailable(f"a stored connection cannot be read: {error}") from None
