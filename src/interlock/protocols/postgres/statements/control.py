"""Statements about the session itself: settings, transactions, prepared statements, cursors, COPY, LOCK, and
the like.
"""

from typing import TYPE_CHECKING

from interlock.core.operation import ResourceKind
from interlock.protocols.postgres.statements.calls import UNKNOWN, note_call
from interlock.protocols.postgres.statements.catalogue import CATALOG_SCHEMA
from interlock.protocols.postgres.statements.interpretation import (
    Definition,
    Name,
    NameSpace,
    SearchPath,
    Statement,
    TransactionControl,
)
from interlock.protocols.postgres.statements.nodes import Node, literal, relation_path, strings
from interlock.protocols.postgres.statements.queries import note_created
from interlock.protocols.postgres.statements.settings import note_setting

if TYPE_CHECKING:
    from interlock.protocols.postgres.statements.dispatch import Interpreter

HOLD = 0x20
"""CURSOR_OPT_HOLD of DECLARE's options."""

ACCESS_SHARE = 1
"""LockStmt.mode of ACCESS SHARE, which every SELECT takes as well."""


def select(reader: "Interpreter", body: Node) -> None:
    """A SELECT of nothing but set_config calls sets for certain; any other SELECT is walked as it is."""
    calls = _settings_set(body)
    plain = body.keys() <= {"targetList", "limitOption", "op"}
    chosen = _chosen_setting(body) if calls and not plain else None
    if not calls or (chosen is None and not plain):
        reader.walk.push({"SelectStmt": body})
        return
    for call in calls:
        arguments = call.get("args", [])
        if chosen is not None and _is_name_column(arguments[:1]):
            arguments = [{"A_Const": {"sval": {"sval": chosen}}}, *arguments[1:]]
        note_call(reader.findings, {**call, "args": arguments}, unconditional=plain)
        reader.walk.push(arguments)
    reader.walk.push({"SelectStmt": {**body, "targetList": []}})


def _settings_set(body: Node) -> list[Node]:
    """The set_config calls of a target list that has nothing else."""
    calls: list[Node] = []
    for target in body.get("targetList", []):
        call = target.get("ResTarget", {}).get("val", {}).get("FuncCall")
        if call is None or strings(call.get("funcname"))[-1:] != ["set_config"]:
            return []
        calls.append(call)
    return calls


def _chosen_setting(body: Node) -> str | None:
    """The name in ``FROM pg_settings WHERE name = '...'``: how pg_dump sets what a server may not have."""
    sources, condition = body.get("fromClause", []), body.get("whereClause", {}).get("A_Expr", {})
    relation = sources[0].get("RangeVar", {}) if len(sources) == 1 else {}
    plain = body.keys() <= {"targetList", "fromClause", "whereClause", "limitOption", "op"}
    if not plain or not relation or relation_path(relation) != (CATALOG_SCHEMA, "pg_settings"):
        return None
    if condition.get("kind") != "AEXPR_OP" or strings(condition.get("name")) != ["="]:
        return None
    return literal(condition.get("rexpr")) if _is_name_column([condition.get("lexpr", {})]) else None


def _is_name_column(nodes: list[Node]) -> bool:
    return bool(nodes) and strings(nodes[0].get("ColumnRef", {}).get("fields"))[-1:] == ["name"]


def set_variable(reader: "Interpreter", body: Node) -> None:
    """SET, RESET and SET TRANSACTION."""
    kind, name = body.get("kind"), body.get("name", "")
    if kind == "VAR_RESET_ALL":
        _reset_all(reader)
    elif kind == "VAR_SET_MULTI":
        return
    elif kind in ("VAR_RESET", "VAR_SET_DEFAULT"):
        note_setting(reader.findings, name, None, local=bool(body.get("is_local")), reset=True)
    else:
        values = [literal(argument) for argument in body.get("args", [])]
        known = [value for value in values if value is not None]
        seen = known if len(known) == len(values) and kind == "VAR_SET_VALUE" else None
        note_setting(reader.findings, name, seen, local=bool(body.get("is_local")))


