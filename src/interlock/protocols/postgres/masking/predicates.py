"""Comparisons in which a masked column's real value may be used: conditions of WHERE and ON of a few fixed shapes.

With ``equality`` the column is compared with constants and parameters only, so that the answer tells nothing but
whether a value that the client knows already is the one. With ``allow`` it may also be ordered, matched by pattern and
compared with other columns. Whatever has another shape sees the mask.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from interlock.core.masking import Predicates
from interlock.protocols.postgres.masking.expressions import is_text
from interlock.protocols.postgres.masking.index import MaskedField
from interlock.protocols.postgres.masking.levels import Item, Level, definite
from interlock.protocols.postgres.statements.nodes import Node, nodes_in, strings

MAX_COMPARED: Final = 100
"""Constants that one text may compare with masked columns: more would be a search."""

_EQUALITY: Final = {
    "AEXPR_OP": frozenset({"=", "<>"}),
    "AEXPR_IN": frozenset({"=", "<>"}),
    "AEXPR_OP_ANY": frozenset({"="}),
    "AEXPR_OP_ALL": frozenset({"<>"}),
    "AEXPR_DISTINCT": frozenset({"="}),
    "AEXPR_NOT_DISTINCT": frozenset({"="}),
}
_ORDER: Final = frozenset({"=", "<>", "<", ">", "<=", ">=", "~", "~*", "!~", "!~*", "~~", "~~*", "!~~", "!~~*"})
_ANYTHING: Final = {
    **_EQUALITY,
    "AEXPR_OP": _ORDER,
    "AEXPR_LIKE": _ORDER,
    "AEXPR_ILIKE": _ORDER,
    "AEXPR_SIMILAR": _ORDER,
    "AEXPR_BETWEEN": frozenset({"BETWEEN"}),
    "AEXPR_NOT_BETWEEN": frozenset({"NOT BETWEEN"}),
    "AEXPR_BETWEEN_SYM": frozenset({"BETWEEN SYMMETRIC"}),
    "AEXPR_NOT_BETWEEN_SYM": frozenset({"NOT BETWEEN SYMMETRIC"}),
}
_TEXT_TYPES: Final = (["text"], ["pg_catalog", "varchar"], ["varchar"], ["citext"])
_PLAIN_COLLATIONS: Final = frozenset({"C", "POSIX", "default", "ucs_basic"})
_CASE_FUNCTIONS: Final = (["lower"], ["upper"], ["pg_catalog", "lower"], ["pg_catalog", "upper"])
_PATTERN_FUNCTIONS: Final = ("like_escape", "similar_to_escape")


class Reference(msgspec.Struct, frozen=True):
    """A ColumnRef (its wrapped node) that means one masked column; ``is_null_test``: asked is whether it is NULL."""

    node: Node
    item: Item
    field: MaskedField
    is_null_test: bool = False

    def shown(self, real: str) -> str:
        """What the comparison sees: the real column, or nothing but whether it is NULL.

        ``IS NOT NULL`` of the column itself could be read off its index, and rows would come in their values' order.
        """
        return f"(CASE WHEN {real} IS NULL THEN NULL ELSE 1 END)" if self.is_null_test else real


class Comparison(msgspec.Struct, frozen=True):
    """A condition on masked columns. ``permitted`` says whether it may see their real values.

    ``compared`` counts its constants; ``arrays`` are the numbers of parameters that are arrays of such. ``joins`` says
    that columns are compared with one another.
    """

    references: tuple[Reference, ...]
    permitted: bool
    compared: int = 0
    arrays: tuple[int, ...] = ()
    joins: bool = False


def read_comparison(node: Node, level: Level) -> Comparison | None:
    """What a condition compares, None when no side of it is a masked column."""
    kind, body = next(iter(node.items()))
    if kind == "NullTest":
        argument = body.get("arg", {})
        reference = _column(argument, level) if "ColumnRef" in argument else None
        if reference is None:
            return None
        asked = msgspec.structs.replace(reference, is_null_test=True)
        return Comparison((asked,), reference.field.mask.predicates is not Predicates.DENY)
    if kind != "A_Expr":
        return None
    sides = [side for side in (body.get("lexpr"), body.get("rexpr")) if side]
    columns = [_column(side, level) for side in sides]
    references = tuple(column for column in columns if column is not None)
    if not references:
        return None
    others = [side for side, column in zip(sides, columns, strict=True) if column is None]
    strictest = max(reference.field.mask.predicates for reference in references)
    constants = [_in_array(side) if body["kind"] in _ARRAYS else _constants(side) for side in others]
    joins = len(references) > 1 or any(map(_names_columns, others))
    of_array = body["kind"] in _ARRAYS and columns[-1] is not None
    permitted = (
        _has_shape(body, strictest)
        and not of_array
        and all(
            count is not None or (strictest is Predicates.ALLOW and "ColumnRef" in side)
            for side, count in zip(others, constants, strict=True)
        )
    )
    if len(references) > 1 and strictest is not Predicates.ALLOW:
        permitted = False
    arrays = tuple(number for side in others if body["kind"] in _ARRAYS for number in _parameters(side))
    return Comparison(references, permitted, sum(count or 0 for count in constants), arrays, joins)


_ARRAYS: Final = ("AEXPR_OP_ANY", "AEXPR_OP_ALL")


def _has_shape(body: Node, allowed: Predicates) -> bool:
    shapes = {Predicates.ALLOW: _ANYTHING, Predicates.EQUALITY: _EQUALITY}.get(allowed, {})
    names = strings(body.get("name"))
    plain = len(names) == 1 or names[:-1] == ["pg_catalog"]
    return plain and names[-1] in shapes.get(body.get("kind", ""), ())


def _column(node: Node | None, level: Level) -> Reference | None:
    """A masked column, also in other case or as text: what equals it then equals nearly it."""
    while node:
        kind, body = next(iter(node.items()))
        if kind == "ColumnRef":
            fields = body.get("fields", [])
            found = definite(level, strings(fields)) if all("String" in field for field in fields) else None
            return Reference(node, *found) if found else None
        if kind == "FuncCall" and strings(body.get("funcname")) in _CASE_FUNCTIONS and len(body.get("args", [])) == 1:
            reference = _column(body["args"][0], level)
            return reference if reference is not None and is_text(reference.field.column) else None
        elif (kind == "TypeCast" and _is_text(body.get("typeName", {}))) or (
            kind == "CollateClause" and _is_plain(body)
        ):
            node = body.get("arg")
        else:
            return None
    return None


def _is_text(type_name: Node) -> bool:
    """A length would cut values off, and compare their beginnings."""
    return strings(type_name.get("names")) in _TEXT_TYPES and type_name.keys().isdisjoint(("arrayBounds", "typmods"))


def _is_plain(clause: Node) -> bool:
    """Whether a COLLATE takes nothing for equal that is not: a collation of somebody's own can."""
    *schema, name = strings(clause.get("collname"))
    return schema in ([], ["pg_catalog"]) and name in _PLAIN_COLLATIONS


