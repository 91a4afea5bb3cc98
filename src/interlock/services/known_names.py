"""Names that relations and columns had before, carried from one reading of a catalogue to the next.

An oid, and an attribute number within it, stay the same when something is renamed. Pure: nothing is kept in here.
"""

from typing import Final, TypeVar

import msgspec

from interlock.core.catalogue import Catalogue, Column, Relation, content_version

MAX_NAMES: Final = 100
"""The most earlier names of one thing that are remembered, the oldest first."""

_NameT = TypeVar("_NameT")


def remember_names(catalogue: Catalogue, earlier: Catalogue | None) -> Catalogue:
    """The catalogue with the names that the earlier reading of the same database had for what is in it."""
    if earlier is None:
        return catalogue
    before = {relation.oid: relation for relation in earlier.relations}
    relations = tuple(_relation(relation, before.get(relation.oid)) for relation in catalogue.relations)
    if all(new is old for new, old in zip(relations, catalogue.relations, strict=True)):
        return catalogue
    named = msgspec.structs.replace(catalogue, relations=relations)
    return msgspec.structs.replace(named, version=content_version(named))


def _relation(relation: Relation, before: Relation | None) -> Relation:
    if before is None:
        return relation
    names = _earlier_names((relation.schema, relation.name), (before.schema, before.name), before.known_as)
    known = {column.number: column for column in before.columns}
    columns = tuple(_column(column, known.get(column.number)) for column in relation.columns)
    if not names and columns == relation.columns:
        return relation
    return msgspec.structs.replace(relation, known_as=names, columns=columns)


def _column(column: Column, before: Column | None) -> Column:
    if before is None:
        return column
    names = _earlier_names(column.name, before.name, before.known_as)
    return msgspec.structs.replace(column, known_as=names) if names else column


def _earlier_names(now: _NameT, before: _NameT, known_as: tuple[_NameT, ...]) -> tuple[_NameT, ...]:
    """All names but the present one, in the order in which they were seen."""
    names = dict.fromkeys((*known_as, before))
    names.pop(now, None)
    return tuple(names)[:MAX_NAMES]
