"""Messages that a channel has not got yet, in the state store. They hold no statement."""

import sqlite3

import msgspec

from interlock.adapters.store.database import Database
from interlock.core.errors import StateUnavailable
from interlock.core.notification import Outgoing

_INSERT = "INSERT OR REPLACE INTO outbox (id, channel, due_at_s, gathering, outgoing) VALUES (?, ?, ?, ?, ?)"
_decode = msgspec.json.Decoder(Outgoing).decode


class OutboxTable:
    """Implements ``services.notifications.ports.Outbox``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, outgoing: Outgoing, capacity: int) -> bool:
        def change(connection: sqlite3.Connection) -> bool:
            sql = "SELECT count(*) FROM outbox WHERE channel = ?"
            if connection.execute(sql, (outgoing.channel,)).fetchone()[0] >= capacity:
                return False
            connection.execute(_INSERT, _row(outgoing))
            return True

        return await self._database.write(change)

    async def gather(self, outgoing: Outgoing, kind: str) -> None:
        def change(connection: sqlite3.Connection) -> None:
            sql = "SELECT outgoing FROM outbox WHERE channel = ? AND gathering"
            row = connection.execute(sql, (outgoing.channel,)).fetchone()
            kept = _outgoing(row) if row is not None else outgoing
            counts = kept.message.counts | {kind: kept.message.counts.get(kind, 0) + 1}
            message = msgspec.structs.replace(kept.message, counts=counts)
            connection.execute(_INSERT, _row(msgspec.structs.replace(kept, message=message)))

        await self._database.write(change)

    def next(self, channel: str) -> Outgoing | None:
        sql = "SELECT outgoing FROM outbox WHERE channel = ? ORDER BY due_at_s, id LIMIT 1"
        rows = self._database.read(sql, (channel,))
        return _outgoing(rows[0]) if rows else None

    async def save(self, outgoing: Outgoing) -> Outgoing:
        def change(connection: sqlite3.Connection) -> Outgoing:
            row = connection.execute("SELECT outgoing FROM outbox WHERE id = ?", (outgoing.id,)).fetchone()
            message = _outgoing(row).message if row is not None else outgoing.message
            saved = msgspec.structs.replace(outgoing, message=message)
            connection.execute(_INSERT, _row(saved))
            return saved

        return await self._database.write(change)

    async def remove(self, outgoing_id: str) -> None:
        sql = "DELETE FROM outbox WHERE id = ?"
        await self._database.write(lambda connection: connection.execute(sql, (outgoing_id,)))

    def waiting(self) -> dict[str, int]:
        return dict(map(tuple, self._database.read("SELECT channel, count(*) FROM outbox GROUP BY channel")))


def _row(outgoing: Outgoing) -> tuple[str, str, float, bool, str]:
    text = msgspec.json.encode(outgoing).decode()
    return outgoing.id, outgoing.channel, outgoing.due_at_s, outgoing.gathering, text


def _outgoing(row: sqlite3.Row) -> Outgoing:
    try:
        return _decode(row["outgoing"])
    except msgspec.MsgspecError as error:
        raise StateUnavailable(f"a message in the state store cannot be read: {error}") from None
