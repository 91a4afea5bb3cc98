"""The values of expressions that are made of constants, as far as conditions need them.

Whatever could depend on the server (another type's operators, collations, parameters, functions) is UNKNOWN.
Columns are taken as not NULL, so that ``id = id`` has a value.
"""

from collections.abc import Callable
from typing import Any, Final

from interlock.protocols.postgres.statements.nodes import Node, strings


class _Symbol:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNKNOWN: Final = _Symbol("UNKNOWN")
NULL: Final = _Symbol("NULL")

Value = bool | int | str | _Symbol

_TRUE_WORDS = frozenset({"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"})
_FALSE_WORDS = frozenset({"f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"})

_REFLEXIVE = frozenset({"=", "<=", ">=", "~~", "~~*", "@>", "<@"})
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}
_TEXT_COMPARISONS = frozenset({"=", "<>", "!="})
_POSITIONS = frozenset({"location", "rexpr_list_start", "rexpr_list_end"})


def as_boolean(value: Value) -> Value:
    """A value read as a boolean, with PostgreSQL's spellings."""
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE_WORDS else False if word in _FALSE_WORDS else UNKNOWN
    return value != 0 if type(value) is int else value


class Folding:
    """Folds expressions of one condition; remembers each node, so that no node is folded twice."""

    def __init__(self) -> None:
        self._known: dict[int, Value] = {}

    def boolean(self, node: Node | None) -> Value:
        """``fold``, read as a boolean."""
        return as_boolean(self.fold(node))

    def fold(self, node: Node | None) -> Value:
        """The value of a wrapped node, or UNKNOWN. May raise RecursionError."""
        if not node:
            return UNKNOWN
        known = self._known.get(id(node))
        if known is None:
            kind, body = next(iter(node.items()))
            folder = _FOLDERS.get(kind)
            known = self._known[id(node)] = folder(self, body) if folder else UNKNOWN
        return known

    def constant(self, body: Node) -> Value:
        """A_Const; numbers with a fraction are left to the server."""
        if "ival" in body:
            return int(body["ival"].get("ival", 0))
        if "boolval" in body:
            return bool(body["boolval"].get("boolval"))
        if "sval" in body:
            return str(body["sval"].get("sval", ""))
        return NULL if body.get("isnull") else UNKNOWN

    def cast(self, body: Node) -> Value:
        """TypeCast to a boolean, an integer or text."""
        value = self.fold(body.get("arg"))
        name = (strings(body.get("typeName", {}).get("names")) or [""])[-1]
        if isinstance(value, _Symbol):
            return value
        if name == "bool":
            return as_boolean(value)
        if name in ("int2", "int4", "int8") and not isinstance(value, str):
            return int(value)
        return value if name == "text" and isinstance(value, str) else UNKNOWN

    def logic(self, body: Node) -> Value:
        """BoolExpr."""
        values = [self.boolean(argument) for argument in body.get("args", [])]
        if body.get("boolop") == "NOT_EXPR":
            return values[0] if isinstance(values[0], _Symbol) else not values[0]
        decisive = body.get("boolop") == "OR_EXPR"
        if any(value is decisive for value in values):
            return decisive
        return next((value for value in (UNKNOWN, NULL) if value in values), not decisive)

    def expression(self, body: Node) -> Value:
        """A_Expr with an operator that is certainly pg_catalog's."""
        name = strings(body.get("name"))
        operation = _OPERATIONS.get(body.get("kind", "AEXPR_OP"))
        if operation is None or (len(name) != 1 and name[:1] != ["pg_catalog"]):
            return UNKNOWN
        return operation(self, name[-1], body.get("lexpr") or {}, body.get("rexpr") or {})

    def compare(self, operator: str, left: Node, right: Node) -> Value:
        """A comparison of two constants, or of an expression with itself."""
        a: Any = self.fold(left)
        b: Any = self.fold(right)
        if isinstance(a, _Symbol) or isinstance(b, _Symbol):
            return True if operator in _REFLEXIVE and same(left, right) else UNKNOWN
        allowed = _TEXT_COMPARISONS if isinstance(a, str) else _COMPARISONS.keys()
        if type(a) is not type(b) or operator not in allowed:
            return UNKNOWN
        return _COMPARISONS[operator](a, b)

    def like(self, operator: str, left: Node, right: Node) -> Value:
        """LIKE of nothing but ``%`` holds for every text."""
        pattern = self.fold(right)
        if operator in ("~~", "~~*") and isinstance(pattern, str) and pattern and not pattern.strip("%"):
            return True
        return self.compare(operator, left, right)

    def member(self, operator: str, left: Node, right: Node) -> Value:
        """IN, NOT IN over a list: decided when a member equals the left side for every row."""
        if any(self.compare("=", left, item) is True for item in _items(right)):
            return operator == "="
        return UNKNOWN

    def any_of(self, operator: str, left: Node, right: Node) -> Value:
        """``x = ANY (ARRAY[...])``."""
        elements = right.get("A_ArrayExpr", {}).get("elements", [])
        return True if any(self.compare(operator, left, item) is True for item in elements) else UNKNOWN

    def distinct(self, operator: str, left: Node, right: Node) -> Value:
        """IS DISTINCT FROM."""
        if same(left, right):
            return False
        a, b = self.fold(left), self.fold(right)
        comparable = type(a) is type(b) or a is NULL or b is NULL
        return UNKNOWN if a is UNKNOWN or b is UNKNOWN or not comparable else bool(a != b)

    def not_distinct(self, operator: str, left: Node, right: Node) -> Value:
        """IS NOT DISTINCT FROM."""
        value = self.distinct(operator, left, right)
        return value if value is UNKNOWN else not value

    def between(self, operator: str, left: Node, right: Node) -> Value:
        """BETWEEN."""
        items = _items(right)
        if len(items) != 2:
            return UNKNOWN
        ends = (self.compare(">=", left, items[0]), self.compare("<=", left, items[1]))
        if False in ends:
            return False
        return True if ends == (True, True) else UNKNOWN

    def not_between(self, operator: str, left: Node, right: Node) -> Value:
        """NOT BETWEEN."""
        value = self.between(operator, left, right)
        return value if value is UNKNOWN else not value

    def null_test(self, body: Node) -> Value:
        """IS NULL; a comparison of columns is never NULL, since they are not."""
        argument = body.get("arg") or {}
        value = self.fold(argument)
        if value is UNKNOWN and "A_Expr" not in argument and "BoolExpr" not in argument:
            return UNKNOWN
        return bool((value is NULL) == (body.get("nulltesttype", "IS_NULL") == "IS_NULL"))

    def boolean_test(self, body: Node) -> Value:
        """IS TRUE and its kin, inside an expression."""
        value, test = self.boolean(body.get("arg")), body.get("booltesttype", "IS_TRUE")
        if value is UNKNOWN:
            return UNKNOWN
        wanted: Value = NULL if "UNKNOWN" in test else "TRUE" in test
        return bool((value is wanted) != ("NOT" in test))

    def coalesce(self, body: Node) -> Value:
        """COALESCE: the first that is not NULL."""
        values = (self.fold(argument) for argument in body.get("args", []))
        return next((value for value in values if value is not NULL), NULL)

    def case(self, body: Node) -> Value:
        """CASE, when all branches that can be taken have the same value."""
        outcomes: list[Value] = []
        for node in body.get("args", []):
            when = node.get("CaseWhen", {})
            condition = UNKNOWN if "arg" in body else self.boolean(when.get("expr"))
            if condition is not False and condition is not NULL:
                outcomes.append(self.fold(when.get("result")))
            if condition is True:
                break
        else:
            outcomes.append(self.fold(body["defresult"]) if "defresult" in body else NULL)
        first = outcomes[0]
        return first if all(type(value) is type(first) and value == first for value in outcomes) else UNKNOWN

    def sublink(self, body: Node) -> Value:
        """EXISTS over a query that always has a row."""
        query = body.get("subselect", {}).get("SelectStmt", {})
        certain = query.keys() <= {"targetList", "valuesLists", "limitOption", "op"}
        exists = body.get("subLinkType") == "EXISTS_SUBLINK"
        return True if exists and certain and query.get("op") == "SETOP_NONE" else UNKNOWN


