"""SELECT, INSERT, UPDATE, DELETE and MERGE, at the top or anywhere inside: their tables, rows and columns."""

from interlock.core.operation import ResourceKind
from interlock.protocols.postgres.statements.catalogue import (
    BUILTIN_RELATIONS,
    CATALOG_SCHEMA,
    is_catalogue,
)
from interlock.protocols.postgres.statements.expressions import EXPRESSIONS, from_items
from interlock.protocols.postgres.statements.findings import Findings
from interlock.protocols.postgres.statements.nodes import Node, strings
from interlock.protocols.postgres.statements.relations import CommonTables, Scope, Source
from interlock.protocols.postgres.statements.truth import Target, narrows
from interlock.protocols.postgres.statements.walk import Handler, Walk


def select(walk: Walk, body: Node, enclosing: Scope) -> None:
    """SELECT, VALUES, TABLE and set operations."""
    scope = walk.open_scope(enclosing)
    _with(walk, body, scope)
    if enclosing is walk.top:
        walk.findings.wheres.append(narrows(body.get("whereClause"), None))
    if "intoClause" in body:
        note_created(walk.findings, body["intoClause"].get("rel", {}))
    from_items(walk, body.get("fromClause", []), scope)
    for branch in ("larg", "rarg"):
        if branch in body:
            walk.push({"SelectStmt": body[branch]}, scope)
    _row_locks(body.get("lockingClause", []), scope)
    _order_by(walk, body, scope)
    for part in _SELECT_PARTS:
        walk.push(body.get(part), scope)


_SELECT_PARTS = (
    "distinctClause",
    "targetList",
    "whereClause",
    "groupClause",
    "havingClause",
    "windowClause",
    "valuesLists",
    "limitOffset",
    "limitCount",
)


def note_created(findings: Findings, relation: Node) -> None:
    """A new relation. One with a catalogue relation's name would be taken for it by later statements."""
    path = created_path(relation)
    findings.add_table("create", path)
    if path[-1] in BUILTIN_RELATIONS or is_catalogue(path):
        findings.add_unclassified()


def created_path(relation: Node) -> tuple[str, str]:
    """Where a new relation goes: temporary ones into the session's own schema."""
    if relation.get("relpersistence") == "t":
        return ("pg_temp", relation.get("relname", ""))
    return (relation.get("schemaname", ""), relation.get("relname", ""))


def _order_by(walk: Walk, body: Node, scope: Scope) -> None:
    """In ORDER BY a bare name that is an output column's alias means that column, not a table's."""
    aliases = {item.get("ResTarget", {}).get("name") for item in body.get("targetList", ())}
    for item in body.get("sortClause", ()):
        names = strings(item.get("SortBy", {}).get("node", {}).get("ColumnRef", {}).get("fields"))
        if len(names) != 1 or names[0] not in aliases:
            walk.push(item, scope)


def _row_locks(clauses: list[Node], scope: Scope) -> None:
    """FOR UPDATE, FOR SHARE ...: of the named FROM items, or of all."""
    for clause in clauses:
        relations = clause.get("LockingClause", {}).get("lockedRels")
        scope.locked.update(
            {node.get("RangeVar", {}).get("relname", "*") for node in relations} if relations else {"*"}
        )


def _with(walk: Walk, body: Node, scope: Scope) -> None:
    """WITH: a CTE sees those before it, or all of the list when it is RECURSIVE."""
    clause = body.get("withClause")
    if not clause:
        return
    tables = [node.get("CommonTableExpr", {}) for node in clause.get("ctes", ())]
    index: dict[str, int] = {}
    for position, table in enumerate(tables):
        index.setdefault(table.get("ctename", ""), position)
    outer = scope.ctes
    for position, table in enumerate(tables):
        limit = len(tables) if clause.get("recursive") else position
        frame = walk.open_frame(scope.parent, CommonTables(index, limit, outer))
        walk.push(table.get("ctequery"), frame)
    scope.ctes = CommonTables(index, len(tables), outer)


def insert(walk: Walk, body: Node, enclosing: Scope) -> None:
    """INSERT, with ON CONFLICT DO UPDATE counted as an update of the named columns."""
    scope = walk.open_scope(enclosing)
    _with(walk, body, scope)
    target = walk.add_relation(body.get("relation", {}), scope, target=True)
    _note_write(walk.findings, "insert", target, _column_names(body.get("cols")) or ["*"])
    frame = walk.open_frame(enclosing, scope.ctes)
    walk.push(body.get("selectStmt"), frame)
    conflict = body.get("onConflictClause", {})
    if conflict.get("action") == "ONCONFLICT_UPDATE":
        scope.sources.append(Source(None, ("excluded",)))
        _note_write(walk.findings, "update", target, _column_names(conflict.get("targetList")))
    for part in ("targetList", "whereClause", "infer"):
        walk.push(conflict.get(part), scope)
    walk.push(body.get("returningClause"), scope)


