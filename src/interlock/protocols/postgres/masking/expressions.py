"""The expression that stands for a masked column: of the column's own type, and never failing for any value.

Every name in an expression is qualified, so that no object of the target's users can take a built-in one's place. A
key never enters a statement: what needs one (``hash``, ``tokenise``) is ``redact`` here.
"""

from collections.abc import Callable
from typing import Final

from interlock.core.catalogue import Column
from interlock.core.masking import MaskKind
from interlock.protocols.postgres.masking.documents import Path, masked_document
from interlock.protocols.postgres.masking.quoting import qualified

PLACEHOLDER: Final = "***"
"""What stands for a masked text. Texts with it are never written over a masked column."""

_TEXT: Final = frozenset({"text", "varchar", "bpchar", "citext"})
_WHOLE_NUMBERS: Final = frozenset({"int4", "int8", "numeric"})
_DATES: Final = frozenset({"date", "timestamp", "timestamptz"})


def is_text(column: Column) -> bool:
    """Whether the column's values are plain text, the same bytes in the text and the binary format."""
    return column.type_name in _TEXT


def shows_nothing(column: Column, kind: MaskKind) -> bool:
    """Whether the masked column is always NULL."""
    if kind >= MaskKind.NULL:
        return True
    partly = kind is MaskKind.PARTIAL and column.type_name in _WHOLE_NUMBERS | _DATES
    return not (is_text(column) or partly or column.type_name in ("json", "jsonb"))


def mask_expression(column: Column, kind: MaskKind, reference: str, paths: tuple[Path, ...] = ()) -> str:
    """SQL for ``column``, which ``reference`` names, masked with ``kind``: at ``paths`` only where there are some."""
    type_name = type_of(column)
    if paths and kind is not MaskKind.FORBID:
        document = masked_document(f"{reference}::pg_catalog.jsonb", paths)
        return f"(CASE WHEN {reference} IS NULL THEN NULL ELSE {document} END)::{type_name}"
    if shows_nothing(column, kind):
        return f"NULL::{type_name}"
    if kind is MaskKind.PARTIAL and column.type_name in _PARTIAL:
        return f"({_PARTIAL[column.type_name](reference)})::{type_name}"
    placeholder = '"***"' if column.type_name in ("json", "jsonb") else PLACEHOLDER
    return f"(CASE WHEN {reference} IS NULL THEN NULL ELSE '{placeholder}' END)::{type_name}"


def type_of(column: Column) -> str:
    """The column's type as SQL, without a length; pseudo-types cannot be cast to, so text stands for them."""
    return "pg_catalog.text" if column.category == "P" else qualified(column.type_schema, column.type_name)


def _partial_text(reference: str) -> str:
    """The domain of an e-mail address; the last four characters of anything else that has eight to 64."""
    text = f"{reference}::pg_catalog.text"
    parts = f"({text} COLLATE pg_catalog.\"C\"), '@'"
    domain = f"pg_catalog.split_part({parts}, 2)"
    is_address = (
        f"{domain} OPERATOR(pg_catalog.<>) '' AND pg_catalog.split_part({parts}, 3) OPERATOR(pg_catalog.=) ''"
        f" AND pg_catalog.strpos(({text} COLLATE pg_catalog.\"C\"), ' ') OPERATOR(pg_catalog.=) 0"
    )
    return (
        f"CASE WHEN {reference} IS NULL THEN NULL"
        f" WHEN {is_address} THEN '***@' OPERATOR(pg_catalog.||) {domain}"
        f" WHEN pg_catalog.char_length({text}) BETWEEN 8 AND 64 THEN '***' OPERATOR(pg_catalog.||)"
        f" pg_catalog.right({text}, 4) ELSE '***' END"
    )


def _partial_number(reference: str) -> str:
    """The last four digits of what has eight or more."""
    return f"CASE WHEN {reference} OPERATOR(pg_catalog.>=) 10000000 THEN {reference} OPERATOR(pg_catalog.%) 10000 END"


def _partial_date(reference: str) -> str:
    """The year, of what ``date_trunc`` takes without an error."""
    return (
        f"CASE WHEN {reference} OPERATOR(pg_catalog.>=) pg_catalog.make_date(-4700, 1, 1)"
        f" AND {reference} OPERATOR(pg_catalog.<) pg_catalog.make_date(290000, 1, 1)"
        f" THEN pg_catalog.date_trunc('year', {reference}) END"
    )


_PARTIAL: Final[dict[str, Callable[[str], str]]] = {
    **dict.fromkeys(_TEXT, _partial_text),
    **dict.fromkeys(_WHOLE_NUMBERS, _partial_number),
    **dict.fromkeys(_DATES, _partial_date),
}
