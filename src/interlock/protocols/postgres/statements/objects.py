"""Statements about objects: CREATE, ALTER, DROP, COMMENT, GRANT, and the resource that each is about."""

from typing import TYPE_CHECKING

from interlock.core.operation import ResourceKind
from interlock.protocols.postgres.statements.catalogue import BUILTIN_RELATIONS, is_catalogue, table_path
from interlock.protocols.postgres.statements.nodes import Node, relation_path, schema_and_name, strings
from interlock.protocols.postgres.statements.queries import created_path, note_created

if TYPE_CHECKING:
    from interlock.protocols.postgres.statements.dispatch import Interpreter

Resource = tuple[ResourceKind, tuple[str, ...]]

DATABASE: Resource = (ResourceKind.DATABASE, ())
CONNECTION: Resource = (ResourceKind.CONNECTION, ())


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RELATIONS = frozenset({"TABLE", "VIEW", "MATVIEW", "FOREIGN_TABLE", "SEQUENCE", "INDEX"})
_PARTS_OF_RELATIONS = frozenset({"COLUMN", "TABCONSTRAINT", "TRIGGER", "RULE", "POLICY"})
_ROUTINES = frozenset({"FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE", "OPERATOR"})
_IN_SCHEMAS = _kinds("""
    TYPE DOMAIN DOMCONSTRAINT COLLATION CONVERSION OPCLASS OPFAMILY STATISTIC_EXT TSCONFIGURATION
    TSDICTIONARY TSPARSER TSTEMPLATE ATTRIBUTE
""")
_OF_THE_CLUSTER = frozenset({"DATABASE", "TABLESPACE", "PARAMETER_ACL"})
CODE = _kinds("""
    FUNCTION PROCEDURE ROUTINE AGGREGATE OPERATOR OPCLASS OPFAMILY CAST TRANSFORM TRIGGER RULE
    POLICY EVENT_TRIGGER EXTENSION LANGUAGE FDW FOREIGN_SERVER USER_MAPPING PUBLICATION SUBSCRIPTION
    ACCESS_METHOD TSPARSER TSTEMPLATE CONVERSION
""")
"""Objects that run, or that decide what runs or what is seen."""


def kind_word(object_type: str | None) -> str:
    """``OBJECT_TABLE`` without its prefix."""
    return (object_type or "").removeprefix("OBJECT_")


def resource(object_type: str | None, node: Node) -> Resource:
    """The resource that a name in a DROP, COMMENT, ALTER or GRANT means."""
    kind = kind_word(object_type)
    names = _names(node)
    if kind in ("OPCLASS", "OPFAMILY"):
        names = names[1:]  # the first is the access method
    if kind in _RELATIONS:
        return (ResourceKind.TABLE, table_path(*schema_and_name(names)))
    if kind in _PARTS_OF_RELATIONS:
        return (ResourceKind.TABLE, table_path(*schema_and_name(names[:-1])))
    if kind in _ROUTINES:
        return (ResourceKind.FUNCTION, schema_and_name(names))
    if kind == "SCHEMA":
        return (ResourceKind.SCHEMA, (names[-1] if names else "",))
    if kind == "ROLE":
        return (ResourceKind.ROLE, (names[-1] if names else "",))
    if kind in _IN_SCHEMAS:
        return (ResourceKind.SCHEMA, schema_and_name(names)[:1])
    return CONNECTION if kind in _OF_THE_CLUSTER else DATABASE


def _names(node: Node) -> list[str]:
    """The dotted name in whichever node the grammar put it."""
    for kind, body in node.items():
        match kind:
            case "RangeVar":
                return [part for part in (body.get("schemaname"), body.get("relname")) if part]
            case "List":
                return _listed_names(body.get("items", []))
            case "ObjectWithArgs":
                return strings(body.get("objname"))
            case "TypeName":
                return strings(body.get("names"))
            case "RoleSpec":
                return [role_name(body)]
            case "String":
                return [body.get("sval", "")]
    return []


def role_name(body: Node) -> str:
    """A RoleSpec's name, or the word that stands for one (``CURRENT_USER``, ``PUBLIC``)."""
    return str(body.get("rolename") or body.get("roletype", "").removeprefix("ROLESPEC_"))


