"""Query levels: what can be named at one place of a statement, and which masked columns a reference means.

Follows PostgreSQL's rules for names. Where only the server could tell, a reference counts for every masked column that
it may mean; *definite* resolution, which lets a comparison see a real value, needs certainty.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from interlock.core.catalogue import Relation
from interlock.protocols.postgres.masking.index import MaskedField, MaskingIndex

HIDDEN_PREFIX: Final = "_interlock"
"""Names that begin like this are the gateway's own; statements that use one are refused."""

SYSTEM_COLUMNS: Final = frozenset(("ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"))

Columns = tuple[str, ...] | None
"""Names of columns in order; None when they are not known."""
Fields = Mapping[str, MaskedField]
_NO_FIELDS: Final[Fields] = MappingProxyType({})


class Item:
    """One FROM item, or the target of a write.

    ``qualifier`` is the name it is addressed by, ``schema`` that of a relation without an alias. ``fields`` are its
    masked columns by the name they have here. ``target`` says that it is the real relation, not a masked stand-in.
    """

    def __init__(
        self,
        qualifier: str,
        columns: Columns,
        fields: Fields = _NO_FIELDS,
        *,
        schema: str = "",
        relation: Relation | None = None,
        target: bool = False,
        only_qualified: bool = False,
    ) -> None:
        self.qualifier = qualifier
        self.columns = columns
        self.fields = fields
        self.schema = schema
        self.relation = relation
        self.target = target
        self.only_qualified = only_qualified
        self.hidden = ""
        """The name under which the real relation stands beside the masked one, once a comparison needs it."""
        self.system_columns: set[str] = set()
        """Those that it shows there, under their own names."""

    def lists(self, column: str) -> bool:
        """Whether the column may be one of this item's, for all that is known."""
        return self.columns is None or column in self.columns

    def has(self, column: str) -> bool:
        """Whether the bare name of the column can mean this item's, for all that is known."""
        return self.columns is not None and column in self.columns and not self.only_qualified


class Joined:
    """Two FROM items joined. ``merged`` are the USING columns, None for NATURAL with columns that are not known.

    ``alias`` hides the names of what is joined.
    """

    def __init__(self, left: "Tree", right: "Tree", merged: Columns, alias: str) -> None:
        self.left = left
        self.right = right
        self.merged = merged
        self.alias = alias


Tree = Item | Joined


class CommonTables:
    """The names that WITH makes visible at one place: those of one clause up to ``limit``, then the outer ones.

    A place in a long WITH list is a number, not a copy of the list, so that long lists stay cheap.
    """

    def __init__(self, names: list[str], columns: list[Columns], limit: int, outer: "CommonTables | None") -> None:
        self._positions = dict(zip(reversed(names), range(len(names) - 1, -1, -1), strict=True))
        self._columns = columns
        self._limit = limit
        self._outer = outer

    def before(self, limit: int) -> "CommonTables":
        """What is visible to the table at position ``limit`` of the list."""
        place = CommonTables.__new__(CommonTables)
        place._positions, place._columns, place._outer, place._limit = (
            self._positions,
            self._columns,
            self._outer,
            limit,
        )
        return place

    def find(self, name: str) -> "tuple[Columns] | None":
        """The columns of the table ``name``; None when it is no common table here."""
        place: CommonTables | None = self
        while place is not None:
            position = place._positions.get(name, place._limit)
            if position < place._limit:
                return (place._columns[position],)
            place = place._outer
        return None


class Level:
    """One query level: its FROM items, the common tables it sees, and the level around it."""

    def __init__(self, parent: "Level | None" = None, common: CommonTables | None = None) -> None:
        self.parent = parent
        self.common = common
        self.trees: list[Tree] = []
        self.aliases: frozenset[str] = frozenset()
        """What the query calls its own output columns."""
        self.names_outputs = False
        """What is read now can name them: ORDER BY, GROUP BY, DISTINCT ON."""
        self.items: list[Item] = []

    def outwards(self) -> Iterator["Level"]:
        level: Level | None = self
        while level is not None:
            yield level
            level = level.parent

    def named(self, qualifier: str, schema: str = "") -> list[Item]:
        """The items of this level with a name."""
        return [item for item in self.items if item.qualifier == qualifier and schema in ("", item.schema)]