def _reset_all(reader: "Interpreter") -> None:
    reader.findings.resets_settings = True
    reader.findings.search_path = SearchPath(None)


def discard(reader: "Interpreter", body: Node) -> None:
    """DISCARD; ALL also closes cursors, forgets prepared statements and resets settings."""
    mode = body.get("target")
    if mode in ("DISCARD_ALL", None):
        reader.findings.forgets_all = (NameSpace.PREPARED, NameSpace.PORTAL)
        _reset_all(reader)


_TRANSACTIONS = {
    "TRANS_STMT_BEGIN": TransactionControl.BEGIN,
    "TRANS_STMT_START": TransactionControl.BEGIN,
    "TRANS_STMT_COMMIT": TransactionControl.COMMIT,
    "TRANS_STMT_ROLLBACK": TransactionControl.ROLLBACK,
    "TRANS_STMT_SAVEPOINT": TransactionControl.SAVEPOINT,
    "TRANS_STMT_RELEASE": TransactionControl.RELEASE,
    "TRANS_STMT_ROLLBACK_TO": TransactionControl.ROLLBACK_TO,
    "TRANS_STMT_PREPARE": TransactionControl.PREPARE,
    "TRANS_STMT_COMMIT_PREPARED": TransactionControl.COMMIT_PREPARED,
    "TRANS_STMT_ROLLBACK_PREPARED": TransactionControl.ROLLBACK_PREPARED,
}
_TWO_PHASE = frozenset(
    {TransactionControl.PREPARE, TransactionControl.COMMIT_PREPARED, TransactionControl.ROLLBACK_PREPARED}
)


def transaction(reader: "Interpreter", body: Node) -> None:
    """Transaction control is free; two-phase commit leaves state behind on the server and is not."""
    control = _TRANSACTIONS.get(body.get("kind", ""))
    if control is None:
        reader.findings.add_unclassified()
    if control in _TWO_PHASE:
        reader.findings.add("server-setting", ResourceKind.CONNECTION)
    reader.findings.transaction = control


def prepare(reader: "Interpreter", body: Node) -> None:
    """PREPARE name AS query: the query's accesses count now and again at EXECUTE."""
    findings = reader.findings
    inner = reader.interpret_inside(body.get("query", {}))
    findings.absorb(inner.meaning)
    findings.wheres.append(bool(inner.meaning.facts.get("has_where")))
    findings.defines = Definition(Name(NameSpace.PREPARED, body.get("name", "")), inner, holdable=True)


def declare(reader: "Interpreter", body: Node) -> None:
    """DECLARE cursor: the query runs at FETCH, its accesses count at both."""
    holdable = bool(body.get("options", 0) & HOLD)
    inner = _embed(reader, body.get("query", {}))
    name = Name(NameSpace.PORTAL, body.get("portalname", ""))
    reader.findings.defines = Definition(name, inner, holdable)


def _embed(reader: "Interpreter", tree: Node) -> Statement:
    """A statement that this one may run. Whether it does is not certain, so it must not move the search path."""
    inner = reader.interpret_inside(tree)
    reader.findings.absorb(inner.meaning)
    reader.findings.wheres.append(bool(inner.meaning.facts.get("has_where")))
    reader.findings.uses.extend(inner.uses)
    if inner.search_path is not None:
        reader.findings.refuse("search_path may only be changed by SET, or by a SELECT of set_config alone.")
    return inner


def execute(reader: "Interpreter", body: Node) -> None:
    """EXECUTE: the session knows what the name stands for; the arguments are expressions."""
    reader.findings.uses.append(Name(NameSpace.PREPARED, body.get("name", "")))
    reader.walk.push(body.get("params"))


def deallocate(reader: "Interpreter", body: Node) -> None:
    """DEALLOCATE name, or ALL."""
    if body.get("isall") or "name" not in body:
        reader.findings.forgets_all = (NameSpace.PREPARED,)
    else:
        reader.findings.forgets.append(Name(NameSpace.PREPARED, body["name"]))