def _listed_names(items: list[Node]) -> list[str]:
    """A name as a list of strings; for some objects the first item is itself a name (a type, an operator class)."""
    names = strings(items)
    return names or [name for item in items for name in _names(item)]


def note(reader: "Interpreter", action: str, object_type: str | None, node: Node) -> None:
    """``action`` on one named object; objects that run are ``create-code`` besides."""
    kind, path = resource(object_type, node)
    reader.findings.add(action, kind, path)
    if kind_word(object_type) in CODE and action != "comment":
        reader.findings.add("create-code", kind, path)


def drop(reader: "Interpreter", body: Node) -> None:
    """DROP of any object with a plain name."""
    for node in body.get("objects", []):
        note(reader, "drop", body.get("removeType"), node)


def truncate(reader: "Interpreter", body: Node) -> None:
    """TRUNCATE; with CASCADE also tables that are not named."""
    for node in body.get("relations", []):
        reader.findings.add_table("truncate", relation_path(node.get("RangeVar", {})))
    if body.get("behavior") == "DROP_CASCADE":
        reader.findings.add("truncate", *DATABASE)


def comment(reader: "Interpreter", body: Node) -> None:
    """COMMENT ON."""
    note(reader, "comment", body.get("objtype"), body.get("object", {}))


def create_table(reader: "Interpreter", body: Node) -> None:
    """CREATE TABLE, with what its defaults, checks, keys and LIKE refer to; parents are altered."""
    note_created(reader.findings, body.get("relation", {}))
    for parent in body.get("inhRelations", []):
        reader.findings.add_table("alter", relation_path(parent.get("RangeVar", {})))
    for part in ("tableElts", "constraints", "partspec", "partbound"):
        reader.walk.push(body.get(part))


def create_foreign_table(reader: "Interpreter", body: Node) -> None:
    """CREATE FOREIGN TABLE: reading it later goes to another server."""
    create_table(reader, body.get("base_stmt") or body.get("base", {}))
    reader.findings.add("outbound", *DATABASE)


def create_index(reader: "Interpreter", body: Node) -> None:
    """CREATE INDEX: counted as creating on its table."""
    reader.findings.add_table("create", relation_path(body.get("relation", {})))
    for part in ("indexParams", "whereClause"):
        reader.walk.push(body.get(part))


def create_view(reader: "Interpreter", body: Node) -> None:
    """CREATE VIEW: reads what its query reads; OR REPLACE may change a view that is there."""
    note_created(reader.findings, body.get("view", {}))
    if body.get("replace"):
        reader.findings.add_table("alter", created_path(body.get("view", {})))
    reader.walk.push(body.get("query"))


def create_schema(reader: "Interpreter", body: Node) -> None:
    """CREATE SCHEMA, with the statements inside it."""
    name = body.get("schemaname") or body.get("authrole", {}).get("rolename", "")
    reader.findings.add("create", ResourceKind.SCHEMA, (name,))
    if "authrole" in body:
        reader.findings.add("grant", ResourceKind.SCHEMA, (name,))
    for element in body.get("schemaElts", []):
        reader.findings.absorb(reader.interpret_inside(element).meaning)


def create_sequence(reader: "Interpreter", body: Node) -> None:
    """CREATE SEQUENCE."""
    note_created(reader.findings, body.get("sequence", {}))


def create_statistics(reader: "Interpreter", body: Node) -> None:
    """CREATE STATISTICS: on its tables."""
    for node in body.get("relations", []):
        reader.findings.add_table("create", relation_path(node.get("RangeVar", {})))
    reader.walk.push(body.get("exprs"))


def create_type(reader: "Interpreter", body: Node) -> None:
    """CREATE TYPE AS, CREATE TYPE AS ENUM, AS RANGE, CREATE DOMAIN: in their schema."""
    names = strings(body.get("typeName") if isinstance(body.get("typeName"), list) else body.get("domainname"))
    schema = schema_and_name(names)[0] if names else body.get("typevar", {}).get("schemaname", "")
    reader.findings.add("create", ResourceKind.SCHEMA, (schema,))
    reader.walk.push(body.get("constraints"))