_FOLDERS: dict[str, Callable[[Folding, Node], Value]] = {
    "A_Const": Folding.constant,
    "TypeCast": Folding.cast,
    "BoolExpr": Folding.logic,
    "A_Expr": Folding.expression,
    "NullTest": Folding.null_test,
    "BooleanTest": Folding.boolean_test,
    "CoalesceExpr": Folding.coalesce,
    "CaseExpr": Folding.case,
    "SubLink": Folding.sublink,
}

_OPERATIONS: dict[str, Callable[[Folding, str, Node, Node], Value]] = {
    "AEXPR_OP": Folding.compare,
    "AEXPR_LIKE": Folding.like,
    "AEXPR_ILIKE": Folding.like,
    "AEXPR_IN": Folding.member,
    "AEXPR_OP_ANY": Folding.any_of,
    "AEXPR_DISTINCT": Folding.distinct,
    "AEXPR_NOT_DISTINCT": Folding.not_distinct,
    "AEXPR_BETWEEN": Folding.between,
    "AEXPR_BETWEEN_SYM": Folding.between,
    "AEXPR_NOT_BETWEEN": Folding.not_between,
}


def _items(node: Node) -> list[Node]:
    items = node.get("List", {}).get("items", [])
    return items if isinstance(items, list) else []


