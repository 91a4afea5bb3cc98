"""Logins of people, in the state store: digests of their secrets, never a secret."""

import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.login import KeptLogin, Login

_ADD: Final = "INSERT OR REPLACE INTO logins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class LoginTable:
    """Implements ``services.state.LoginStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, family: bytes) -> KeptLogin | None:
        """The login whose secret has a first part with this digest. Raises StateUnavailable."""
        rows = self._database.read("SELECT * FROM logins WHERE family = ?", (family,))
        return _kept(rows[0]) if rows else None

    def is_kept(self, login_id: str) -> bool:
        """Whether there is a login of this id. Raises StateUnavailable."""
        return bool(self._database.read("SELECT 1 FROM logins WHERE id = ?", (login_id,)))

    def by_session(self, issuer: str, sid: str) -> list[Login]:
        """The logins of one session at a provider; of no session, none. Raises StateUnavailable."""
        return self._some("issuer = ? AND sid = ? AND sid != ''", issuer, sid)

    def by_subject(self, issuer: str, subject: str) -> list[Login]:
        """The logins of a provider's person. Raises StateUnavailable."""
        return self._some("issuer = ? AND subject = ?", issuer, subject)

    def by_issuer(self, issuer: str) -> list[Login]:
        """The logins of all of a provider's people. Raises StateUnavailable."""
        return self._some("issuer = ?", issuer)

    def by_name(self, name: str) -> list[Login]:
        """The logins of an identity. Raises StateUnavailable."""
        return self._some("name = ?", name)

    def ended(self, now_s: float) -> list[Login]:
        """The logins whose time is over. Raises StateUnavailable."""
        return self._some("ends_at_s <= ?", now_s)

    async def add(self, kept: KeptLogin) -> None:
        """Keep a login. Raises StateUnavailable."""
        await self._database.write(lambda connection: _save(connection, kept))

    async def change(self, family: bytes, change: Callable[[KeptLogin], KeptLogin | None]) -> KeptLogin | None:
        """Put what ``change`` makes of a login in its place, in one step; returns what it was before.

        None when there is no such login. Nothing is changed when ``change`` makes nothing of it. Raises
        StateUnavailable.
        """
        return await self._database.write(lambda connection: _change(connection, family, change))

    async def remove(self, login_id: str) -> bool:
        """Forget a login; whether it was there. Raises StateUnavailable."""
        sql = "DELETE FROM logins WHERE id = ?"
        return await self._database.write(lambda connection: connection.execute(sql, (login_id,)).rowcount > 0)

    def _some(self, condition: str, *parameters: object) -> list[Login]:
        sql = f"SELECT login FROM logins WHERE {condition} ORDER BY id"  # noqa: S608 - the conditions are those above
        return [msgspec.json.decode(row["login"], type=Login) for row in self._database.read(sql, parameters)]


def _change(
    connection: sqlite3.Connection, family: bytes, change: Callable[[KeptLogin], KeptLogin | None]
) -> KeptLogin | None:
    row = connection.execute("SELECT * FROM logins WHERE family = ?", (family,)).fetchone()
    if row is None:
        return None
    before = _kept(row)
    if (after := change(before)) is not None:
        _save(connection, after)
    return before


def _save(connection: sqlite3.Connection, kept: KeptLogin) -> None:
    login, principal = kept.login, kept.login.principal
    values = (
        login.id,
        kept.family,
        kept.secret,
        kept.spent,
        kept.renewed_at_s,
        principal.issuer,
        principal.subject,
        principal.login,
        principal.name,
        login.ends_at_s,
        msgspec.json.encode(login).decode(),
    )
    connection.execute(_ADD, values)


def _kept(row: sqlite3.Row) -> KeptLogin:
    login = msgspec.json.decode(row["login"], type=Login)
    return KeptLogin(login, row["family"], row["secret"], row["spent"], row["renewed_at_s"])
