"""Function calls and qualified operators, as accesses."""

from interlock.core.operation import ResourceKind
from interlock.protocols.postgres.statements.catalogue import CATALOG_SCHEMA, reading, table_path
from interlock.protocols.postgres.statements.findings import Findings
from interlock.protocols.postgres.statements.functions import (
    Effect,
    Resource,
    call_effects,
    resolved_schema,
)
from interlock.protocols.postgres.statements.nodes import (
    Node,
    literal,
    schema_and_name,
    split_identifier,
    strings,
)
from interlock.protocols.postgres.statements.settings import note_set_config

UNKNOWN = "*"
"""A resource's name when the text does not show it."""


def note_call(findings: Findings, body: Node, *, unconditional: bool = False) -> None:
    """A FuncCall's body. ``unconditional``: it runs exactly once if the statement succeeds."""
    names = strings(body.get("funcname"))
    schema, name = schema_and_name(names)
    findings.functions.add(".".join(names).lower())
    arguments = body.get("args", [])
    if name == "set_config" and schema in ("", CATALOG_SCHEMA):
        note_set_config(findings, arguments, unconditional=unconditional)
        return
    for effect in call_effects(schema, name):
        _note_effect(findings, effect, schema, name, arguments)


def _note_effect(findings: Findings, effect: Effect, schema: str, name: str, arguments: list[Node]) -> None:
    first, second = (*map(literal, arguments[:2]), None, None)[:2]
    match effect.resource:
        case Resource.FUNCTION:
            findings.add(effect.action, ResourceKind.FUNCTION, (resolved_schema(schema, name), name))
        case Resource.FILE:
            findings.add(effect.action, ResourceKind.SERVER_FILE, (UNKNOWN if first is None else first,))
        case Resource.WRITTEN_FILE:
            findings.add(effect.action, ResourceKind.SERVER_FILE, (UNKNOWN if second is None else second,))
        case Resource.SEQUENCE:
            parts = split_identifier(first) if first is not None else None
            path = table_path(*schema_and_name(parts)) if parts else (UNKNOWN, UNKNOWN)
            findings.add_table(effect.action, path)
        case Resource.RELATION:
            access = reading(CATALOG_SCHEMA, effect.name)
            findings.add_table(access.action, access.path, access.columns)
        case Resource.NOTHING:
            findings.add(effect.action, ResourceKind.CONNECTION)


def note_operator(findings: Findings, name: list[Node] | None) -> None:
    """An operator's name: only ``OPERATOR(schema.op)`` has two parts, and any schema but pg_catalog is a call."""
    if name is None or len(name) < 2:
        return
    schema, operator = schema_and_name(strings(name))
    if schema != CATALOG_SCHEMA:
        findings.functions.add(f"{schema}.{operator}")
        findings.add("call", ResourceKind.FUNCTION, (schema, operator))
