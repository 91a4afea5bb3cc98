"""A relation with masked columns as a FROM item: the text that stands in its place.

The plain form is a subquery of the readable columns and mask expressions. Where a permitted comparison needs a real
value, the relation itself stands beside the masked one under names that no statement can use.
"""

from typing import Final

from interlock.core.masking import MaskKind
from interlock.protocols.postgres.masking.edits import Edits, Tokens, parse_from_item, replace
from interlock.protocols.postgres.masking.expressions import mask_expression
from interlock.protocols.postgres.masking.index import MaskedField
from interlock.protocols.postgres.masking.levels import HIDDEN_PREFIX, Item
from interlock.protocols.postgres.masking.quoting import identifier, qualified
from interlock.protocols.postgres.statements.nodes import Node, strings

_HIDDEN_COLUMN: Final = f"{HIDDEN_PREFIX}_c"


class MaskedSource:
    """A masked relation where a FROM list names it. ``node`` is the wrapped RangeVar or RangeTableSample."""

    def __init__(self, node: Node, item: Item) -> None:
        self.node = node
        self.item = item

    def edit(self, edits: Edits) -> None:
        """Put the masked form in its place, in the text and in the tree."""
        first, behind, alias, sample = _extent(self.node, edits.tokens)
        relation = self._relation()
        alias = alias or f"AS {identifier(self.item.qualifier)}"
        text = self._beside(relation + sample, alias) if self.item.hidden else self._alone(relation + sample, alias)
        replace(self.node, parse_from_item(text))
        if edits.tokens.word(first - 1) == "table":  # TABLE t: short for SELECT * FROM t
            first, text = first - 1, f"SELECT * FROM {text}"
        edits.splice(first, behind, text)

    def hidden_reference(self, field: MaskedField) -> str:
        """How a permitted comparison names a real column."""
        return hidden_reference(self.item, field)

    def _relation(self) -> str:
        relation = self.item.relation
        assert relation is not None
        only = "" if range_var(self.node).get("inh") else "ONLY "
        return only + qualified(relation.schema, relation.name)

    def _alone(self, relation: str, alias: str) -> str:
        return f"({masked_select(self.item, '')} FROM {relation}) {alias}"

    def _beside(self, relation: str, alias: str) -> str:
        columns = self.item.relation.columns if self.item.relation else ()
        shown = [f"{identifier(column.name)} AS {_hidden(column.number)}" for column in columns]
        real = ", ".join([*shown, *map(identifier, sorted(self.item.system_columns))])
        hidden = identifier(self.item.hidden)
        masked = masked_select(self.item, self.item.hidden)
        return f"((SELECT {real} FROM {relation}) AS {hidden} CROSS JOIN LATERAL ({masked}) {alias})"


def hidden_reference(item: Item, field: MaskedField) -> str:
    """A real column of a relation that stands hidden beside its masked form."""
    return f"{identifier(item.hidden)}.{_hidden(field.column.number)}"


def _hidden(number: int) -> str:
    return identifier(f"{_HIDDEN_COLUMN}{number}")


def masked_select(item: Item, hidden: str) -> str:
    """``SELECT`` of a relation's columns, the masked ones as expressions and forbidden ones left out."""
    relation = item.relation
    assert relation is not None
    fields = {field.column.number: field for field in item.fields.values()}
    shown = []
    for column in relation.columns:
        field = fields.get(column.number)
        if field is not None and field.mask.kind is MaskKind.FORBID:
            continue
        name = identifier(column.name)
        reference = f"{identifier(hidden)}.{_hidden(column.number)}" if hidden else name
        expression = reference if field is None else mask_expression(column, field.mask.kind, reference, field.paths)
        shown.append(expression if expression == name else f"{expression} AS {name}")
    return f"SELECT {', '.join(shown)}"


def range_var(node: Node) -> Node:
    """The body of a wrapped RangeVar, or of the one inside a RangeTableSample."""
    body = node["RangeTableSample"]["relation"]["RangeVar"] if "RangeTableSample" in node else node["RangeVar"]
    return dict(body)


def name_extent(body: Node, tokens: Tokens) -> tuple[int, int]:
    """The tokens of a RangeVar's name with its ONLY or star: the first, and the one behind."""
    first = tokens.at(body["location"])
    behind = tokens.behind_name(first, 1 + ("schemaname" in body) + ("catalogname" in body))
    if body.get("inh"):
        return first, behind + (tokens.word(behind) == "*")
    if tokens.word(first - 1) == "(" and tokens.word(first - 2) == "only":
        return first - 2, behind + 1
    return first - (tokens.word(first - 1) == "only"), behind


def _extent(node: Node, tokens: Tokens) -> tuple[int, int, str, str]:
    """The first token, the one behind, the text of the alias and that of the TABLESAMPLE clause."""
    body = range_var(node)
    first, behind_name = name_extent(body, tokens)
    alias = body.get("alias", {})
    behind = tokens.behind_alias(behind_name, named=bool(alias), columns="colnames" in alias)
    alias_text = tokens.slice(behind_name, behind)
    if "RangeTableSample" not in node:
        return first, behind, alias_text, ""
    method = len(strings(node["RangeTableSample"].get("method")))
    end = tokens.behind_brackets(tokens.behind_name(behind + 1, method))
    if tokens.word(end) == "repeatable":
        end = tokens.behind_brackets(end + 1)
    return first, end, alias_text, " " + tokens.slice(behind, end)
