"""Proposes tags for columns by what is in samples of them and by what they are called.

It tags nothing: a person decides. No value leaves it, is logged, or is kept longer than its batch.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from interlock.core.administration import ColumnPath, NotSampled, ScanReport, TagProposal
from interlock.core.catalogue import Catalogue, Column, Relation, RelationKind
from interlock.core.errors import CatalogueUnavailable
from interlock.services.name_hints import name_hint
from interlock.services.policy.resources import escape
from interlock.services.ports import CatalogueReader, Clock, ColumnSampler

SCAN_TIME_S: Final = 480.0
"""After this long no further table is begun."""
LEAST_SHARE: Final = 0.01
"""The share of values in which a detector must find something."""

_TAGS: Final = {"email": "pii", "phone": "pii", "ssn": "pii", "credit-card": "financial", "iban": "financial"}
_TAG_OF_OTHERS: Final = "secret"
_SCANNED: Final = (RelationKind.TABLE, RelationKind.PARTITIONED, RelationKind.MATERIALIZED_VIEW, RelationKind.FOREIGN)
_NAMED: Final = (*_SCANNED, RelationKind.VIEW)
_SIMPLE: Final = ("text", "varchar", "bpchar", "citext", "json", "jsonb", "xml", "bytea", "int8", "numeric", "float8")
_CONTENT_TYPES: Final = frozenset((*_SIMPLE, "name", "hstore", *(f"_{name}" for name in _SIMPLE)))


class Discovery:
    """Scans one database. ``find_classes`` says which detector classes find something in one value."""

    def __init__(
        self,
        reader: CatalogueReader,
        sampler: ColumnSampler,
        find_classes: Callable[[bytes], frozenset[str]],
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._sampler = sampler
        self._find_classes = find_classes
        self._clock = clock

    async def scan(self, connection: str, database: str, sample_rows: int) -> ScanReport:
        """What is proposed for the database. Raises CatalogueUnavailable when its catalogue cannot be read."""
        until_s = self._clock.monotonic_s() + SCAN_TIME_S
        catalogue = await self._reader.read(connection, database)
        relations = list(_relations(catalogue))
        proposals = [_by_name(relation, column) for relation in relations for column in relation.columns]
        not_sampled: list[NotSampled] = []
        for relation in relations:
            columns = [column.name for column in relation.columns if column.type_name in _CONTENT_TYPES]
            if not columns or relation.kind not in _SCANNED:
                continue
            try:
                if self._clock.monotonic_s() > until_s:
                    raise CatalogueUnavailable("there was no time left")
                proposals += await self._sample(connection, database, relation, columns, sample_rows)
            except CatalogueUnavailable as error:
                not_sampled.append(NotSampled(relation.schema, relation.name, str(error)))
        found = sorted(filter(None, proposals), key=lambda proposal: (proposal.column, not proposal.by_content))
        return ScanReport(
            connection=connection,
            database=database,
            tables=len(relations),
            columns=sum(len(relation.columns) for relation in relations),
            proposals=tuple(_with_pattern(proposal, connection, database) for proposal in found),
            not_sampled=tuple(not_sampled),
        )

    async def _sample(
        self, connection: str, database: str, relation: Relation, columns: Sequence[str], rows: int
    ) -> list[TagProposal | None]:
        tally = _Tally(columns, self._find_classes)
        async with contextlib.aclosing(self._sampler.sample(connection, database, relation, columns, rows)) as batches:
            async for batch in batches:
                await asyncio.to_thread(tally.add, batch)
        return list(tally.proposals(relation))


class _Tally:
    """Counts, for each column of one relation, values that were looked at and values in which something was found."""

    def __init__(self, columns: Sequence[str], find_classes: Callable[[bytes], frozenset[str]]) -> None:
        self._columns = columns
        self._find_classes = find_classes
        self._values: Counter[str] = Counter()
        self._hits: Counter[tuple[str, str]] = Counter()

    def add(self, rows: Sequence[tuple[bytes | None, ...]]) -> None:
        for row in rows:
            for column, value in zip(self._columns, row, strict=True):
                if value:
                    self._values[column] += 1
                    self._hits.update((column, found) for found in self._find_classes(value))

    def proposals(self, relation: Relation) -> Iterator[TagProposal]:
        for (column, detector), hits in sorted(self._hits.items()):
            values = self._values[column]
            if hits >= values * LEAST_SHARE:
                path = ColumnPath(relation.schema, relation.name, column)
                yield TagProposal(path, True, detector, hits, values, _TAGS.get(detector, _TAG_OF_OTHERS), "")


def _relations(catalogue: Catalogue) -> Iterator[Relation]:
    """What is looked at: tables of users, and a partition through what it is a part of."""
    partitioned = {relation.oid for relation in catalogue.relations if relation.kind is RelationKind.PARTITIONED}
    for relation in catalogue.relations:
        if (
            relation.schema != "pg_catalog"
            and relation.kind in _NAMED
            and not partitioned.intersection(relation.parents)
        ):
            yield relation


def _by_name(relation: Relation, column: Column) -> TagProposal | None:
    found = name_hint(column.name)
    if found is None:
        return None
    return TagProposal(ColumnPath(relation.schema, relation.name, column.name), False, found.hint, 0, 0, found.tag, "")


def _with_pattern(proposal: TagProposal, connection: str, database: str) -> TagProposal:
    path = proposal.column
    names = (connection, database, path.schema, path.table, path.column)
    return msgspec.structs.replace(proposal, pattern="/".join(map(escape, names)))
