"""Reads INSERT, UPDATE, DELETE and MERGE under a mask.

The relation that is written stays the real one. So everything that a statement says about its masked columns must be
of a kind that shows nothing: a new value for them, a permitted comparison, or a RETURNING, where the mask takes their
place. Values are never taken from a masked column, nor is what stands for one written over it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from interlock.protocols.postgres.masking.edits import parse_targets
from interlock.protocols.postgres.masking.expressions import PLACEHOLDER, mask_expression, shows_nothing
from interlock.protocols.postgres.masking.index import MaskedField
from interlock.protocols.postgres.masking.levels import CommonTables, Item, Level, definite
from interlock.protocols.postgres.masking.names import Refused
from interlock.protocols.postgres.masking.quoting import identifier, qualified
from interlock.protocols.postgres.masking.reading import Handler, Reading, Use
from interlock.protocols.postgres.masking.stars import is_star
from interlock.protocols.postgres.statements.nodes import Node, strings

STANDS_FOR_VALUE: Final = re.compile(rb"\*\*\*|hash:[0-9a-z]{24}")
"""What masks leave in a text."""
assert STANDS_FOR_VALUE.search(PLACEHOLDER.encode())


def insert(reading: Reading, body: Node, parent: Level | None, common: CommonTables | None) -> None:
    level = Level(parent, reading.with_clause(body, parent, common))
    target = _target(reading, body["relation"], level)
    _keep(reading)
    reading.named([target], strings_of_targets(body.get("cols")))
    select = body.get("selectStmt")
    if select:
        reading.query(select, parent, level.common)
        _guard_inserted(reading, target, strings_of_targets(body.get("cols")), select)
    conflict = body.get("onConflictClause", {})
    if conflict:
        level.items.append(Item("excluded", target.columns))
        reading.visit(conflict.get("infer"), level)
        _assignments(reading, conflict.get("targetList", []), target, level)
        reading.condition(conflict.get("whereClause"), level)
        level.items.pop()
    _returning(reading, body, [target], level)
    _check(reading)


def update(reading: Reading, body: Node, parent: Level | None, common: CommonTables | None) -> None:
    level = Level(parent, reading.with_clause(body, parent, common))
    target = _target(reading, body["relation"], level)
    _keep(reading)
    reading.from_clause(body.get("fromClause", []), level)
    _assignments(reading, body.get("targetList", []), target, level)
    reading.condition(body.get("whereClause"), level)
    _returning(reading, body, list(level.items), level)
    _check(reading)


def delete(reading: Reading, body: Node, parent: Level | None, common: CommonTables | None) -> None:
    level = Level(parent, reading.with_clause(body, parent, common))
    _target(reading, body["relation"], level)
    reading.from_clause(body.get("usingClause", []), level)
    reading.condition(body.get("whereClause"), level)
    _returning(reading, body, list(level.items), level)
    _check(reading)


def merge(reading: Reading, body: Node, parent: Level | None, common: CommonTables | None) -> None:
    level = Level(parent, reading.with_clause(body, parent, common))
    target = _target(reading, body["relation"], level)
    _keep(reading)
    reading.from_clause([body["sourceRelation"]], level)
    reading.condition(body.get("joinCondition"), level)
    for node in body.get("mergeWhenClauses", []):
        clause = node["MergeWhenClause"]
        reading.condition(clause.get("condition"), level)
        if "values" in clause:
            reading.named([target], strings_of_targets(clause.get("targetList")))
            reading.visit(clause["values"], level)
            _guard_row(reading, target, strings_of_targets(clause.get("targetList")), clause["values"])
        else:
            _assignments(reading, clause.get("targetList", []), target, level)
    _returning(reading, body, [*level.items[1:], target], level)
    _check(reading)


WRITERS: Final[Mapping[str, Handler]] = {
    "InsertStmt": insert,
    "UpdateStmt": update,
    "DeleteStmt": delete,
    "MergeStmt": merge,
}


def _keep(reading: Reading) -> None:
    """What the statement's queries give is written, and what the writes in its WITH have returned."""
    reading.keeps_output = True
    if reading.returns_masked:
        raise Refused(
            "Masked columns that one part of a statement returns may not be written by another: name the columns to "
            "return, without them."
        )


def strings_of_targets(targets: list[Node] | None) -> list[str]:
    """The names in a column list of ResTargets."""
    return [target["ResTarget"].get("name", "") for target in targets or ()]


def _target(reading: Reading, body: Node, level: Level) -> Item:
    relation, must_qualify = reading.names.resolve(body)
    if relation is None:
        item = Item(body.get("alias", {}).get("aliasname", body["relname"]), None, target=True)
    else:
        if relation.rewrites:
            raise Refused(f"Writing to {relation.name} runs rules, which cannot be seen through under a mask.")
        item = reading.item_of(relation, body, target=True)
        if must_qualify:
            reading.changes.qualify(body, relation)
        if reading.index.is_guarded(relation):
            reading.guarded = True
    level.items.append(item)
    return item