def _names_columns(node: Node | None) -> bool:
    return any("ColumnRef" in part for part in nodes_in(node))


def _constants(node: Node | None) -> int | None:
    """How many constants a node is made of; None when it is made of anything else."""
    if not node:
        return None
    kind, body = next(iter(node.items()))
    match kind:
        case "A_Const":
            return 1
        case "ParamRef":
            return 1
        case "TypeCast":
            return _constants(body.get("arg"))
        case "CollateClause":
            return _constants(body.get("arg")) if _is_plain(body) else None
        case "List":
            return _sum(body.get("items", []))
        case "A_ArrayExpr":
            return _sum(body.get("elements", []))
        case "FuncCall":
            names = strings(body.get("funcname"))
            known = names in _CASE_FUNCTIONS or names[-1] in _PATTERN_FUNCTIONS
            return _sum(body.get("args", [])) if known else None
        case "A_Expr":
            negative = strings(body.get("name")) == ["-"] and "lexpr" not in body
            return _constants(body.get("rexpr")) if negative else None
    return None


def _sum(nodes: list[Node]) -> int | None:
    counts = [_constants(node) for node in nodes]
    return None if any(count is None for count in counts) else sum(count or 0 for count in counts)


def _in_array(node: Node) -> int | None:
    """As ``_constants`` for an array, which may hold others; a literal one is counted by its commas."""
    kind, body = next(iter(node.items()))
    match kind:
        case "A_Const":
            return str(body.get("sval", {}).get("sval", "")).count(",") + 1
        case "ParamRef":
            return 1
        case "TypeCast":
            return _in_array(body.get("arg", {}))
        case "A_ArrayExpr":
            counts = [_in_array(element) for element in body.get("elements", [])]
            return None if any(count is None for count in counts) else sum(count or 0 for count in counts)
    return None


def _parameters(node: Node) -> Iterator[int]:
    """The numbers of the parameters in an array of constants."""
    kind, body = next(iter(node.items()))
    if kind == "ParamRef":
        yield int(body.get("number", 0))
    elif kind == "TypeCast":
        yield from _parameters(body.get("arg", {}))
    elif kind == "A_ArrayExpr":
        for element in body.get("elements", []):
            yield from _parameters(element)
