"""What was counted against budgets, in the state store: a row for each counter and bucket. Decides nothing."""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from interlock.adapters.store.database import Database
from interlock.services.state import KeptAmount

MAX_AMOUNT = 1 << 56
"""More is not counted in one bucket: it is more than any budget, and a window's buckets add up to a machine integer."""
_ADD = (
    f"INSERT INTO budgets VALUES (?, ?, min(?, {MAX_AMOUNT}))"
    f" ON CONFLICT DO UPDATE SET amount = min(amount + excluded.amount, {MAX_AMOUNT})"
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
