"""The list of sessions that people search. The ledger is the truth; this can be lost and is only late when it lags."""

import sqlite3

from interlock.adapters.store.database import Database
from interlock.core.session import Session, SessionEntry, SessionStatus


class SessionTable:
    """Implements ``services.ports.SessionIndex``. Writing never waits; what cannot be written is logged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def opened(self, session: Session, at_s: float) -> None:
        """Note a session that began."""
        principal = session.principal
        values = (
            session.id,
            session.protocol,
            session.connection,
            session.database,
            principal.kind.value,
            principal.name,
            principal.owner or "",
            session.client_address,
            session.application,
            session.trace,
            at_s,
            SessionStatus.OPEN.value,
        )
        sql = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 0, 0)"
        self._database.write_soon(lambda connection: connection.execute(sql, values))

    def closed(self, session_id: str, status: str, at_s: float, operations: int, denied: int, rows: int) -> None:
        """Note how a session ended."""
        values = (SessionStatus(status).value, at_s, operations, denied, rows, session_id)
        sql = "UPDATE sessions SET status = ?, closed_at_s = ?, operations = ?, denied = ?, rows = ? WHERE id = ?"
        self._database.write_soon(lambda connection: connection.execute(sql, values))

    async def interrupt_open(self, at_s: float) -> int:
        """Mark sessions that a crash left open as interrupted; returns how many. For the start of the gateway."""
        sql = "UPDATE sessions SET status = ?, closed_at_s = ? WHERE status = ?"
        values = (SessionStatus.INTERRUPTED.value, at_s, SessionStatus.OPEN.value)
        return await self._database.write(lambda connection: connection.execute(sql, values).rowcount)

    def find(self, session_id: str) -> SessionEntry | None:
        """The session with this id, None when there is none. Raises StateUnavailable."""
        rows = self._database.read("SELECT * FROM sessions WHERE id = ?", (session_id,))
        return _entry(rows[0]) if rows else None

    def recent(
        self, limit: int = 100, principal: str = "", connection: str = "", status: SessionStatus | None = None
    ) -> list[SessionEntry]:
        """The latest sessions, newest first; empty filters match all. Raises StateUnavailable."""
        sql = (
            "SELECT * FROM sessions WHERE (?1 = '' OR principal = ?1) AND (?2 = '' OR connection = ?2)"
            " AND (?3 = '' OR status = ?3) ORDER BY id DESC LIMIT ?4"
        )
        values = (principal, connection, status.value if status else "", limit)
        return [_entry(row) for row in self._database.read(sql, values)]


def _entry(row: sqlite3.Row) -> SessionEntry:
    columns = {name: row[name] for name in SessionEntry.__struct_fields__ if name != "status"}
    return SessionEntry(**columns, status=SessionStatus(row["status"]))
