"""``rewrite``: one text under a principal's masks, as it may go to the target or as a sentence why not."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from interlock.core.masking import MaskedColumn
from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.masking import guard
from interlock.protocols.postgres.masking.copying import copy
from interlock.protocols.postgres.masking.edits import Edits, Tokens
from interlock.protocols.postgres.masking.index import MaskingIndex
from interlock.protocols.postgres.masking.names import Names, Refused, Surroundings, Unknown, relation_names
from interlock.protocols.postgres.masking.raw_outputs import RawOutput
from interlock.protocols.postgres.masking.reading import Reading, Use
from interlock.protocols.postgres.masking.writes import STANDS_FOR_VALUE, WRITERS
from interlock.protocols.postgres.statements.interpretation import Interpretation
from interlock.protocols.postgres.statements.nodes import Node, literal, nodes_in


class Rewriting(msgspec.Struct, frozen=True):
    """What becomes of one text.

    ``text`` is what may be forwarded; ``refusal`` a sentence why nothing may, with its SQLSTATE and the character that
    it is about. ``unknown`` says that it names what the catalogue does not have, so that that must be read again first;
    a column that is not there even then is for the target to miss.
    ``masked`` is for the record. ``guarded`` says that it writes where the target's errors and notices could show a
    masked value, ``compares`` that the target compares real values for it. The sets are numbers of parameters: arrays
    of constants to compare, values to be written to masked columns, and those of them that must not be NULL.
    """

    text: bytes
    refusal: str = ""
    code: str = "42501"
    position: int = 0
    unknown: bool = False
    looks_first: bool = False
    """What it makes may be there already (IF NOT EXISTS), it could take a tag away from what is new, or it copies all
    columns, also those that are new, to where nothing masks them: the catalogue must be read first."""
    masked: tuple[MaskedColumn, ...] = ()
    guarded: bool = False
    compares: bool = False
    array_parameters: frozenset[int] = frozenset()
    written_parameters: frozenset[int] = frozenset()
    kept_parameters: frozenset[int] = frozenset()
    copies_in: bool = False
    """COPY data goes into masked columns."""
    gives_mask: bool = False
    """Arguments of EXECUTE look like what stands for a masked value."""
    outputs: int = 0
    """Masked columns in what it gives, those that the target masks."""
    changed: bool = False
    judged_by_mask: tuple[str, ...] = ()
    """Columns of which a condition, an order or a group sees the mask: people should be told."""
    raw_outputs: tuple[RawOutput, ...] = ()
    """Columns that the gateway has to mask in each row; then a row has ``width`` columns."""
    width: int = -1


def rewrite(text: bytes, interpretation: Interpretation, index: MaskingIndex, around: Surroundings) -> Rewriting:
    """``text``, which means ``interpretation``, as it may go to the target. Never raises."""
    try:
        trees = grammar.parse(text)
        guard.check_accesses(index, interpretation.meaning)
        guard.check_settings(interpretation)
        return _rewrite(text, trees, interpretation, index, around)
    except Refused as refused:
        return Rewriting(text, refusal=str(refused))
    except Unknown as unknown:
        position = len(text[: unknown.location].decode()) + 1 if unknown.location >= 0 else 0
        return Rewriting(text, str(unknown), unknown.code, position, unknown=True)
    except grammar.SyntaxRejected as rejected:
        return Rewriting(text, rejected.message, "42601", rejected.position)
    except RecursionError:
        return Rewriting(text, "The statement is nested too deeply to be masked.")
    except Exception:  # noqa: BLE001 - fail closed: what cannot be masked is not forwarded
        return Rewriting(text, "The statement could not be masked, so it is refused.")


def _rewrite(
    text: bytes, trees: list[Node], interpretation: Interpretation, index: MaskingIndex, around: Surroundings
) -> Rewriting:
    guard.check_code(index, trees)
    names = Names(index, around)
    reading = Reading(index, names, Edits(Tokens(text)), WRITERS)
    if len(trees) == 1 and "SelectStmt" in trees[0]:
        reading.answer(trees[0])
    else:
        for tree, read in zip(trees, interpretation.statements, strict=True):
            statement(reading, tree)
            names.made(relation_names(read.meaning.accesses, "create"))
    reading.finish()
    if (reading.array_parameters or reading.written_parameters) and any(map(_executes, trees)):
        raise Refused("Send PREPARE and EXECUTE one after the other: the values are looked at for a masked column.")
    return Rewriting(
        reading.changes.edits.apply(trees) if len(reading.changes.edits) else text,
        masked=reading.masked_columns(),
        guarded=reading.guarded,
        compares=reading.compares,
        array_parameters=frozenset(reading.array_parameters),
        written_parameters=frozenset(reading.written_parameters),
        kept_parameters=frozenset(reading.kept_parameters),
        copies_in=reading.copies_in,
        unknown=reading.unknown,
        gives_mask=any(map(_gives_mask, trees)),
        outputs=reading.outputs(),
        judged_by_mask=reading.columns_judged_by_mask(),
        changed=len(reading.changes.edits) > 0,
        looks_first=any(map(_looks_first, trees)) or (reading.takes_all and _copies(trees, interpretation)),
        raw_outputs=reading.raw_outputs,
        width=reading.width,
    )


def statement(reading: Reading, tree: Node) -> None:
    """Read one statement of a text."""
    reading.returns_masked = False
    kind, body = next(iter(tree.items()))
    reader = _STATEMENTS.get(kind)
    if reader is not None:
        reader(reading, body)
    elif kind in _HARMLESS:
        _resolve_all(reading, body)
    else:
        _refuse_masked(reading, kind, body)


def _looks_first(tree: Node) -> bool:
    return any(kind in _RETAGGING or body.get("if_not_exists") for kind, body in tree.items())


def _copies(trees: list[Node], interpretation: Interpretation) -> bool:
    """Whether what queries give may go somewhere else than to the client as rows."""
    writes = any(access.action != "select" for access in interpretation.meaning.accesses)
    return writes or any("CopyStmt" in tree for tree in trees)


def _query(kind: str) -> Callable[[Reading, Node], None]:
    return lambda reading, body: reading.query({kind: body})


def _inside(reading: Reading, body: Node) -> None:
    """PREPARE and DECLARE."""
    statement(reading, body["query"])


def _explain(reading: Reading, body: Node) -> None:
    """A plan shows the constants that real values are compared with, and how many rows have them."""
    statement(reading, body["query"])
    if any(used.use is Use.COMPARED for used in reading.used):
        raise Refused("EXPLAIN cannot show a comparison with a masked column: leave that condition out.")


def _create_table_as(reading: Reading, body: Node) -> None:
    reading.keeps_output = True
    inner = body["query"]
    if "ExecuteStmt" in inner:
        raise Refused("CREATE TABLE AS EXECUTE is refused for whom columns are masked: write the query itself.")
    statement(reading, inner)


def _view(reading: Reading, body: Node) -> None:
    """The view is made of the masks. It may show what is readable, and decide by nothing else: others would see it."""
    _create_table_as(reading, body)
    if reading.used:
        raise Refused("a view of masked columns cannot be made under a mask: name the columns it needs, without them.")


def _execute(reading: Reading, body: Node) -> None:
    reading.arguments(body.get("params"))


def _executes(tree: Node) -> bool:
    return "ExecuteStmt" in tree or "ExecuteStmt" in tree.get("ExplainStmt", {}).get("query", {})


def _refresh(reading: Reading, body: Node) -> None:
    """The view's query sees real values, and may fail at one."""
    relation, must_qualify = reading.names.resolve(body["relation"])
    if relation is not None:
        reading.guarded = reading.guarded or reading.index.is_guarded(relation)
        if must_qualify:
            reading.changes.qualify(body["relation"], relation)


