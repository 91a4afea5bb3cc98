"""Session tokens that are only a name for what is kept here, and tokens that were used, in the state store.

Of a token its SHA-256 is kept, never the token. What has ended is forgotten with the next one that comes.
"""

import sqlite3
from typing import Final

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.errors import StateUnavailable
from interlock.core.session_token import SessionToken

MAX_KEPT: Final = 200_000


class SessionTokenTable:
    """Opaque session tokens by their SHA-256."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, digest: bytes) -> SessionToken | None:
        """What a token means, ended or not; None for one that is not known. Raises StateUnavailable."""
        rows = self._database.read("SELECT token FROM session_tokens WHERE digest = ?", (digest,))
        try:
            return msgspec.json.decode(rows[0]["token"], type=SessionToken) if rows else None
        except msgspec.DecodeError as error:
            raise StateUnavailable(f"a session token in the state store cannot be read: {error}") from None

    async def add(self, digest: bytes, token: SessionToken, now_s: float) -> None:
        """Keep a token until its end. Raises StateUnavailable, also when there are too many."""
        values = (digest, msgspec.json.encode(token), token.principal.expires_at_s)

        def work(connection: sqlite3.Connection) -> None:
            _make_room(connection, "session_tokens", now_s)
            connection.execute("INSERT INTO session_tokens VALUES (?, ?, ?)", values)

        await self._database.write(work)


class SpentTokenTable:
    """Implements ``services.ports.SpentTokens``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self, issuer: str, token_id: str, expires_at_s: float, now_s: float) -> bool:
        """Note that a token is used; False when it was used before. Raises StateUnavailable."""
        values = (issuer, token_id, expires_at_s)

        def work(connection: sqlite3.Connection) -> bool:
            _make_room(connection, "spent_tokens", now_s)
            return connection.execute("INSERT OR IGNORE INTO spent_tokens VALUES (?, ?, ?)", values).rowcount == 1

        return await self._database.write(work)


def _make_room(connection: sqlite3.Connection, table: str, now_s: float) -> None:
    connection.execute(f"DELETE FROM {table} WHERE expires_at_s <= ?", (now_s,))  # noqa: S608 - one of our two tables
    ((count,),) = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
    if count >= MAX_KEPT:
        raise StateUnavailable("more tokens are in use than the gateway keeps; try again later")
