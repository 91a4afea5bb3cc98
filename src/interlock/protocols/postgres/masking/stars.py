"""Stars and output columns: what ``*`` stands for, and how a query's columns are called."""

from interlock.protocols.postgres.masking.edits import parse_targets
from interlock.protocols.postgres.masking.levels import Columns, Item, Level, Tree
from interlock.protocols.postgres.masking.names import Refused
from interlock.protocols.postgres.masking.quoting import identifier, qualified
from interlock.protocols.postgres.statements.nodes import Node, strings


def is_star(value: Node) -> bool:
    """Whether a target is ``*`` or ``t.*``."""
    fields = value.get("ColumnRef", {}).get("fields", [])
    return bool(fields) and "A_Star" in fields[-1]


def output_names(tree: Node) -> Columns:
    """The names of a SELECT's columns, None where only the server knows them."""
    body = tree.get("SelectStmt")
    if body is None:
        return None
    while "larg" in body:
        body = body["larg"]
    targets = [target.get("ResTarget", {}) for target in body.get("targetList", [])]
    names = [_target_name(target) for target in targets]
    known = tuple(name for name in names if name)
    return known if targets and len(known) == len(names) else None


def _target_name(target: Node) -> str:
    """FigureColname of the server, as far as it is simple; "" where it is not."""
    if "name" in target:
        return str(target["name"])
    value = target.get("val", {})
    if is_star(value):
        return ""
    while "TypeCast" in value and "ColumnRef" in value["TypeCast"].get("arg", {}):
        value = value["TypeCast"]["arg"]
    for kind, key in (("ColumnRef", "fields"), ("FuncCall", "funcname")):
        if kind in value:
            return strings(value[kind].get(key))[-1]
    return ""


def expanded(level: Level) -> tuple[str, list[Node]]:
    """What a bare star stands for at a level, without what stands hidden there: as text, and as targets.

    Raises ``Refused`` where the columns of a join cannot be told.
    """
    text = ", ".join(part for tree in level.trees for part in _parts(tree))
    return text, parse_targets(text)


def star_columns(level: Level, qualifiers: list[str]) -> list[tuple[list[str], str]]:
    """The columns of ``*`` or ``t.*`` one by one: the names of a reference to each, and its text.

    Raises ``Refused`` where they cannot be told.
    """
    trees: list[Tree] = list(level.trees)
    if qualifiers:
        named = level.named(qualifiers[-1])
        if len(named) != 1:
            raise Refused("a star of what is not known")
        trees = list(named)
    columns = [column for tree in trees for column in _columns(tree)]
    return [(_reference(name, text), text) for name, text in columns]


def _reference(name: str, text: str) -> list[str]:
    """What a column's text names: merged columns have no qualifier."""
    if text == identifier(name):
        return [name]
    return [text[1 : -len(identifier(name)) - 2].replace('""', '"'), name]


def _parts(tree: Tree) -> list[str]:
    if isinstance(tree, Item):
        return [f"{identifier(tree.qualifier)}.*"]
    if tree.alias:
        return [f"{identifier(tree.alias)}.*"]
    if tree.merged is not None and not tree.merged:
        return _parts(tree.left) + _parts(tree.right)
    return [text for _, text in _columns(tree)]


def _columns(tree: Tree) -> list[tuple[str, str]]:
    """Names and texts of the columns of a tree, those that USING merges first and once."""
    if isinstance(tree, Item):
        if tree.columns is None:
            raise Refused("Name the columns that you need instead of *: those of the join are not known here.")
        return [(name, qualified(tree.qualifier, name)) for name in tree.columns]
    if tree.alias:
        raise Refused("Name the columns that you need instead of *: the join has an alias.")
    left, right = _columns(tree.left), _columns(tree.right)
    names = {name for name, _ in right}
    merged = [name for name, _ in left if name in names] if tree.merged is None else list(tree.merged)
    rest = [pair for pair in (*left, *right) if pair[0] not in merged]
    return [(name, identifier(name)) for name in merged] + rest
