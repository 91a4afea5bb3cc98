"""Identities registered by hand, in the state store."""

import sqlite3
from typing import Final

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.identity import Handover, PrincipalKind, RegisteredIdentity

_KEEP_OWNER: Final = """
    UPDATE identities_seen SET owner = identities.owner FROM identities
    WHERE identities.name = ?1 AND identities.owner IS NOT NULL AND principal = ?1 AND principal_kind = identities.kind
"""
"""Whoever answers for an agent when it is forgotten is whom it has to be taken from when it is registered again."""


class IdentityTable:
    """Implements ``services.state.IdentityStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> RegisteredIdentity | None:
        """The identity of this name, None when there is none. Raises StateUnavailable."""
        rows = self._database.read("SELECT * FROM identities WHERE name = ?", (name,))
        return _identity(rows[0]) if rows else None

    def all(self) -> list[RegisteredIdentity]:
        """All identities by name. Raises StateUnavailable."""
        return [_identity(row) for row in self._database.read("SELECT * FROM identities ORDER BY name")]

    async def save(self, identity: RegisteredIdentity) -> None:
        """Add the identity, or put it in the place of the one of its name. Raises StateUnavailable."""
        values = (
            identity.name,
            identity.kind.value,
            identity.owner,
            msgspec.json.encode(sorted(identity.groups)).decode(),
            identity.disabled,
            identity.created_at_s,
            identity.scram_verifier,
            identity.purpose,
            msgspec.json.encode(sorted(identity.issuers)).decode(),
            msgspec.json.encode(identity.handover).decode() if identity.handover is not None else None,
            identity.secret_made_at_s,
        )
        sql = "INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        await self._database.write(lambda connection: connection.execute(sql, values))

    async def remove(self, name: str) -> None:
        """Forget the identity, its secret and its SSH keys. Raises StateUnavailable."""
        await self._database.write(lambda connection: _remove(connection, name))


def _remove(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(_KEEP_OWNER, (name,))
    connection.execute("DELETE FROM ssh_keys WHERE identity = ?", (name,))
    connection.execute("DELETE FROM identities WHERE name = ?", (name,))


def _identity(row: sqlite3.Row) -> RegisteredIdentity:
    return RegisteredIdentity(
        name=row["name"],
        kind=PrincipalKind(row["kind"]),
        owner=row["owner"],
        groups=frozenset(msgspec.json.decode(row["groups"], type=list[str])),
        disabled=bool(row["disabled"]),
        created_at_s=row["created_at_s"],
        scram_verifier=row["scram_verifier"],
        purpose=row["purpose"],
        issuers=frozenset(msgspec.json.decode(row["issuers"], type=list[str])),
        handover=msgspec.json.decode(row["handover"], type=Handover) if row["handover"] is not None else None,
        secret_made_at_s=row["secret_made_at_s"],
    )