def _check(reading: Reading) -> None:
    """The real columns of what is written are used in no way that could show them."""
    for used in reading.used:
        if used.of_target and used.use in (Use.OUTPUT, Use.CONDITION):
            name = f"{used.field.relation.name}.{used.field.column.name}"
            raise Refused(
                f"{name} is masked: a statement that writes to {used.field.relation.name} may set it, compare it for "
                "equality with constants, and return it masked, nothing else."
            )


# ---------------------------------------------------------------- RETURNING


def _returning(reading: Reading, body: Node, items: list[Item], level: Level) -> None:
    """``items`` are those of a bare star, in order."""
    clause = body.get("returningClause", {})
    targets = clause.get("exprs", [])
    level.items += _versions(clause, next(item for item in level.items if item.target))
    for target in list(targets):
        value = target["ResTarget"].get("val", {})
        if is_star(value):
            _returned_star(reading, targets, target, items, level)
        elif not _returned_column(reading, target["ResTarget"], level):
            reading.visit_as(Use.RETURNED, value, level)


def _versions(clause: Node, target: Item) -> list[Item]:
    """``old`` and ``new`` in RETURNING, or the names that the clause gives them."""
    given = [option.get("ReturningOption", {}).get("value", "") for option in clause.get("options", [])]
    return [
        Item(name, target.columns, target.fields, relation=target.relation, target=True, only_qualified=True)
        for name in dict.fromkeys(("old", "new", *given))
        if name and name != target.qualifier
    ]


def _returned_column(reading: Reading, target: Node, level: Level) -> bool:
    """A target that is a masked column of what was written: its mask, under its name."""
    names = strings(target.get("val", {}).get("ColumnRef", {}).get("fields"))
    found = definite(level, names) if names else None
    if found is None or not found[0].target:
        return False
    item, field = found
    reading.use(item, field, Use.RETURNED)
    expression = mask_expression(field.column, field.mask.kind, qualified(*names), field.paths)
    named = "name" in target
    reading.changes.edit_column(target["val"], expression, "" if named else names[-1])
    if not named:
        target["name"] = names[-1]
    return True


def _returned_star(reading: Reading, targets: list[Node], target: Node, items: list[Item], level: Level) -> None:
    names = strings(target["ResTarget"]["val"]["ColumnRef"]["fields"])
    starred = level.named(names[-1]) if names else items
    if not any(item.fields or item.hidden for item in starred):
        return
    text = ", ".join(part for item in starred for part in _star_of(reading, item))
    reading.changes.edit_targets(targets, target, text, parse_targets(text))


def _star_of(reading: Reading, item: Item) -> list[str]:
    for field in item.fields.values():
        reading.use(item, field, Use.RETURNED)
    if not item.target or not item.fields:
        return [f"{identifier(item.qualifier)}.*"]
    return [_shown(item, name) for name in item.columns or ()]


def _shown(item: Item, name: str) -> str:
    reference = qualified(item.qualifier, name)
    field = item.fields.get(name)
    if field is None:
        return reference
    return f"{mask_expression(field.column, field.mask.kind, reference, field.paths)} AS {identifier(name)}"


# ---------------------------------------------------------------- what is written


def _assignments(reading: Reading, targets: list[Node], target: Item, level: Level) -> None:
    reading.named([target], strings_of_targets(targets))
    for node in targets:
        body = node["ResTarget"]
        reading.visit([body.get("val"), body.get("indirection")], level)
        field = target.fields.get(body.get("name", ""))
        if field is not None:
            _guard(reading, field, body.get("val"), over=True)


def _guard_inserted(reading: Reading, target: Item, names: list[str], select: Node) -> None:
    body = select["SelectStmt"]
    rows = body.get("valuesLists")
    if rows is None:
        for field in target.fields.values():
            _guard(reading, field, body, over=False)
    for row in rows or ():
        _guard_row(reading, target, names, row["List"].get("items", []))


def _guard_row(reading: Reading, target: Item, names: list[str], values: list[Node]) -> None:
    for name, value in zip(names or target.columns or (), values, strict=False):
        if name in target.fields:
            _guard(reading, target.fields[name], value, over=False)


def _guard(reading: Reading, field: MaskedField, node: Any, *, over: bool) -> None:
    """What a masked column becomes must not be what stands for its value. ``over``: there is a value already."""
    nothing = over and shows_nothing(field.column, field.mask.kind) and not field.paths
    pending: list[Any] = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, dict):
            if "ParamRef" in part:
                number = int(part["ParamRef"].get("number", 0))
                reading.written_parameters.add(number)
                if nothing:
                    reading.kept_parameters.add(number)
            elif "A_Const" in part:
                _guard_constant(field, part["A_Const"], nothing=nothing)
            else:
                pending.extend(part.values())


def _guard_constant(field: MaskedField, constant: Node, *, nothing: bool) -> None:
    text = constant.get("sval", {}).get("sval", "")
    if STANDS_FOR_VALUE.search(text.encode()) or (nothing and constant.get("isnull")):
        raise Refused(written_back(f"{field.relation.name}.{field.column.name}"))


def written_back(column: str) -> str:
    """The sentence for a value that is a mask and would be written over the real one."""
    return (
        f"{column} is masked: what would be written to it is the mask and not its value, and the real value would be "
        "lost. Leave the column out."
    )