def fetch(reader: "Interpreter", body: Node) -> None:
    """FETCH and MOVE."""
    reader.findings.uses.append(Name(NameSpace.PORTAL, body.get("portalname", "")))


def close(reader: "Interpreter", body: Node) -> None:
    """CLOSE name, or ALL."""
    if "portalname" in body:
        reader.findings.forgets.append(Name(NameSpace.PORTAL, body["portalname"]))
    else:
        reader.findings.forgets_all = (NameSpace.PORTAL,)


def explain(reader: "Interpreter", body: Node) -> None:
    """EXPLAIN counts as the statement inside, whether it runs (ANALYZE) or not: plans show values too."""
    _embed(reader, body.get("query", {}))


def create_table_as(reader: "Interpreter", body: Node) -> None:
    """CREATE TABLE AS, CREATE MATERIALIZED VIEW; the query may be an EXECUTE."""
    note_created(reader.findings, body.get("into", {}).get("rel", {}))
    _embed(reader, body.get("query", {}))


def copy(reader: "Interpreter", body: Node) -> None:
    """COPY of a table or a query, with the client, a server file or a program on the server."""
    findings = reader.findings
    incoming = bool(body.get("is_from"))
    if "relation" in body:
        columns = strings(body.get("attlist")) or ["*"]
        path = relation_path(body["relation"])
        findings.add_table("copy-in" if incoming else "copy-out", path, columns)
        if path[0] == "pg_catalog" and incoming:
            findings.add_unclassified()
        elif path[0] == "pg_catalog":
            reader.walk.push({"RangeVar": body["relation"]})
    if "query" in body:
        _embed(reader, body["query"])
    reader.walk.push(body.get("whereClause"))
    filename = body.get("filename")
    if filename is None:
        findings.copy_in, findings.copy_out = incoming, not incoming
    elif body.get("is_program"):
        findings.add("server-program", ResourceKind.CONNECTION)
    else:
        findings.add(f"server-file-{'read' if incoming else 'write'}", ResourceKind.SERVER_FILE, (filename,))


def lock(reader: "Interpreter", body: Node) -> None:
    """LOCK TABLE; in ACCESS SHARE it only asks whether the table is there."""
    action = "introspect" if body.get("mode") == ACCESS_SHARE else "lock"
    for node in body.get("relations", []):
        reader.findings.add_table(action, relation_path(node.get("RangeVar", {})))


def do(reader: "Interpreter", body: Node) -> None:
    """DO: code that cannot be seen through, so leave to execute is not enough."""
    reader.findings.add("do", ResourceKind.CONNECTION)
    reader.findings.add_unclassified()


def call(reader: "Interpreter", body: Node) -> None:
    """CALL: a procedure has effects even when a built-in function has its name."""
    function = body.get("funccall", {})
    names = strings(function.get("funcname"))
    schema, name = ("", *names)[-2:]
    reader.findings.add("call", ResourceKind.FUNCTION, (schema, name or UNKNOWN))
    reader.walk.push({"FuncCall": function})


def notify(reader: "Interpreter", body: Node) -> None:
    """NOTIFY."""
    reader.findings.add("notify", ResourceKind.CONNECTION)


def nothing(reader: "Interpreter", body: Node) -> None:
    """Harmless: SHOW, LISTEN, UNLISTEN, SET CONSTRAINTS."""


def maintenance(reader: "Interpreter", body: Node) -> None:
    """VACUUM, ANALYZE, CLUSTER, REINDEX, REFRESH MATERIALIZED VIEW, CHECKPOINT; without a table, on the database."""
    relations = [body["relation"]] if "relation" in body else []
    relations += [node.get("VacuumRelation", {}).get("relation", {}) for node in body.get("rels", [])]
    for relation in relations:
        reader.findings.add_table("maintenance", relation_path(relation))
    if not relations:
        reader.findings.add("maintenance", ResourceKind.DATABASE)