def update(walk: Walk, body: Node, enclosing: Scope) -> None:
    """UPDATE; ``update-all`` as well when its condition does not narrow the target's rows."""
    scope = walk.open_scope(enclosing)
    _with(walk, body, scope)
    target = walk.add_relation(body.get("relation", {}), scope, target=True)
    from_items(walk, body.get("fromClause", []), scope)
    columns = _column_names(body.get("targetList"))
    _note_rows(walk.findings, "update", target, body.get("whereClause"), "fromClause" not in body, columns)
    for part in ("targetList", "whereClause", "returningClause"):
        walk.push(body.get(part), scope)


def delete(walk: Walk, body: Node, enclosing: Scope) -> None:
    """DELETE; ``delete-all`` as well when its condition does not narrow the target's rows."""
    scope = walk.open_scope(enclosing)
    _with(walk, body, scope)
    target = walk.add_relation(body.get("relation", {}), scope, target=True)
    from_items(walk, body.get("usingClause", []), scope)
    _note_rows(walk.findings, "delete", target, body.get("whereClause"), "usingClause" not in body)
    for part in ("whereClause", "returningClause"):
        walk.push(body.get(part), scope)


def merge(walk: Walk, body: Node, enclosing: Scope) -> None:
    """MERGE: ``merge`` on its target, and each action it may take as the access that the action is."""
    scope = walk.open_scope(enclosing)
    _with(walk, body, scope)
    target = walk.add_relation(body.get("relation", {}), scope, target=True)
    from_items(walk, [body["sourceRelation"]] if "sourceRelation" in body else [], scope)
    _note_write(walk.findings, "merge", target)
    for node in body.get("mergeWhenClauses", ()):
        _merge_action(walk.findings, node.get("MergeWhenClause", {}), target, body.get("joinCondition"))
    for part in ("joinCondition", "mergeWhenClauses", "returningClause"):
        walk.push(body.get(part), scope)


def _merge_action(findings: Findings, clause: Node, target: Source, join: Node | None) -> None:
    """Rows that no source row matches are not narrowed by the join condition, only by the clause's own."""
    columns = _column_names(clause.get("targetList"))
    condition = clause.get("condition")
    matched = clause.get("matchKind") == "MERGE_WHEN_MATCHED"
    if condition and matched and join:
        condition = {"BoolExpr": {"boolop": "AND_EXPR", "args": [join, condition]}}
    elif matched:
        condition = join
    match clause.get("commandType"):
        case "CMD_INSERT":
            _note_write(findings, "insert", target, columns or ["*"])
        case "CMD_UPDATE":
            _note_rows(findings, "update", target, condition, False, columns)
        case "CMD_DELETE":
            _note_rows(findings, "delete", target, condition, False)
        case "CMD_NOTHING":
            pass
        case _:
            findings.add_unclassified()


def _note_rows(
    findings: Findings,
    action: str,
    target: Source,
    condition: Node | None,
    alone: bool,
    columns: list[str] | None = None,
) -> None:
    """An update or delete. ``alone``: the target is the only FROM item, so that bare columns are its own."""
    narrow = narrows(condition, Target(frozenset(target.names), alone))
    findings.wheres.append(narrow)
    _note_write(findings, action, target, columns)
    if not narrow:
        _note_write(findings, f"{action}-all", target, columns)


def _note_write(findings: Findings, action: str, target: Source, columns: list[str] | None = None) -> None:
    path = target.path or ("", "")
    findings.add_table(action, path, columns or ())
    if is_catalogue(path):
        findings.add_unclassified()
    if path == (CATALOG_SCHEMA, "pg_settings"):
        findings.add("set", ResourceKind.SETTING, ("*",))
        findings.refuse("Use SET to change a parameter; the gateway does not carry writes to pg_settings.")


def _column_names(targets: list[Node] | None) -> list[str]:
    """The names of assigned columns in a list of ResTargets."""
    bodies = (node.get("ResTarget", {}) for node in targets or ())
    return [body["name"] for body in bodies if "name" in body]


HANDLERS: dict[str, Handler] = {
    **EXPRESSIONS,
    "SelectStmt": select,
    "InsertStmt": insert,
    "UpdateStmt": update,
    "DeleteStmt": delete,
    "MergeStmt": merge,
}


def start_walk(findings: Findings) -> Walk:
    """A walk that knows every query and expression node."""
    return Walk(findings, HANDLERS)
