"""What rules mask of what a statement names or a request is answered with, for tools that have no target at hand.

Of a statement these are the columns that it names, of a request all fields of the connection that are masked. Tags that
the database gives, derived columns, and what ``*`` stands for are not known here.
"""

from collections.abc import Mapping

import msgspec

from interlock.core.catalogue import Catalogue, Column, Relation, RelationKind
from interlock.core.masking import ColumnMask
from interlock.core.operation import HTTP_PARTS, Meaning, ResourceKind
from interlock.services.policy.masks import MaskRules

_READING = frozenset({"select", "copy-out"})
_ALL = "*"


class NamedMasks(msgspec.Struct, frozen=True):
    """Masks by ``schema.table.column``, and the tables (``schema.table``) of which all columns are read unnamed.

    For a request, masks by selector.
    """

    columns: Mapping[str, ColumnMask]
    unnamed: tuple[str, ...]


def named_masks(masks: MaskRules, meaning: Meaning) -> NamedMasks:
    """The masks on what a meaning reads by name. Raises as ``MaskRules.on_columns``."""
    if not HTTP_PARTS.isdisjoint(meaning.facts):
        return NamedMasks(masks.on_fields(), ())
    read = sorted(_columns_read(meaning).items())
    relations = tuple(_relation(number, path, names) for number, (path, names) in enumerate(read))
    found = masks.on_columns(Catalogue("", relations))
    columns = {".".join((*read[number][0], column)): mask for (number, column), mask in sorted(found.items())}
    unnamed = tuple(".".join(path) for path, names in read if _ALL in names)
    return NamedMasks(columns, unnamed if masks.any else ())


def _columns_read(meaning: Meaning) -> dict[tuple[str, str], set[str]]:
    read: dict[tuple[str, str], set[str]] = {}
    for access in meaning.accesses:
        if access.kind is ResourceKind.TABLE and access.action in _READING and len(access.path) == 2:
            schema, table = access.path
            if schema and table:
                read.setdefault((schema, table), set()).update(access.columns)
    return read


def _relation(number: int, path: tuple[str, str], names: set[str]) -> Relation:
    columns = tuple(Column(place, name, "", "") for place, name in enumerate(sorted(names - {_ALL}), 1))
    return Relation(number, *path, RelationKind.TABLE, columns)
