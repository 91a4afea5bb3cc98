"""The list of sessions that people search. The ledger is the truth; this can be lost and is only late when it lags."""

import sqlite3
from typing import Final

from interlock.adapters.store.database import Database
from interlock.adapters.store.identity_use import note_session, note_use
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.lock import LockSubject
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
            None,
            0,
            0,
            0,
            principal.issuer,
            principal.subject,
            principal.token_id,
            principal.login,
            _lines(principal.ancestors),
        )
        actors = [_actor_values(session, *placed) for placed in enumerate(principal.acting)]

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_INSERT, values)
            connection.executemany(_INSERT_ACTOR, actors)
            note_session(connection, session, at_s)

        self._database.write_soon(write)

    def used(self, session: Session, action: str, at_s: float) -> None:
        """Note that a session was permitted an action for the first time."""
        self._database.write_soon(lambda connection: note_use(connection, session, action, at_s))

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
        """The latest sessions, newest first; empty filters match all. Raises StateUnavailable.

        ``principal`` is also who acts for somebody.
        """
        sql = (
            "SELECT * FROM sessions WHERE (?1 = '' OR principal = ?1 OR id IN (SELECT id FROM session_actors"
            " WHERE principal = ?1)) AND (?2 = '' OR connection = ?2) AND (?3 = '' OR status = ?3)"
            " ORDER BY id DESC LIMIT ?4"
        )
        values = (principal, connection, status.value if status else "", limit)
        return [_entry(row) for row in self._database.read(sql, values)]

    def known(self, kind: LockSubject, subject: str) -> list[Principal]:
        """Implements ``services.state.KnownPrincipals``. Raises StateUnavailable."""
        if (condition := _SUBJECTS.get(kind)) is None:
            return []
        columns = "principal_kind, principal, owner, issuer, subject"
        found = (f"SELECT {columns} FROM {table} WHERE {condition}" for table in _TABLES)  # noqa: S608 - of the table below
        return [_principal(row) for row in self._database.read(" UNION ".join(found), (subject,))]


_COLUMNS: Final = 21
_INSERT: Final = f"INSERT OR REPLACE INTO sessions VALUES ({', '.join('?' * _COLUMNS)})"  # noqa: S608 - no values
_ACTOR_COLUMNS: Final = 11
_INSERT_ACTOR: Final = f"INSERT OR REPLACE INTO session_actors VALUES ({', '.join('?' * _ACTOR_COLUMNS)})"  # noqa: S608 - no values
_TABLES: Final = ("sessions", "session_actors")
"""Whose sessions there were, and who acted in them for somebody."""
_SUBJECTS: Final = {
    LockSubject.USER: "principal_kind = 'User' AND principal = ?1",
    LockSubject.AGENT: "principal_kind = 'Agent' AND principal = ?1",
    LockSubject.OWNER: "owner = ?1 OR principal = ?1",
    LockSubject.TOKEN: "token_id = ?1 OR (ancestors <> '' AND instr(ancestors, char(10) || ?1 || char(10)))",
    LockSubject.RUN: "trace = ?1",
    LockSubject.LOGIN: "login <> '' AND issuer || ' ' || login = ?1",
    LockSubject.SUBJECT: "issuer || ' ' || subject = ?1",
}
"""Which sessions a lock on a subject would have been about."""


def _actor_values(session: Session, place: int, actor: Principal) -> tuple[object, ...]:
    return (
        session.id,
        place,
        actor.kind.value,
        actor.name,
        actor.owner or "",
        actor.issuer,
        actor.subject,
        actor.token_id,
        actor.login,
        _lines(actor.ancestors),
        session.trace,
    )


def _lines(ids: tuple[str, ...]) -> str:
    return "\n".join(("", *ids, "")) if ids else ""


def _principal(row: sqlite3.Row) -> Principal:
    return Principal(
        PrincipalKind(row["principal_kind"]),
        row["principal"],
        owner=row["owner"] or None,
        issuer=row["issuer"],
        subject=row["subject"],
    )


def _entry(row: sqlite3.Row) -> SessionEntry:
    columns = {name: row[name] for name in SessionEntry.__struct_fields__ if name != "status"}
    return SessionEntry(**columns, status=SessionStatus(row["status"]))
