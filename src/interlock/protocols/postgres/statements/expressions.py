"""What the nodes of an expression and of a FROM list mean to a walk."""

from interlock.protocols.postgres.statements.calls import note_call, note_operator
from interlock.protocols.postgres.statements.nodes import Node, strings
from interlock.protocols.postgres.statements.relations import Scope, Source
from interlock.protocols.postgres.statements.walk import Handler, Walk


def column(walk: Walk, body: Node, scope: Scope) -> None:
    """ColumnRef: ``a``, ``t.a``, ``s.t.a``, ``t.*``, ``*``."""
    fields = body.get("fields", [])
    names = strings(fields)
    if fields and "A_Star" in fields[-1]:
        names.append("*")
    if len(names) > 1:
        scope.qualified.add((names[-2], names[-1]))
    elif names == ["*"]:
        scope.star = True
    elif names:
        scope.unqualified.note(names[0])


def indirection(walk: Walk, body: Node, scope: Scope) -> None:
    """A_Indirection: ``(u).email`` is a column of ``u`` where ``u`` is a relation."""
    steps = body.get("indirection", [])
    names = strings(body.get("arg", {}).get("ColumnRef", {}).get("fields"))
    if len(names) == 1 and steps and ("String" in steps[0] or "A_Star" in steps[0]):
        scope.fields.add((names[0], "".join(strings(steps[:1])) or "*"))
    else:
        walk.push(body.get("arg"), scope)
    walk.push(steps, scope)


def call(walk: Walk, body: Node, scope: Scope) -> None:
    """FuncCall: arguments, FILTER, ORDER BY and window are expressions of their own."""
    note_call(walk.findings, body)
    for part in ("args", "agg_order", "agg_filter", "over"):
        walk.push(body.get(part), scope)


def operator(walk: Walk, body: Node, scope: Scope) -> None:
    """A_Expr."""
    note_operator(walk.findings, body.get("name"))
    walk.push(body.get("lexpr"), scope)
    walk.push(body.get("rexpr"), scope)


def sublink(walk: Walk, body: Node, scope: Scope) -> None:
    """SubLink: a query inside an expression."""
    note_operator(walk.findings, body.get("operName"))
    walk.push(body.get("testexpr"), scope)
    walk.push(body.get("subselect"), scope)


def sort(walk: Walk, body: Node, scope: Scope) -> None:
    """SortBy, with its rare USING operator."""
    note_operator(walk.findings, body.get("useOp"))
    walk.push(body.get("node"), scope)


def cast(walk: Walk, body: Node, scope: Scope) -> None:
    """TypeCast; type names hold constants only."""
    walk.push(body.get("arg"), scope)


def nothing(walk: Walk, body: Node, scope: Scope) -> None:
    """A leaf."""


def stray_relation(walk: Walk, body: Node, scope: Scope) -> None:
    """A RangeVar outside FROM, in a construct without its own handler: read as a whole, to be safe."""
    walk.add_relation(body, scope).columns.note("*")


def constraint(walk: Walk, body: Node, scope: Scope) -> None:
    """Constraint: a foreign key can be used to ask whether a value is in the table it refers to."""
    if "pktable" in body:
        referenced = walk.add_relation(body["pktable"], scope)
        for name in strings(body.get("pk_attrs")) or ["*"]:
            referenced.read(name)
    for part in ("raw_expr", "exclusions", "where_clause"):
        walk.push(body.get(part), scope)


def like(walk: Walk, body: Node, scope: Scope) -> None:
    """TableLikeClause: reads a table's definition and none of its rows."""
    walk.add_relation(body.get("relation", {}), scope)


def from_items(walk: Walk, items: list[Node], scope: Scope) -> None:
    """Put the items of a FROM list into ``scope`` and walk what they contain."""
    pending: list[tuple[Node, tuple[str, ...], bool]] = [(item, (), False) for item in reversed(items)]
    while pending:
        item, names, renamed = pending.pop()
        for kind, body in item.items():
            if kind == "JoinExpr":
                names = (*_alias(body, "alias"), *_alias(body, "join_using_alias"), *names)
                renamed = renamed or "colnames" in body.get("alias", {})
                pending.extend((body[side], names, renamed) for side in ("larg", "rarg") if side in body)
                _join_condition(walk, body, scope)
            elif kind == "RangeTableSample":
                pending.append((body.get("relation", {}), names, renamed))
                if strings(body.get("method")) not in _SAMPLING_METHODS:
                    note_call(walk.findings, {"funcname": body.get("method")})
                walk.push(body.get("args"), scope)
                walk.push(body.get("repeatable"), scope)
            elif kind == "RangeVar":
                walk.add_relation(body, scope, names, renamed=renamed)
            elif kind == "RangeSubselect":
                _subquery(walk, body, scope, names)
            else:
                scope.sources.append(Source(None, (*_alias(body, "alias"), *names)))
                walk.push({key: value for key, value in body.items() if key != "alias"}, scope)


_SAMPLING_METHODS = (["system"], ["bernoulli"])


def _alias(body: Node, key: str) -> tuple[str, ...]:
    name = body.get(key, {}).get("aliasname")
    return (name,) if name else ()


def _join_condition(walk: Walk, body: Node, scope: Scope) -> None:
    if body.get("isNatural"):
        scope.star = True
    for name in strings(body.get("usingClause")):
        scope.unqualified.note(name)
    walk.push(body.get("quals"), scope)


def _subquery(walk: Walk, body: Node, scope: Scope, names: tuple[str, ...]) -> None:
    """RangeSubselect: it sees the CTEs of its place, and the columns beside it only when LATERAL."""
    own = _alias(body, "alias")
    scope.sources.append(Source(None, (*own, *names)))
    frame = walk.open_frame(scope if body.get("lateral") else scope.parent, scope.ctes)
    frame.holder = (scope, "".join(own))
    walk.push(body.get("subquery"), frame)


EXPRESSIONS: dict[str, Handler] = {
    "ColumnRef": column,
    "A_Indirection": indirection,
    "FuncCall": call,
    "A_Expr": operator,
    "SubLink": sublink,
    "SortBy": sort,
    "TypeCast": cast,
    "Constraint": constraint,
    "TableLikeClause": like,
    "RangeVar": stray_relation,
    "A_Const": nothing,
    "ParamRef": nothing,
    "String": nothing,
    "Integer": nothing,
    "A_Star": nothing,
}
