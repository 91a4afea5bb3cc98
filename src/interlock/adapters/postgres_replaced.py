"""Reads rows as everybody else still sees them while a transaction has changed them, over the gateway's connection.

A row that an open transaction has updated or deleted carries that transaction's number in ``xmax`` (PostgreSQL manual,
"System Columns").
"""

from typing import Final

import asyncpg

from interlock.adapters.postgres_connection import PostgresConnections
from interlock.adapters.postgres_names import quoted
from interlock.core.approval import RowSample
from interlock.core.rehearsal import MASKED, SAMPLE_ROWS, SAMPLE_VALUE_CHARS, SampledTable

APPLICATION: Final = "interlock rehearsal"
_TRANSACTIONS: Final = 1 << 32


class PostgresReplacedRows:
    """Implements ``services.approvals.rehearsals.ReplacedRows``."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def replaced(
        self, connection: str, database: str, transaction: str, tables: tuple[SampledTable, ...]
    ) -> tuple[RowSample, ...]:
        """Samples of the rows that the transaction has updated or deleted. Raises ``CatalogueUnavailable``."""
        number = str(int(transaction) % _TRANSACTIONS)
        async with self._connections.transaction(connection, database, APPLICATION) as opened:
            return tuple([await _sample(opened, table, number) for table in tables])


async def _sample(opened: asyncpg.Connection, table: SampledTable, number: str) -> RowSample:
    place = quoted(table.schema, table.name)
    columns = [(column.name, column.masked) for column in table.columns]
    if not columns:
        columns = [(name, False) for name in await _columns(opened, place)]
    shown = ", ".join(_shown(name, masked) for name, masked in columns)
    query = f"SELECT {shown} FROM {place} WHERE xmax = $1::text::xid LIMIT {SAMPLE_ROWS}"  # noqa: S608 - quoted names
    rows = await opened.fetch(query, number)
    names = tuple(name for name, _ in columns)
    return RowSample(f"{table.schema}.{table.name}", names, tuple(tuple(row.values()) for row in rows))


async def _columns(opened: asyncpg.Connection, place: str) -> list[str]:
    rows = await opened.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        place,
    )
    return [str(row["attname"]) for row in rows]


def _shown(name: str, masked: bool) -> str:
    column = quoted(name)
    return f"'{MASKED}' AS {column}" if masked else f"left({column}::text, {SAMPLE_VALUE_CHARS}) AS {column}"
