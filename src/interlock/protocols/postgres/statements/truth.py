"""Does a condition narrow the rows of an UPDATE, a DELETE or a SELECT, or does it hold for all of them?

Conditions are judged in three-valued logic, with the simplification that a target's columns are not NULL:
``id = id`` is true. Only what syntax decides is decided: ``id > 0`` narrows. Parts that do not depend on the
target's row at all (``now() > '2020-01-01'``, ``$1``, ``EXISTS (SELECT 1 FROM t)``) never narrow, whatever
they turn out to be, unless they are plainly false. Errors are on one side: a condition may be taken for one
that selects all rows, not the reverse.
"""

import enum
from typing import Any, NamedTuple

from interlock.protocols.postgres.statements.constants import NULL, UNKNOWN, Folding, opposite
from interlock.protocols.postgres.statements.nodes import Node, strings


class Target(NamedTuple):
    """The relation whose rows are at stake: its qualifiers, and whether unqualified columns must be its own."""

    names: frozenset[str]
    alone: bool


class Verdict(enum.Enum):
    """What is known of a condition over all rows of the target."""

    TRUE = enum.auto()
    FALSE = enum.auto()
    NULL = enum.auto()
    FREE = enum.auto()
    """The same for all rows, but unknown."""
    ROW = enum.auto()
    """Different from row to row."""


_NEGATED = {Verdict.TRUE: Verdict.FALSE, Verdict.FALSE: Verdict.TRUE}
_MAX_COMPARED = 16
"""Alternatives of one OR that are compared with one another."""


def narrows(condition: Node | None, target: Target | None) -> bool:
    """Is there a condition, and can it leave rows out? Without a target every column counts as its own.

    May raise RecursionError.
    """
    if condition is None:
        return False
    return _Judge(target).judge(condition) not in (Verdict.TRUE, Verdict.FREE)


class _Judge:
    def __init__(self, target: Target | None) -> None:
        self._target = target
        self._folding = Folding()

    def judge(self, node: Node) -> Verdict:
        for kind, body in node.items():
            if kind == "BoolExpr":
                return self._combine(body)
            if kind == "BooleanTest":
                return _tested(self.judge(body["arg"]), body.get("booltesttype", "IS_TRUE"))
        value = self._folding.boolean(node)
        if value is UNKNOWN:
            return Verdict.ROW if mentions(node, self._target) else Verdict.FREE
        if value is NULL:
            return Verdict.NULL
        return Verdict.TRUE if value else Verdict.FALSE

    def _combine(self, body: Node) -> Verdict:
        arguments = body.get("args", [])
        verdicts = [self.judge(argument) for argument in arguments]
        match body.get("boolop"):
            case "NOT_EXPR":
                return _NEGATED.get(verdicts[0], verdicts[0])
            case "AND_EXPR":
                return _first(verdicts, _CONJUNCTION)
            case _ if _has_opposites(arguments):
                return Verdict.TRUE
            case _:
                return _first(verdicts, _DISJUNCTION)


_CONJUNCTION = (Verdict.FALSE, Verdict.ROW, Verdict.NULL, Verdict.FREE, Verdict.TRUE)
_DISJUNCTION = (Verdict.TRUE, Verdict.FREE, Verdict.ROW, Verdict.NULL, Verdict.FALSE)
"""Which verdict of several wins, strongest first."""


def _first(verdicts: list[Verdict], order: tuple[Verdict, ...]) -> Verdict:
    return next(verdict for verdict in order if verdict in verdicts)


def _tested(verdict: Verdict, test: str) -> Verdict:
    """``p IS TRUE`` and its five kin."""
    negative = "NOT" in test
    if "UNKNOWN" in test:
        if verdict is Verdict.FREE:
            return verdict
        return Verdict.TRUE if (verdict is Verdict.NULL) != negative else Verdict.FALSE
    if verdict is Verdict.NULL:
        return Verdict.TRUE if negative else Verdict.FALSE
    return verdict if test in ("IS_TRUE", "IS_NOT_FALSE") else _NEGATED.get(verdict, verdict)


def _has_opposites(arguments: list[Node]) -> bool:
    """``p OR NOT p``, also written ``a < b OR a >= b`` or ``a IS NULL OR a IS NOT NULL``."""
    some = arguments[:_MAX_COMPARED]
    return any(opposite(a, b) for position, a in enumerate(some) for b in some[position + 1 :])


def mentions(node: Node, target: Target | None) -> bool:
    """Is a column of ``target`` named in ``node``?

    In a sub-query only qualified names count, unless it has no FROM; a FROM item of the same name hides the target.
    """
    pending: list[tuple[Any, Target | None]] = [(node, target)]
    while pending:
        part, seen = pending.pop()
        if type(part) is list:
            pending.extend((item, seen) for item in part)
            continue
        for key, value in part.items():
            if key == "ColumnRef":
                if _is_own_column(strings(value.get("fields")), seen):
                    return True
            elif key == "CurrentOfExpr":
                return True
            elif key == "SelectStmt" and seen is not None:
                if (inner := _seen_inside(value, seen)) is not None:
                    pending.append((value, inner))
            elif type(value) is dict or type(value) is list:
                pending.append((value, seen))
    return False


def _is_own_column(names: list[str], target: Target | None) -> bool:
    if target is None:
        return True
    if len(names) > 1:
        return names[-2] in target.names
    return target.alone or (len(names) == 1 and names[0] in target.names)


def _seen_inside(query: Node, target: Target) -> Target | None:
    """The target as a sub-query sees it; None when a FROM item has its name."""
    if "fromClause" not in query:
        return target
    if not _from_names(query["fromClause"]).isdisjoint(target.names):
        return None
    return Target(target.names, alone=False)


def _from_names(items: list[Node]) -> set[str]:
    names: set[str] = set()
    pending = list(items)
    while pending:
        for kind, body in pending.pop().items():
            if alias := body.get("alias", {}).get("aliasname"):
                names.add(alias)
            elif kind == "RangeVar":
                names.add(body.get("relname", ""))
            if kind == "JoinExpr":
                pending.extend(body[side] for side in ("larg", "rarg") if side in body)
    return names
