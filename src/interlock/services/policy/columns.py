"""Columns of a catalogue as policy sees them: their ids, what they are in, and their tags.

A relation or column that had another name before counts under each of its names: what was said of it stays true.
"""

from collections.abc import Iterator, Mapping

import msgspec

from interlock.core.catalogue import Catalogue, Column, ColumnKey, Relation, RelationKind
from interlock.services.policy.resources import COLUMN, Resource, escape
from interlock.services.policy.scopes import Uid
from interlock.services.policy.tags import TagRules

_NO_DATA = frozenset({RelationKind.COMPOSITE})


class Place(msgspec.Struct, frozen=True):
    """One column under one of its names.

    ``within`` are the column itself and everything it is in. ``own_tags`` are those of its tags that no access to its
    table is decided by.
    """

    key: ColumnKey
    resource: Resource
    within: frozenset[Uid]
    own_tags: frozenset[str]


class CatalogueTags:
    """Tags by the configuration, and those that the database itself gives to its tables and columns."""

    def __init__(self, rules: TagRules, given: Mapping[str, set[str]]) -> None:
        """``given`` has the database's tags by the id of the table or column."""
        self._rules = rules
        self._given = given

    def of(self, resource: Resource) -> set[str]:
        """As in ``TagSource``; only connections and what lies between them and columns are asked for."""
        return self._rules.of(resource) | self._given.get(resource.id, set())


class Layout:
    """The columns that hold values, under their present names or under all others.

    The two are apart because a name of the past may be another's present one, with other tags.
    """

    def __init__(self, catalogue: Catalogue, connection: str, database: str, tags: TagRules, *, former: bool) -> None:
        self._prefix = (escape(connection), escape(database))
        self._rules = tags
        self._named = list((_former_names if former else _present_names)(catalogue))
        self.tags = CatalogueTags(tags, self._given())

    def places(self) -> Iterator[Place]:
        """Every column with what rules can say of it."""
        for table, relation, columns in self._tables():
            known, within_table = self._above(table)
            for column, name in columns:
                resource = Resource((*table.components, escape(name)), COLUMN)
                own_tags = (self._rules.of(resource) | {*column.tags, *relation.tags}) - known
                within = within_table | {(resource.type, resource.id)} | {("Tag", tag) for tag in own_tags}
                yield Place((relation.oid, column.name), resource, within, frozenset(own_tags))

    def _tables(self) -> Iterator[tuple[Resource, Relation, "Columns"]]:
        for relation, names, columns in self._named:
            yield Resource((*self._prefix, *map(escape, names)), COLUMN[:-1]), relation, columns

    def _given(self) -> dict[str, set[str]]:
        given: dict[str, set[str]] = {}
        for table, relation, columns in self._tables():
            tagged = [(table.id, relation.tags)]
            tagged += [(f"{table.id}/{escape(name)}", column.tags) for column, name in columns]
            for place, tags in tagged:
                if tags:
                    given.setdefault(place, set()).update(tags)
        return given

    def _above(self, table: Resource) -> tuple[set[str], frozenset[Uid]]:
        """The tags that accesses to a table are decided by, and everything the table is in, itself included."""
        names: set[str] = set()
        within: set[Uid] = set()
        node: Resource | None = table
        while node is not None:
            names |= self._rules.of(node)
            within.add((node.type, node.id))
            node = node.parent
        return names, frozenset(within | {("Tag", name) for name in names})


Columns = list[tuple[Column, str]]
"""Columns with the name that each goes by."""

_Named = tuple[Relation, tuple[str, str], Columns]


def _present_names(catalogue: Catalogue) -> Iterator[_Named]:
    for relation in catalogue.relations:
        if relation.kind not in _NO_DATA:
            yield relation, (relation.schema, relation.name), [(column, column.name) for column in relation.columns]


def _former_names(catalogue: Catalogue) -> Iterator[_Named]:
    """A former name of the relation with any name of the column, and the present one with former ones."""
    for relation, name, columns in _present_names(catalogue):
        renamed = [(column, former) for column, _ in columns for former in column.known_as]
        if renamed:
            yield relation, name, renamed
        for former in relation.known_as:
            yield relation, former, columns + renamed
