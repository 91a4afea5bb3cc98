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
_CONJUNCTION = (Verdict.FALSE, Verdict.ROW, Verdict.NULL, Verdict.FREE, Verdict.TRUE)
_DISJUNCTION = (Verdict.TRUE, Verdict.FREE, Verdict.ROW, Verdict.NULL, Verdict.FALSE)
"""Which verdict of several wins, strongest first."""

_MAX_COMPARED = 16
"""Alternatives of one OR that are compared with one another."""


def narrows(condition: Node | None, target: Target | None) -> bool:
    """Is there a condition, and can it leave rows out? Without a target every column counts as its own.

    May raise RecursionError.
    """
    if condition is None:
        return False
    return _Judge(target).judge(condition, negated=False) not in (Verdict.TRUE, Verdict.FREE)


class _Judge:
    """Negation is carried down to the leaves (De Morgan): ``NOT (id = 1 AND $1)`` may hold for every row."""

    def __init__(self, target: Target | None) -> None:
        self._target = target
        self._folding = Folding()

    def judge(self, node: Node, *, negated: bool) -> Verdict:
        """The verdict on ``node``, or on NOT ``node``."""
        kind, body = next(iter(node.items()))
        match kind:
            case "BoolExpr":
                return self._combine(body, negated)
            case "BooleanTest":
                return self._test(body, negated)
            case "TypeCast" if not body["arg"].keys() <= {"A_Const", "ColumnRef", "ParamRef"}:
                return self.judge(body["arg"], negated=negated)
            case "A_Expr" if (column := _compared_column(body)) is not None:
                own = _is_own_column(strings(column.get("fields")), self._target)
                return Verdict.ROW if own else Verdict.FREE
            case "A_Expr" if (equated := self._equated(body)) is not None:
                inner, same_sense = equated
                return self.judge(inner, negated=negated == same_sense)
            case "CoalesceExpr":
                return self._coalesced(body, negated)
            case "CaseExpr":
                return self._case(node, body, negated)
        return self._leaf(node, negated)

    def _leaf(self, node: Node, negated: bool) -> Verdict:
        value = self._folding.boolean(node)
        if value is UNKNOWN:
            return Verdict.ROW if mentions(node, self._target) else Verdict.FREE
        if value is NULL:
            return Verdict.NULL
        return Verdict.TRUE if bool(value) != negated else Verdict.FALSE

    def _combine(self, body: Node, negated: bool) -> Verdict:
        arguments, operator = body.get("args", []), body.get("boolop")
        if operator == "NOT_EXPR":
            return self.judge(arguments[0], negated=not negated)
        verdicts = [self.judge(argument, negated=negated) for argument in arguments]
        if (operator == "AND_EXPR") != negated:
            return _strongest(verdicts, _CONJUNCTION)
        return Verdict.TRUE if _has_opposites(arguments) else _strongest(verdicts, _DISJUNCTION)

    def _test(self, body: Node, negated: bool) -> Verdict:
        """``p IS TRUE`` and its five kin: they say what becomes of a NULL."""
        test = body.get("booltesttype", "IS_TRUE")
        if "UNKNOWN" in test:
            verdict = self.judge(body["arg"], negated=False)
            if verdict is Verdict.FREE:
                return verdict
            null = (verdict is Verdict.NULL) != ("NOT" in test)
            return Verdict.TRUE if null != negated else Verdict.FALSE
        straight = test in ("IS_TRUE", "IS_NOT_FALSE")
        verdict = self.judge(body["arg"], negated=negated == straight)
        if verdict is Verdict.NULL:
            return Verdict.TRUE if ("NOT" in test) != negated else Verdict.FALSE
        return verdict

    def _equated(self, body: Node) -> tuple[Node, bool] | None:
        """``p = true``, ``false <> p``: the condition inside, and whether it must hold."""
        name = strings(body.get("name"))
        if name not in (["="], ["<>"]) or body.get("kind") != "AEXPR_OP":
            return None
        left, right = body.get("lexpr") or {}, body.get("rexpr") or {}
        for constant, inner in ((left, right), (right, left)):
            value = self._folding.fold(constant)
            if isinstance(value, bool) and inner:
                return inner, value == (name == ["="])
        return None

    def _coalesced(self, body: Node, negated: bool) -> Verdict:
        """COALESCE is its first argument that is not NULL, and columns are not NULL."""
        for argument in body.get("args", []):
            if self._folding.fold(argument) is not NULL:
                return self.judge(argument, negated=negated)
        return Verdict.NULL

    def _case(self, node: Node, body: Node, negated: bool) -> Verdict:
        """CASE: it may hold for all rows if all of its outcomes may, or one that no row's columns choose."""
        if self._folding.fold(node) is not UNKNOWN:
            return self._leaf(node, negated)
        branches = [when.get("CaseWhen", {}) for when in body.get("args", [])]
        outcomes = [self.judge(branch["result"], negated=negated) for branch in branches]
        outcomes.append(self.judge(body["defresult"], negated=negated) if "defresult" in body else Verdict.NULL)
        holding = [outcome in (Verdict.TRUE, Verdict.FREE) for outcome in outcomes]
        if all(holding) or (any(holding) and not self._chosen_by_row(body, branches)):
            return Verdict.FREE
        return Verdict.ROW

    def _chosen_by_row(self, body: Node, branches: list[Node]) -> bool:
        if "arg" in body:
            return mentions([body["arg"], *(branch["expr"] for branch in branches)], self._target)
        return any(self.judge(branch["expr"], negated=False) is Verdict.ROW for branch in branches)


def _compared_column(body: Node) -> Node | None:
    """The column in ``column = constant``, the commonest condition of all."""
    if body.get("kind") != "AEXPR_OP":
        return None
    left, right = body.get("lexpr") or {}, body.get("rexpr") or {}
    if "ColumnRef" in left and ("A_Const" in right or "ParamRef" in right):
        return dict(left["ColumnRef"])
    return None


def _strongest(verdicts: list[Verdict], order: tuple[Verdict, ...]) -> Verdict:
    return next(verdict for verdict in order if verdict in verdicts)


def _has_opposites(arguments: list[Node]) -> bool:
    """``p OR NOT p``, also written ``a < b OR a >= b`` or ``a IS NULL OR a IS NOT NULL``."""
    some = arguments[:_MAX_COMPARED]
    return any(opposite(a, b) for position, a in enumerate(some) for b in some[position + 1 :])


def mentions(node: Node | list[Node], target: Target | None) -> bool:
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
