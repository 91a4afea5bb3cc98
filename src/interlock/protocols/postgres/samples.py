"""Looks at what a transaction has changed: the query for a sample of its rows, and the reading of the answer.

Rows of the present transaction are those whose ``xmin`` is its number (PostgreSQL manual, "System Columns").
"""

import struct
from collections.abc import Iterator
from typing import Final

from interlock.core.approval import RowSample
from interlock.core.rehearsal import MASKED, SAMPLE_ROWS, SAMPLE_VALUE_CHARS, SampledTable
from interlock.protocols.postgres import messages

_TRANSACTION: Final = "pg_catalog.pg_current_xact_id_if_assigned()"


def sample_query(tables: tuple[SampledTable, ...]) -> str:
    """Several statements: the transaction's number, then rows of each table. They leave a savepoint behind."""
    statements = [f'SAVEPOINT "interlock"; SELECT {_TRANSACTION}']
    statements += [
        f"SELECT {_columns(table)} FROM {_quoted(table.schema)}.{_quoted(table.name)}"  # noqa: S608 - quoted names only
        f" WHERE xmin OPERATOR(pg_catalog.=) {_TRANSACTION}::pg_catalog.xid LIMIT {SAMPLE_ROWS}"
        for table in tables
    ]
    return "; ".join(statements)


def read_results(data: bytes, tables: tuple[SampledTable, ...]) -> tuple[str, tuple[RowSample, ...]]:
    """The transaction's number, empty when it has none, and the samples, out of the answer to ``sample_query``."""
    results = list(_results(data))
    if not results:
        return "", ()
    transaction = results[0][1][0][0] if results[0][1] else None
    samples = tuple(
        RowSample(f"{table.schema}.{table.name}", columns, tuple(rows))
        for table, (columns, rows) in zip(tables, results[1:], strict=False)
    )
    return transaction or "", samples


def _results(data: bytes) -> Iterator[tuple[tuple[str, ...], list[tuple[str | None, ...]]]]:
    """Columns and rows of each result set."""
    columns: tuple[str, ...] = ()
    rows: list[tuple[str | None, ...]] = []
    for kind, body in messages.split(data):
        if kind == messages.ROW_DESCRIPTION:
            columns, rows = _names(body), []
        elif kind == messages.DATA_ROW:
            rows.append(_values(body))
        elif kind == messages.COMMAND_COMPLETE and columns:
            yield columns, rows
            columns = ()


def _names(body: bytes) -> tuple[str, ...]:
    names, position = [], 2
    while position < len(body):
        name, position = messages.read_cstring(body, position)
        names.append(name)
        position += 18
    return tuple(names)


def _values(body: bytes) -> tuple[str | None, ...]:
    values: list[str | None] = []
    position = 2
    while position < len(body):
        (size,) = struct.unpack_from(">i", body, position)
        position += 4
        value = None if size < 0 else body[position : position + size].decode(errors="replace")
        values.append(value if value is None else value[:SAMPLE_VALUE_CHARS])
        position += max(size, 0)
    return tuple(values)


def _columns(table: SampledTable) -> str:
    if not table.columns:
        return "*"
    return ", ".join(
        f"'{MASKED}' AS {_quoted(column.name)}"
        if column.masked
        else f"pg_catalog.left({_quoted(column.name)}::pg_catalog.text, {SAMPLE_VALUE_CHARS}) AS {_quoted(column.name)}"
        for column in table.columns
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
