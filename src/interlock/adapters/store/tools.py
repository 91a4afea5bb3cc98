"""What is known of tools of MCP servers, in the state store."""

import sqlite3
from collections.abc import Sequence

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.errors import StateUnavailable
from interlock.core.tool import ToolPin

_SAVE = (
    "INSERT OR REPLACE INTO tools"
    " (connection, tool, approved, approved_text, by, approved_at_s, seen, seen_text, seen_at_s)"
    " VALUES (:connection, :tool, :approved, :approved_text, :by, :approved_at_s, :seen, :seen_text, :seen_at_s)"
)


class ToolTable:
    """Implements ``services.state.ToolPinStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ToolPin]:
        """All tools, by connection and name. Raises StateUnavailable, also when one cannot be read."""
        return [_read(row) for row in self._database.read("SELECT * FROM tools ORDER BY connection, tool")]

    async def save(self, pins: Sequence[ToolPin]) -> None:
        """Keep these, all or none. Raises StateUnavailable."""
        values = [msgspec.structs.asdict(pin) for pin in pins]
        await self._database.write(lambda connection: connection.executemany(_SAVE, values))


def _read(row: sqlite3.Row) -> ToolPin:
    try:
        return msgspec.convert(dict(row), ToolPin)
    except msgspec.ValidationError as error:
        name = f"{row['connection']}/{row['tool']}"
        raise StateUnavailable(f"tool {name!r} in the state store cannot be read: {error}") from None
