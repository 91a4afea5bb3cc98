"""Catalogues written by hand, and ways to name their columns."""

from collections.abc import Iterable, Mapping

from interlock.core.catalogue import Catalogue, Column, ColumnKey, ForeignKey, Lineage, Relation, RelationKind

TABLE, VIEW = RelationKind.TABLE, RelationKind.VIEW


def column(name: str, number: int = 1, *, tags: Iterable[str] = (), known_as: Iterable[str] = ()) -> Column:
    return Column(number, name, "pg_catalog", "text", tags=tuple(tags), known_as=tuple(known_as))


def relation(
    oid: int,
    name: str,
    columns: Iterable[str | Column],
    kind: RelationKind = TABLE,
    *,
    schema: str = "public",
    parents: tuple[int, ...] = (),
    foreign_keys: tuple[ForeignKey, ...] = (),
    tags: tuple[str, ...] = (),
    known_as: tuple[tuple[str, str], ...] = (),
) -> Relation:
    listed = tuple(column(each, place) if isinstance(each, str) else each for place, each in enumerate(columns, 1))
    return Relation(oid, schema, name, kind, listed, parents, foreign_keys, tags=tags, known_as=known_as)


def catalogue(
    *relations: Relation,
    sources: Mapping[ColumnKey, Iterable[ColumnKey]] | None = None,
    copies: Iterable[ColumnKey] = (),
    opaque: Iterable[int] = (),
    version: str = "v1",
) -> Catalogue:
    traced = {derived: frozenset(found) for derived, found in (sources or {}).items()}
    return Catalogue(version, relations, lineage=Lineage(traced, frozenset(copies), frozenset(opaque)))


USERS = relation(1, "users", ["id", "email", "ssn"])
ORDERS = relation(2, "orders", ["id", "total"])
SHOP = catalogue(USERS, ORDERS)