def visible_fields(index: MaskingIndex, relation: Relation, names: tuple[str, ...]) -> Fields:
    """The masked columns of a relation whose columns are called ``names`` at this place."""
    masks = index.masks(relation)
    if not masks:
        return _NO_FIELDS
    return {
        name: MaskedField(relation, column, masks[column.name], index.paths(relation, column))
        for name, column in zip(names, relation.columns, strict=True)
        if column.name in masks
    }


def may_mean(level: Level, names: list[str]) -> list[tuple[Item, tuple[str, ...]]]:
    """The masked columns that a ColumnRef with these names may mean; a star is the name ``*``."""
    if not names:
        return []
    if len(names) == 1:
        return _unqualified(level, names[0])
    qualifier, column = names[-2], names[-1]
    schema = names[-3] if len(names) > 2 else ""
    for around in level.outwards():
        items = around.named(qualifier, schema)
        if items:
            return [found for item in items if (found := _of(item, column))[1]]
    # What has no such item may be a column of composite type, or a name that the server will not find.
    return _unqualified(level, qualifier)


def is_unknown(level: Level, names: list[str]) -> bool:
    """Whether a ColumnRef names what nothing in sight has by the catalogue, so that a relation may have it by now.

    Where something in sight has columns that are not known, a bare name may be one of those.
    """
    column = names[-1]
    if column == "*" or column in SYSTEM_COLUMNS:
        return False
    if len(names) > 1:
        items = _addressed(level, names)
        return bool(items) and not any(item.lists(column) for item in items)
    if level.names_outputs and (column in level.aliases or not level.items):
        return False
    items = [item for around in level.outwards() for item in around.items]
    known = any(item.columns is None or item.has(column) or item.qualifier == column for item in items)
    return bool(items) and not known


def _addressed(level: Level, names: list[str]) -> list[Item]:
    """The items that a name with a qualifier means."""
    schema = names[-3] if len(names) > 2 else ""
    found = (around.named(names[-2], schema) for around in level.outwards())
    return next(filter(None, found), [])


def hiding(level: Level, name: str) -> list[Item]:
    """The items that a bare name means, where without them it would mean a masked column, or the row, of a target.

    The catalogue may be behind: should the column be gone by now, the server takes the next one outwards.
    """
    levels = list(level.outwards())
    for depth, around in enumerate(levels):
        having = [item for item in around.items if item.has(name)]
        if having:
            outer = (item for outside in levels[depth + 1 :] for item in outside.items if item.target)
            return having if any(item.fields and name in (item.qualifier, *item.fields) for item in outer) else []
    return []


def definite(level: Level, names: list[str]) -> tuple[Item, MaskedField] | None:
    """The one masked column that a ColumnRef means, None when it is none or not certain."""
    if len(names) == 1:
        return _definite_unqualified(level, names[0])
    if len(names) > 3:
        return None
    schema = names[-3] if len(names) == 3 else ""
    for around in level.outwards():
        items = around.named(names[-2], schema)
        if items:
            return _certain(items, names[-1])
    return None


def _certain(items: list[Item], column: str) -> tuple[Item, MaskedField] | None:
    """The masked column of the only item, unless a join's alias hides the relation that it is in."""
    field = items[0].fields.get(column)
    if len(items) != 1 or field is None or items[0].relation is None:
        return None
    return items[0], field


def _of(item: Item, column: str) -> tuple[Item, tuple[str, ...]]:
    """What is no column may be a function that is called with the whole row."""
    known = item.columns is None or column in item.columns or column in SYSTEM_COLUMNS
    if column == "*" or not known:
        return item, tuple(item.fields)
    return item, (column,) if column in item.fields else ()


def _unqualified(level: Level, name: str) -> list[tuple[Item, tuple[str, ...]]]:
    if name == "*":
        return [(item, tuple(item.fields)) for item in level.items if item.fields]
    found: list[tuple[Item, tuple[str, ...]]] = []
    for around in level.outwards():
        found += [(item, (name,)) for item in around.items if name in item.fields and not item.only_qualified]
        if any(item.has(name) for item in around.items):
            return found
        whole = [item for item in around.named(name) if item.fields]
        found += [(item, tuple(item.fields)) for item in whole]
    return found


def _definite_unqualified(level: Level, name: str) -> tuple[Item, MaskedField] | None:
    for around in level.outwards():
        if any(item.columns is None for item in around.items):
            return None
        having = [item for item in around.items if item.has(name)]
        if having:
            return _certain(having, name)
    return None
