"""COPY under a mask: out of a relation it becomes COPY of a query; into one, its data are looked at as they pass."""

from interlock.core.catalogue import RelationKind
from interlock.core.masking import MaskKind
from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.masking.levels import Item, Level
from interlock.protocols.postgres.masking.names import Refused
from interlock.protocols.postgres.masking.quoting import identifier, qualified
from interlock.protocols.postgres.masking.reading import Reading
from interlock.protocols.postgres.masking.sources import masked_select, name_extent
from interlock.protocols.postgres.statements.nodes import Node, strings


def copy(reading: Reading, body: Node) -> None:
    """A CopyStmt."""
    if "query" in body:
        reading.query(body["query"])
    elif body.get("is_from"):
        _copy_in(reading, body)
    else:
        _copy_out(reading, body)


def _copy_in(reading: Reading, body: Node) -> None:
    relation, must_qualify = reading.names.resolve(body["relation"])
    if relation is None:
        return
    if must_qualify:
        reading.changes.qualify(body["relation"], relation)
    item = reading.item_of(relation, body["relation"], target=True)
    columns = strings(body.get("attlist")) or item.columns or ()
    reading.named([item], columns)
    if reading.index.is_guarded(relation):
        reading.guarded = True
    if any(column in item.fields for column in columns):
        reading.copies_in = True
    level = Level()
    level.items.append(item)
    reading.visit(body.get("whereClause"), level)
    if item.fields and "whereClause" in body:
        raise Refused(f"Leave out the WHERE of COPY: {relation.name} has masked columns.")


def _copy_out(reading: Reading, body: Node) -> None:
    relation, must_qualify = reading.names.resolve(body["relation"])
    if relation is None:
        return
    item = reading.item_of(relation, body["relation"])
    columns = strings(body.get("attlist"))
    reading.named([item], columns)
    wanted = columns or [column.name for column in relation.columns if not column.generated]
    if not item.fields:
        if must_qualify:
            reading.changes.qualify(body["relation"], relation)
        reading.takes_all = reading.takes_all or not columns
        return
    if any(reading.copied(item, name).kind is MaskKind.FORBID for name in wanted if name in item.fields):
        raise Refused(f"Name the columns of {relation.name} to copy: not all of them may be seen.")
    text = f"(SELECT {', '.join(map(identifier, wanted))} FROM {_masked(item)})"
    _splice(reading, body, text)


def _masked(item: Item) -> str:
    """COPY of a table leaves out the rows of what inherits from it; of a partitioned one it is not possible at all."""
    relation = item.relation
    assert relation is not None
    only = "" if relation.kind in (RelationKind.PARTITIONED, RelationKind.VIEW) else "ONLY "
    name = qualified(relation.schema, relation.name)
    return f"({masked_select(item, '')} FROM {only}{name}) AS {identifier(item.qualifier)}"


def _splice(reading: Reading, body: Node, text: str) -> None:
    tokens = reading.changes.edits.tokens
    first, behind = name_extent(body["relation"], tokens)
    if "attlist" in body:
        behind = tokens.behind_brackets(behind)
    reading.changes.edits.splice(first, behind, text)
    (statement,) = grammar.parse(f"COPY {text} TO STDOUT".encode())
    del body["relation"]
    body.pop("attlist", None)
    body["query"] = statement["CopyStmt"]["query"]
