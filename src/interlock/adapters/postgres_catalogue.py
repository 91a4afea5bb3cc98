"""Reads what a PostgreSQL database contains, over a connection of the gateway's own.

It looks at the system catalogue only, never at a row of a table, and changes nothing.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from interlock.adapters.postgres_connection import PostgresConnections
from interlock.adapters.postgres_queries import named_queries
from interlock.core.catalogue import (
    Catalogue,
    Column,
    ForeignKey,
    Operator,
    Relation,
    RelationKind,
    Routine,
    TypeCode,
    content_version,
)
from interlock.core.errors import CatalogueUnavailable

APPLICATION: Final = "interlock-catalogue"
READ_TIMEOUT_S: Final = 60.0
MAX_ROWS: Final = 200_000
"""The most columns that are read, and the most of anything else."""
_TAGS_IN_COMMENT: Final = re.compile(r"interlock:tags=(TAG(?:,TAG)*)".replace("TAG", r"\w(?:[\w.-]*\w)?"))

Row = Mapping[str, Any]
TagsByPlace = Mapping[tuple[int, int], tuple[str, ...]]


class CatalogueRows(msgspec.Struct, frozen=True):
    """What the queries returned."""

    relations: Sequence[Row]
    columns: Sequence[Row]
    types: Sequence[Row]
    foreign_keys: Sequence[Row]
    view_sources: Sequence[Row]
    tags: Sequence[Row]
    routines: Sequence[Row]
    operators: Sequence[Row]
    type_code: Sequence[Row]


class PostgresCatalogueReader:
    """Implements ``services.ports.CatalogueReader``."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def read(self, connection: str, database: str) -> Catalogue:
        """The catalogue as of one moment, without lineage. Raises CatalogueUnavailable."""
        place = f"database {database!r} of connection {connection!r}"
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                rows = await self._fetch(connection, database)
        except TimeoutError:
            raise CatalogueUnavailable(f"{place} takes more than {READ_TIMEOUT_S:.0f} s to tell what it has") from None
        for name, found in rows.items():
            if len(found) > MAX_ROWS:
                raise CatalogueUnavailable(f"{place} has more than {MAX_ROWS} {name.replace('_', ' ')}")
        return await asyncio.to_thread(build_catalogue, CatalogueRows(**rows))

    async def _fetch(self, connection: str, database: str) -> dict[str, Sequence[Row]]:
        """The rows of each query. One row too many says that there are more."""
        async with self._connections.transaction(connection, database, APPLICATION) as opened:
            queries = catalogue_queries(opened.get_server_version().major)
            return {name: await opened.fetch(query, MAX_ROWS + 1) for name, query in queries.items()}


def catalogue_queries(major: int) -> dict[str, str]:
    """The queries by name, for a server of this major version."""
    queries = named_queries("postgres_catalogue.sql")
    if major < 14:
        queries["routines"] = queries["routines"].replace("pg_get_function_sqlbody(p.oid)", "NULL")
    return queries


def build_catalogue(rows: CatalogueRows) -> Catalogue:
    """The rows as values, with their version."""
    catalogue = Catalogue(
        version="",
        relations=_relations(rows),
        routines=tuple(map(_routine, rows.routines)),
        operators=tuple(Operator(row["nspname"], row["oprname"], row["routine"]) for row in rows.operators),
        type_code=tuple(
            TypeCode(row["nspname"], row["typname"], row["routine"], row["source"]) for row in rows.type_code
        ),
    )
    return msgspec.structs.replace(catalogue, version=content_version(catalogue))


def tags_in_comment(text: str) -> Iterator[str]:
    """The tags of a comment: what follows ``interlock:tags=``, separated by commas, anywhere in it."""
    for found in _TAGS_IN_COMMENT.findall(text):
        yield from found.split(",")


def tags_in_label(text: str) -> Iterator[str]:
    """The tags of a security label: the label, separated by commas."""
    yield from (tag.strip() for tag in text.split(",") if tag.strip())


def _relations(rows: CatalogueRows) -> tuple[Relation, ...]:
    tags = _tags(rows.tags)
    columns, foreign_keys = _columns(rows, tags), _foreign_keys(rows.foreign_keys)
    running_code = _running_code(rows)
    return tuple(
        Relation(
            oid=row["oid"],
            schema=row["nspname"],
            name=row["relname"],
            kind=RelationKind(row["relkind"]),
            columns=columns.get(row["oid"], ()),
            parents=tuple(row["parents"]),
            key=tuple(row["key"]),
            foreign_keys=foreign_keys.get(row["oid"], ()),
            definition=row["definition"] or "",
            runs_code=row["oid"] in running_code,
            rewrites=row["rules"],
            tags=tags.get((row["oid"], 0), ()),
        )
        for row in rows.relations
    )


def _columns(rows: CatalogueRows, tags: TagsByPlace) -> dict[int, tuple[Column, ...]]:
    types = {row["oid"]: row for row in rows.types}
    columns: defaultdict[int, list[Column]] = defaultdict(list)
    for row in rows.columns:
        base = _base_type(row["atttypid"], types)
        column = Column(
            number=row["attnum"],
            name=row["attname"],
            type_schema=base["nspname"],
            type_name=base["typname"],
            category=base["typcategory"],
            generated=row["generated"],
            expression=row["expression"] or "",
            tags=tags.get((row["attrelid"], row["attnum"]), ()),
        )
        columns[row["attrelid"]].append(column)
    return {oid: tuple(found) for oid, found in columns.items()}


def _base_type(oid: int, types: Mapping[int, Row]) -> Row:
    """The type itself, or what is at the bottom of a domain."""
    found = types[oid]
    while found["base"]:
        found = types[found["base"]]
    return found


def _foreign_keys(rows: Iterable[Row]) -> dict[int, tuple[ForeignKey, ...]]:
    keys: defaultdict[int, list[ForeignKey]] = defaultdict(list)
    for row in rows:
        key = ForeignKey(tuple(row["columns"]), row["confrelid"], tuple(row["targets"]), row["cascades"])
        keys[row["conrelid"]].append(key)
    return {oid: tuple(found) for oid, found in keys.items()}


def _running_code(rows: CatalogueRows) -> set[int]:
    """The relations to which writing runs triggers or rules, their own or those of a relation that is written with it.

    A write reaches partitions and children through their parent, a view's tables through the view, and referencing
    tables through a foreign key that cascades.
    """
    reached_from: defaultdict[int, set[int]] = defaultdict(set)
    for row in rows.relations:
        reached_from[row["oid"]].update(row["parents"])
    for row in rows.view_sources:
        reached_from[row["source"]].add(row["view"])
    for row in rows.foreign_keys:
        if row["cascades"]:
            reached_from[row["conrelid"]].add(row["confrelid"])
    found: set[int] = set()
    waiting = [row["oid"] for row in rows.relations if row["triggers"] or row["rules"]]
    while waiting:
        oid = waiting.pop()
        if oid not in found:
            found.add(oid)
            waiting += reached_from[oid]
    return found


def _tags(rows: Iterable[Row]) -> TagsByPlace:
    tags: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for row in rows:
        read = tags_in_label if row["label"] else tags_in_comment
        tags[row["objoid"], row["objsubid"]].update(read(row["text"]))
    return {place: tuple(sorted(found)) for place, found in tags.items()}


def _routine(row: Row) -> Routine:
    return Routine(
        oid=row["oid"],
        schema=row["nspname"],
        name=row["proname"],
        kind=row["prokind"],
        language=row["lanname"],
        extension=row["extname"] or "",
        body=row["body"] or "",
        arguments=row["pronargs"],
        supports=tuple(row["supports"]),
    )
