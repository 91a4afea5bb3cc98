"""Who has used what, and who has looked at that: one row for each identity, and one for each action on a connection.

Kept up to date by sessions, so that a review need not go through all of them. The ledger is the truth.
"""

import sqlite3
from typing import Final

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.access_review import CONNECT, Attestation, SeenIdentity, Use
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.session import Session

_SEEN: Final = """
    INSERT INTO identities_seen VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 1)
    ON CONFLICT DO UPDATE SET
        owner = ?3, issuer = ?4, groups = ?5, last_at_s = max(last_at_s, ?6), sessions = sessions + 1
"""
_USED: Final = """
    INSERT INTO identity_uses VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET last_at_s = max(last_at_s, ?5)
"""


def note_session(connection: sqlite3.Connection, session: Session, at_s: float) -> None:
    """In a transaction: a session was opened, by whoever it is for and whoever acts."""
    for who in _involved(session):
        groups = msgspec.json.encode(sorted(who.groups)).decode()
        connection.execute(_SEEN, (who.kind.value, who.name, who.owner or "", who.issuer, groups, at_s))
    note_use(connection, session, CONNECT, at_s)


def note_use(connection: sqlite3.Connection, session: Session, action: str, at_s: float) -> None:
    """In a transaction: an action was permitted in a session."""
    for who in _involved(session):
        connection.execute(_USED, (who.kind.value, who.name, session.connection, action, at_s))


def _involved(session: Session) -> tuple[Principal, ...]:
    return session.principal, *session.principal.acting[:1]


class IdentityUseTable:
    """Implements ``services.state.IdentityUses``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def agents(self, since_s: float) -> list[SeenIdentity]:
        """Agents that have had a session since then, by name. Raises StateUnavailable."""
        sql = "SELECT * FROM identities_seen WHERE principal_kind = ? AND last_at_s >= ? ORDER BY principal"
        return [_seen(row) for row in self._database.read(sql, (PrincipalKind.AGENT.value, since_s))]

    def find(self, kind: PrincipalKind, name: str) -> SeenIdentity | None:
        """Somebody who has had a session. Raises StateUnavailable."""
        sql = "SELECT * FROM identities_seen WHERE principal_kind = ? AND principal = ?"
        rows = self._database.read(sql, (kind.value, name))
        return _seen(rows[0]) if rows else None

    def uses(self, kind: PrincipalKind, name: str) -> list[Use]:
        """What an identity was permitted, by connection and action. Raises StateUnavailable."""
        sql = "SELECT connection, action, last_at_s FROM identity_uses WHERE principal_kind = ? AND principal = ?"
        return [Use(*row) for row in self._database.read(f"{sql} ORDER BY connection, action", (kind.value, name))]

    def attestation(self, name: str) -> Attestation | None:
        """The last one of an agent. Raises StateUnavailable."""
        rows = self._database.read("SELECT by, at_s, note FROM attestations WHERE identity = ?", (name,))
        return Attestation(*rows[0]) if rows else None

    async def attest(self, name: str, attestation: Attestation) -> None:
        """Keep it in the place of an earlier one. Raises StateUnavailable."""
        values = (name, attestation.by, attestation.at_s, attestation.note)
        sql = "INSERT OR REPLACE INTO attestations VALUES (?, ?, ?, ?)"
        await self._database.write(lambda connection: connection.execute(sql, values))


def _seen(row: sqlite3.Row) -> SeenIdentity:
    principal = Principal(
        PrincipalKind(row["principal_kind"]),
        row["principal"],
        frozenset(msgspec.json.decode(row["groups"], type=list[str])),
        row["owner"] or None,
        issuer=row["issuer"],
    )
    return SeenIdentity(principal, row["first_at_s"], row["last_at_s"], row["sessions"])
