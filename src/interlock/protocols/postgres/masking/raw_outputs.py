"""Columns whose masks need a key: read as they are, and masked by the gateway as their rows pass.

Only for what a plain SELECT gives out itself, in a place that is known for certain. Everywhere else such a column is
redacted at the source like any other.
"""

from typing import Final

import msgspec

from interlock.core.masking import MaskKind
from interlock.protocols.postgres.masking.edits import parse_targets
from interlock.protocols.postgres.masking.expressions import is_text
from interlock.protocols.postgres.masking.index import MaskedField
from interlock.protocols.postgres.masking.levels import Item, Level, definite
from interlock.protocols.postgres.masking.names import Refused
from interlock.protocols.postgres.masking.quoting import identifier
from interlock.protocols.postgres.masking.stars import is_star, star_columns
from interlock.protocols.postgres.statements.nodes import Node, strings

KEYED: Final = frozenset((MaskKind.HASH, MaskKind.TOKENISE))
_PLAIN: Final = frozenset(
    (
        "targetList",
        "fromClause",
        "whereClause",
        "sortClause",
        "limitOffset",
        "limitCount",
        "limitOption",
        "lockingClause",
        "withClause",
        "op",
    )
)


class RawOutput(msgspec.Struct, frozen=True):
    """A column of an answer, counted from 0, that comes as it is and must be masked with ``kind`` on its way."""

    position: int
    kind: MaskKind


class Output(msgspec.Struct, frozen=True):
    """One column of a target list: its text, and the masked column behind it if it is one that needs a key."""

    text: str
    name: str
    item: Item | None = None
    field: MaskedField | None = None


def plan(body: Node, level: Level) -> list[list[Output]] | None:
    """For each target of a SELECT its columns; None when none of them needs a key, or it is not plain enough."""
    if not body.keys() <= _PLAIN or not level.items:
        return None
    try:
        outputs = [_outputs(target["ResTarget"], level) for target in body.get("targetList", [])]
    except Refused:
        return None
    keyed = {output.name for target in outputs for output in target if output.field is not None}
    return outputs if keyed and not _sorts_by(body, keyed) else None


def _outputs(target: Node, level: Level) -> list[Output]:
    value = target.get("val", {})
    if is_star(value):
        if value["ColumnRef"].get("location", 0) < 0:
            raise Refused("TABLE has no star that could be replaced")
        return [
            _column(text, names, level) for names, text in star_columns(level, strings(value["ColumnRef"]["fields"]))
        ]
    if any("A_Star" in part for part in value.get("A_Indirection", {}).get("indirection", ())):
        raise Refused("how many columns a row has is not known")
    names = strings(value.get("ColumnRef", {}).get("fields"))
    if not names or len(names) != len(value["ColumnRef"]["fields"]):
        return [Output("", "")]
    found = _column("", names, level)
    return [msgspec.structs.replace(found, name=target.get("name", names[-1]))]


def _column(text: str, names: list[str], level: Level) -> Output:
    found = definite(level, names)
    if found is None or found[0] not in level.items or found[0].target:
        return Output(text, names[-1])
    item, field = found
    keyed = field.mask.kind in KEYED and is_text(field.column)
    return Output(text, names[-1], item, field) if keyed else Output(text, names[-1])


def _sorts_by(body: Node, names: set[str]) -> bool:
    """Whether the order could be that of the real values: by position, or by a name that the output has."""
    for node in body.get("sortClause", []):
        key = node["SortBy"].get("node", {})
        if "A_Const" in key or ("ColumnRef" in key and strings(key["ColumnRef"].get("fields"))[-1:][0] in names):
            return True
    return False


def replacement(outputs: list[Output], hidden: dict[int, str]) -> tuple[str, list[Node]]:
    """The targets that stand for a star: keyed columns by their hidden names, which ``hidden`` has by place."""
    texts = [
        f"{hidden[place]} AS {identifier(output.name)}" if place in hidden else output.text
        for place, output in enumerate(outputs)
    ]
    text = ", ".join(texts)
    return text, parse_targets(text)
