"""Looks at some rows of a PostgreSQL table. What it has read it hands on and forgets."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import asyncpg

from interlock.adapters.postgres_connection import PostgresConnections
from interlock.adapters.postgres_names import quoted
from interlock.core.catalogue import Relation, RelationKind

APPLICATION: Final = "interlock-scan"
MAX_VALUE_CHARACTERS: Final = 2000
BATCH_ROWS: Final = 100
_OVERSAMPLED: Final = 2.0
_LARGE: Final = 10
"""A table with this many times the rows that are wanted is sampled all over; others from their beginning."""


class PostgresSampler:
    """Implements ``services.ports.ColumnSampler``."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def sample(
        self, connection: str, database: str, relation: Relation, columns: Sequence[str], rows: int
    ) -> AsyncGenerator[list[tuple[bytes | None, ...]], None]:
        """As in the port."""
        async with self._connections.transaction(connection, database, APPLICATION) as opened:
            query = _query(relation, columns, await _estimated_rows(opened, relation), rows)
            await opened.execute(f"DECLARE sample NO SCROLL CURSOR FOR {query}")
            while batch := await opened.fetch(f"FETCH {BATCH_ROWS} FROM sample"):
                yield [tuple(None if value is None else value.encode() for value in row) for row in batch]


async def _estimated_rows(opened: asyncpg.Connection, relation: Relation) -> float:
    estimate: float | None = await opened.fetchval("SELECT reltuples FROM pg_class WHERE oid = $1", relation.oid)
    return estimate or 0.0


def _query(relation: Relation, columns: Sequence[str], estimated_rows: float, rows: int) -> str:
    """All names are quoted; the rest are numbers."""
    texts = ", ".join(f"left({quoted(column)}::text, {MAX_VALUE_CHARACTERS})" for column in columns)
    sample = ""
    if relation.kind is not RelationKind.FOREIGN and estimated_rows > rows * _LARGE:
        sample = f" TABLESAMPLE SYSTEM ({100 * _OVERSAMPLED * rows / estimated_rows:.6f})"
    return f"SELECT {texts} FROM {quoted(relation.schema, relation.name)}{sample} LIMIT {rows}"  # noqa: S608
