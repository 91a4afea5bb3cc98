"""GROUP BY a primary key: the other columns of its table may be named, which a subquery's may not.

For a masked relation these columns are added to the GROUP BY. Groups stay what they are, since the key determines them.
"""

from typing import Any, Final

from interlock.protocols.postgres.masking.levels import Item, Level
from interlock.protocols.postgres.masking.quoting import qualified
from interlock.protocols.postgres.statements.nodes import Node, nodes_in, strings

_UNGROUPABLE: Final = frozenset(("json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"))


def added_columns(body: Node, level: Level) -> list[str]:
    """The columns to add to a SELECT's GROUP BY, as text; none when it has no key of a masked relation."""
    groups = [_grouped(node, body) for node in body.get("groupClause", [])]
    if not groups or any(names is None for names in groups):
        return []
    used = _names([body.get(part) for part in ("targetList", "havingClause", "sortClause", "distinctClause")])
    added = []
    for item in level.items:
        grouped = {names[-1] for names in groups if names and _is_of(names, item)}
        key = item.relation.key if item.relation is not None and item.fields else ()
        if key and grouped.issuperset(key):
            added += [qualified(item.qualifier, name) for name in _wanted(item, used) if name not in grouped]
    return added


def _wanted(item: Item, used: list[list[str]]) -> list[str]:
    """The item's columns that are named, all of them behind a star or a whole row."""
    assert item.relation is not None
    groupable = [
        name
        for name, column in zip(item.columns or (), item.relation.columns, strict=False)
        if column.type_name not in _UNGROUPABLE
    ]
    if any(_is_whole(names, item) for names in used):
        return groupable
    named = {names[-1] for names in used if _is_of(names, item)}
    return [name for name in groupable if name in named]


def _is_of(names: list[str], item: Item) -> bool:
    if len(names) == 1:
        return item.has(names[0])
    return names[-2] == item.qualifier and names[-1] in (item.columns or ())


def _is_whole(names: list[str], item: Item) -> bool:
    if names[-1] == "*":
        return len(names) == 1 or names[-2] == item.qualifier
    return names == [item.qualifier]


def _grouped(node: Node, body: Node) -> list[str] | None:
    """The names of a grouping column, also by its place in the target list; None for what is no plain column."""
    place = node.get("A_Const", {}).get("ival")
    if place is not None:
        targets = body.get("targetList", [])
        number = int(place.get("ival", 0))
        node = targets[number - 1]["ResTarget"].get("val", {}) if 0 < number <= len(targets) else {}
    fields = node.get("ColumnRef", {}).get("fields", [])
    names = strings(fields)
    if names and len(names) == len(fields):
        return names
    return None if "GroupingSet" in node else []


def _names(node: Any) -> list[list[str]]:
    references = [part["ColumnRef"].get("fields") for part in nodes_in(node) if "ColumnRef" in part]
    return [
        ["*" if "A_Star" in field else field["String"].get("sval", "") for field in fields]
        for fields in references
        if fields
    ]
