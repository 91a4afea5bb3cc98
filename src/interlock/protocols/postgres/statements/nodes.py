"""Small readings of libpg_query's JSON nodes: names, lists, literals."""

from collections.abc import Iterator
from typing import Any

from interlock.protocols.postgres.statements.catalogue import table_path

Node = dict[str, Any]
"""A node: wrapped (``{"ColumnRef": {...}}``) or the bare body where the grammar allows one type only."""


def nodes_in(tree: Any) -> Iterator[Node]:
    """Every node and body in a tree, itself included, at any depth; parents come before what they hold."""
    pending: list[Any] = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, dict):
            yield part
            pending.extend(part.values())


def strings(nodes: list[Node] | None) -> list[str]:
    """The texts of a list of String nodes; other nodes (a star, an index) are left out."""
    return [node["String"].get("sval", "") for node in nodes or () if "String" in node]


def schema_and_name(names: list[str]) -> tuple[str, str]:
    """The last two parts of a dotted name; PostgreSQL accepts no other catalogue than the connected database."""
    if not names:
        return ("", "")
    return (names[-2] if len(names) > 1 else "", names[-1])


def relation_path(relation: Node) -> tuple[str, str]:
    """The path of a RangeVar's body."""
    return table_path(relation.get("schemaname", ""), relation.get("relname", ""))


def literal(node: Node | None) -> str | None:
    """The text of a constant, also behind casts; None for anything else and for NULL."""
    while node and "TypeCast" in node:
        node = node["TypeCast"].get("arg")
    constant = (node or {}).get("A_Const")
    if constant is None:
        return None
    if "sval" in constant:
        return str(constant["sval"].get("sval", ""))
    if "ival" in constant:
        return str(constant["ival"].get("ival", 0))
    if "fval" in constant:
        return str(constant["fval"].get("fval", ""))
    if "boolval" in constant:
        return "on" if constant["boolval"].get("boolval") else "off"
    return None


def option(options: list[Node] | None, name: str) -> Node | None:
    """The DefElem called ``name`` in an option list."""
    for node in options or ():
        element = node.get("DefElem", {})
        if element.get("defname") == name:
            return dict(element)
    return None


def split_identifier(text: str) -> list[str] | None:
    """``schema.name`` as PostgreSQL reads it inside a string; None when it is not plain identifiers."""
    parts = split_identifiers(text, ".")
    return parts if parts and all(parts) else None


def split_identifiers(text: str, separator: str) -> list[str] | None:
    """Identifiers between separators: folded to lower case unless quoted; None when the text is malformed."""
    parts: list[str] = []
    rest = text.strip()
    if not rest:
        return parts
    while True:
        part, rest = _quoted(rest) if rest.startswith('"') else _bare(rest, separator)
        if part is None:
            return None
        parts.append(part)
        rest = rest.lstrip()
        if not rest:
            return parts
        if not rest.startswith(separator):
            return None
        rest = rest[1:].lstrip()


def _quoted(text: str) -> tuple[str | None, str]:
    end = 1
    while (end := text.find('"', end)) >= 0:
        if text[end + 1 : end + 2] != '"':
            return text[1:end].replace('""', '"'), text[end + 1 :]
        end += 2
    return None, ""


def _bare(text: str, separator: str) -> tuple[str | None, str]:
    end = 0
    while end < len(text) and text[end] != separator and not text[end].isspace():
        end += 1
    part = text[:end]
    return (_folded(part) if part and '"' not in part else None), text[end:]


def _folded(name: str) -> str:
    """Lower case as PostgreSQL folds identifiers in UTF-8: ASCII letters only."""
    return name.encode().lower().decode()
