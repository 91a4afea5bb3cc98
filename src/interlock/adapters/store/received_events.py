"""Security events that were carried out, in the state store: their ids, for as long as they could come again."""

import sqlite3
from typing import Final

from interlock.adapters.store.database import Database
from interlock.core.errors import StateUnavailable

MAX_KEPT: Final = 200_000


class ReceivedEventTable:
    """Implements ``services.state.ReceivedEvents``."""

    def __init__(self, database: Database, max_kept: int = MAX_KEPT) -> None:
        self._database = database
        self._max_kept = max_kept

    def has(self, issuer: str, event_id: str, now_s: float) -> bool:
        """Whether an event was carried out before. Raises StateUnavailable, also when no more can be kept."""
        sql = "SELECT 1 FROM received_events WHERE issuer = ? AND event = ?"
        if self._database.read(sql, (issuer, event_id)):
            return True
        ((count,),) = self._database.read("SELECT count(*) FROM received_events WHERE until_s > ?", (now_s,))
        if count >= self._max_kept:
            raise StateUnavailable("more security events have come in than the gateway remembers; send it later")
        return False

    async def keep(self, issuer: str, event_id: str, until_s: float, now_s: float) -> None:
        """Note that an event was carried out; those that cannot come again are forgotten. Raises StateUnavailable."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM received_events WHERE until_s <= ?", (now_s,))
            connection.execute("INSERT OR REPLACE INTO received_events VALUES (?, ?, ?)", (issuer, event_id, until_s))

        await self._database.write(work)
