"""What was counted against budgets, in the state store: a row for each counter and bucket. Decides nothing."""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from interlock.adapters.store.database import Database
from interlock.services.state import KeptAmount

# At most 2^56 in a bucket: more than any budget, and what a window's buckets add up to is still a machine integer.
_ADD = (
    "INSERT INTO budgets VALUES (?, ?, min(?, 1 << 56))"
    " ON CONFLICT DO UPDATE SET amount = min(amount + excluded.amount, 1 << 56)"
)
_FORGET = "DELETE FROM budgets WHERE key = ? AND (bucket < ? OR amount = 0)"
_READ = "SELECT key, bucket, amount FROM budgets WHERE key IN (SELECT value FROM json_each(?))"


class BudgetTable:
    """Implements ``services.state.BudgetStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[KeptAmount]:
        """Everything that is kept. Raises StateUnavailable."""
        return list(map(_kept, self._database.read("SELECT key, bucket, amount FROM budgets")))

    async def add(self, changes: Sequence[KeptAmount], oldest: Mapping[str, int]) -> list[KeptAmount]:
        """Add amounts, forget what is too old, and return what is kept of these keys. Raises StateUnavailable."""

        def change(connection: sqlite3.Connection) -> list[KeptAmount]:
            connection.executemany(_ADD, changes)
            connection.executemany(_FORGET, oldest.items())
            return list(map(_kept, connection.execute(_READ, (json.dumps(list(oldest)),))))

        return await self._database.write(change)


def _kept(row: sqlite3.Row) -> KeptAmount:
    return row["key"], row["bucket"], row["amount"]