def same(a: Any, b: Any) -> bool:
    """Are two trees equal but for positions in the text?"""
    pending = [(a, b)]
    while pending:
        a, b = pending.pop()
        if type(a) is not type(b):
            return False
        if type(a) is dict:
            keys = a.keys() - _POSITIONS
            if keys != b.keys() - _POSITIONS:
                return False
            pending.extend((a[key], b[key]) for key in keys)
        elif type(a) is list:
            if len(a) != len(b):
                return False
            pending.extend(zip(a, b, strict=True))
        elif a != b:
            return False
    return True


_OPPOSITES = {
    "=": ("<>", "!="),
    "<>": ("=",),
    "!=": ("=",),
    "<": (">=",),
    ">=": ("<",),
    ">": ("<=",),
    "<=": (">",),
    "~~": ("!~~",),
    "!~~": ("~~",),
    "BETWEEN": ("NOT BETWEEN",),
    "NOT BETWEEN": ("BETWEEN",),
}
_OPPOSITE_KINDS = (
    {"AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"},
    {"AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN"},
)


def opposite(a: Node, b: Node) -> bool:
    """Is one of two conditions the other's negation, so that one of them always holds?"""
    for one, other in ((a, b), (b, a)):
        if one.get("BoolExpr", {}).get("boolop") == "NOT_EXPR" and same(one["BoolExpr"]["args"][0], other):
            return True
    if "NullTest" in a and "NullTest" in b:
        first, second = a["NullTest"], b["NullTest"]
        return first.get("nulltesttype") != second.get("nulltesttype") and same(first["arg"], second["arg"])
    if "A_Expr" in a and "A_Expr" in b:
        return _opposite_comparisons(a["A_Expr"], b["A_Expr"])
    return False


def _opposite_comparisons(a: Node, b: Node) -> bool:
    kinds = {a.get("kind"), b.get("kind")}
    names = strings(a.get("name")), strings(b.get("name"))
    if len(names[0]) != 1 or len(names[1]) != 1:
        return False
    opposed = kinds in _OPPOSITE_KINDS or (len(kinds) == 1 and names[1][0] in _OPPOSITES.get(names[0][0], ()))
    return opposed and same(a.get("lexpr"), b.get("lexpr")) and same(a.get("rexpr"), b.get("rexpr"))