def _gives_mask(tree: Node) -> bool:
    arguments = tree.get("ExecuteStmt", {}).get("params")
    return any(text is None or STANDS_FOR_VALUE.search(text.encode()) for text in map(literal, arguments or ()))


def _call(reading: Reading, body: Node) -> None:
    reading.arguments(body.get("funccall"))


def _resolve_all(reading: Reading, body: Node) -> None:
    """Statements that show no row, whatever relation they are about."""


def _refuse_masked(reading: Reading, kind: str, body: Node) -> None:
    """Definitions and the like: they can move values out of a mask's reach, or quote them in errors."""
    if kind in ("CommentStmt", "SecLabelStmt"):
        names = {text for node in nodes_in(body) for text in node.values() if isinstance(text, str)}
        if any(reading.index.is_masked(relation) and relation.name in names for relation in reading.index.relations):
            raise Refused("comments and labels of what has masked columns cannot be changed under a mask.")
    if body.get("kind") == "OBJECT_COLLATION":
        raise Refused("CREATE COLLATION is refused for whom columns are masked: it decides what counts as equal.")
    if kind in ("AlterRoleSetStmt", "AlterDatabaseSetStmt"):
        raise Refused("settings of roles and databases are not changed under a mask: later sessions would have them.")
    if kind == "CreateDomainStmt" and "collClause" in body:
        raise Refused("COLLATE in CREATE DOMAIN is refused for whom columns are masked: it decides what is equal.")
    if body.get("renameType") == "OBJECT_SCHEMA" and _holds_masked(reading.index, body.get("subname", "")):
        raise Refused("a schema that has tables with masked columns cannot be renamed under a mask.")
    reading.defines = True
    reading.arguments(body)
    reading.defines = False


def _holds_masked(index: MaskingIndex, schema: str) -> bool:
    return any(relation.schema == schema and index.is_masked(relation) for relation in index.relations)


_STATEMENTS: Final[Mapping[str, Callable[[Reading, Node], None]]] = {
    **{kind: _query(kind) for kind in ("SelectStmt", *WRITERS)},
    "PrepareStmt": _inside,
    "DeclareCursorStmt": _inside,
    "ExplainStmt": _explain,
    "CreateTableAsStmt": _create_table_as,
    "ViewStmt": _view,
    "CopyStmt": copy,
    "ExecuteStmt": _execute,
    "CallStmt": _call,
    "RefreshMatViewStmt": _refresh,
}
_RETAGGING: Final = frozenset(("RenameStmt", "AlterObjectSchemaStmt", "AlterTableStmt", "CommentStmt", "SecLabelStmt"))
"""What changes names, comments and labels, by which columns are tagged."""
_HARMLESS: Final = frozenset(("LockStmt", "TruncateStmt", "DropStmt", "VacuumStmt", "GrantStmt"))