def define(reader: "Interpreter", body: Node) -> None:
    """CREATE AGGREGATE, OPERATOR, TYPE (by functions), COLLATION, TEXT SEARCH ...."""
    kind = body.get("kind")
    node = {"List": {"items": body.get("defnames", [])}}
    where = resource(kind, node)
    reader.findings.add("create", *where)
    if kind_word(kind) in CODE | {"TYPE"}:
        reader.findings.add("create-code", *where)


def create_function(reader: "Interpreter", body: Node) -> None:
    """CREATE FUNCTION, CREATE PROCEDURE; an SQL-standard body is walked, though nothing of it runs yet."""
    path = schema_and_name(strings(body.get("funcname")))
    reader.findings.add("create-code", ResourceKind.FUNCTION, path)
    for part in ("parameters", "sql_body"):
        reader.walk.push(body.get(part))


def create_on_table(reader: "Interpreter", body: Node) -> None:
    """CREATE TRIGGER and CREATE or ALTER POLICY: code that runs for every use of the table."""
    relation = body.get("relation") or body.get("table", {})
    reader.findings.add("create-code", ResourceKind.TABLE, relation_path(relation))
    for part in ("whenClause", "qual", "with_check"):
        reader.walk.push(body.get(part))


def create_rule(reader: "Interpreter", body: Node) -> None:
    """CREATE RULE: its actions are counted as if they ran now."""
    reader.findings.add("create-code", ResourceKind.TABLE, relation_path(body.get("relation", {})))
    reader.walk.push(body.get("whereClause"))
    for action in body.get("actions", []):
        if action:
            reader.findings.absorb(reader.interpret_inside(action).meaning)


def create_code(reader: "Interpreter", body: Node) -> None:
    """Whatever installs code or a way to other servers, database-wide."""
    reader.findings.add("create-code", *DATABASE)


def create_connection(reader: "Interpreter", body: Node) -> None:
    """Subscriptions, foreign servers and the like: code, and connections to elsewhere."""
    create_code(reader, body)
    reader.findings.add("outbound", *DATABASE)


def alter_table(reader: "Interpreter", body: Node) -> None:
    """ALTER TABLE, INDEX, VIEW, SEQUENCE, TYPE ...."""
    kind = kind_word(body.get("objtype"))
    if kind == "TYPE":
        reader.findings.add("alter", ResourceKind.SCHEMA, (body.get("relation", {}).get("schemaname", ""),))
    path = relation_path(body.get("relation", {}))
    for node in body.get("cmds", []):
        command = node.get("AlterTableCmd", {})
        subtype = command.get("subtype", "")
        if kind != "TYPE":
            _note_command(reader, path, subtype, command)
        partition = command.get("def", {}).get("PartitionCmd", {})
        if "name" in partition:
            reader.findings.add_table("alter", relation_path(partition["name"]))
        reader.walk.push(partition.get("bound") if partition else command.get("def"))
    if kind != "TYPE":
        reader.findings.add_table("alter", path)
        if is_catalogue(path):
            reader.findings.add_unclassified()


_SECURITY_COMMANDS = ("Trig", "Rule", "RowSecurity", "ReplicaIdentity")


def _note_command(reader: "Interpreter", path: tuple[str, ...], subtype: str, command: Node) -> None:
    """Subcommands that are more than an ALTER."""
    if subtype == "AT_DropColumn":
        reader.findings.add_table("drop", path, [command.get("name", "*")])
    elif subtype == "AT_ChangeOwner":
        reader.findings.add_table("grant", path)
    elif any(word in subtype for word in _SECURITY_COMMANDS):
        reader.findings.add_table("create-code", path)


def alter_object(reader: "Interpreter", body: Node) -> None:
    """RENAME, SET SCHEMA, OWNER TO, DEPENDS ON: of any object."""
    object_type = body.get("renameType") or body.get("objectType")
    if kind_word(object_type) == "ROLE":
        reader.findings.add("grant", ResourceKind.ROLE, (body.get("subname", ""),))
        return
    if "relation" in body:
        reader.findings.add_table("alter", relation_path(body["relation"]))
        if "newname" in body and body["newname"] in BUILTIN_RELATIONS:
            reader.findings.add_unclassified()
        if kind_word(object_type) in CODE:
            reader.findings.add_table("create-code", relation_path(body["relation"]))
    else:
        node = body.get("object") or {"String": {"sval": body.get("subname", "")}}
        note(reader, "alter", object_type, node)
    if "newowner" in body:
        reader.findings.add("grant", *DATABASE)


def alter_sequence(reader: "Interpreter", body: Node) -> None:
    """ALTER SEQUENCE."""
    reader.findings.add_table("alter", relation_path(body.get("sequence", {})))


def alter_type(reader: "Interpreter", body: Node) -> None:
    """ALTER TYPE, DOMAIN, COLLATION, TEXT SEARCH, STATISTICS: in their schema."""
    keys = ("typeName", "collname", "dictname", "cfgname", "defnames")
    names = next((strings(body[key]) for key in keys if isinstance(body.get(key), list)), [])
    reader.findings.add("alter", ResourceKind.SCHEMA, schema_and_name(names)[:1])
    reader.walk.push(body.get("def"))


def alter_function(reader: "Interpreter", body: Node) -> None:
    """ALTER FUNCTION: its rights and settings are part of what it does."""
    path = schema_and_name(strings((body.get("func") or body.get("opername", {})).get("objname")))
    reader.findings.add("create-code", ResourceKind.FUNCTION, path)


def alter_cluster(reader: "Interpreter", body: Node) -> None:
    """Tablespaces and moves between them."""
    reader.findings.add("alter", *CONNECTION)


def server_setting(reader: "Interpreter", body: Node) -> None:
    """ALTER SYSTEM, ALTER DATABASE, ALTER ROLE ... SET: they outlast the session."""
    reader.findings.add("server-setting", *CONNECTION)


def create_database(reader: "Interpreter", body: Node) -> None:
    """CREATE DATABASE, CREATE TABLESPACE."""
    reader.findings.add("create", *CONNECTION)


def drop_database(reader: "Interpreter", body: Node) -> None:
    """DROP DATABASE, DROP TABLESPACE."""
    reader.findings.add("drop", *CONNECTION)


def drop_connection(reader: "Interpreter", body: Node) -> None:
    """DROP SUBSCRIPTION, DROP USER MAPPING."""
    reader.findings.add("drop", *DATABASE)
    reader.findings.add("create-code", *DATABASE)


def grant(reader: "Interpreter", body: Node) -> None:
    """GRANT and REVOKE on objects; ALL IN SCHEMA is on the schema."""
    in_schema = body.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA"
    object_type = "OBJECT_SCHEMA" if in_schema else body.get("objtype")
    objects = body.get("objects", [])
    for node in objects:
        reader.findings.add("grant", *resource(object_type, node))
    if not objects:
        reader.findings.add("grant", *DATABASE)


def grant_role(reader: "Interpreter", body: Node) -> None:
    """GRANT role, CREATE, ALTER and DROP ROLE: on each role named."""
    nodes = [*body.get("granted_roles", []), *body.get("grantee_roles", []), *body.get("roles", [])]
    names = [node.get("AccessPriv", {}).get("priv_name") or "".join(_names(node)) for node in nodes]
    names += [body[key] for key in ("role",) if isinstance(body.get(key), str)]
    if isinstance(body.get("role"), dict):
        names.append(role_name(body["role"]))
    for name in names or [""]:
        reader.findings.add("grant", ResourceKind.ROLE, (name,))


def owned(reader: "Interpreter", body: Node) -> None:
    """REASSIGN OWNED and SECURITY LABEL: rights on many objects."""
    reader.findings.add("grant", *DATABASE)


def drop_owned(reader: "Interpreter", body: Node) -> None:
    """DROP OWNED: objects and rights."""
    reader.findings.add("grant", *DATABASE)
    reader.findings.add("drop", *DATABASE)


def load(reader: "Interpreter", body: Node) -> None:
    """LOAD: a library of the server's machine."""
    reader.findings.add("create-code", *DATABASE)
    reader.findings.add("server-file-read", ResourceKind.SERVER_FILE, (body.get("filename", ""),))
