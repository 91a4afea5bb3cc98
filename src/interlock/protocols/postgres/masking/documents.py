"""The expression that masks a JSON document at some paths and leaves the rest of it readable.

A path goes through objects by key and through arrays into each element. Where a document has another shape than the
path needs, what is there is masked as a whole: a value that has moved is not shown.
"""

from collections.abc import Iterable
from typing import Final

from interlock.protocols.postgres.masking.quoting import text_literal

Path = tuple[str, ...]
_STAND_IN: Final = "'\"***\"'::pg_catalog.jsonb"
_EMPTY: Final = {"object": "'{}'::pg_catalog.jsonb", "array": "'[]'::pg_catalog.jsonb"}


def pointed(pointer: str) -> Path:
    """The keys of a JSON Pointer (RFC 6901). Array indexes are none of them: arrays are gone through."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def masked_document(document: str, paths: Iterable[Path]) -> str:
    """SQL for the ``jsonb`` that ``document`` names, with ``***`` at every path."""
    return _masked(document, [path for path in paths if path], 0)


def _masked(document: str, paths: list[Path], depth: int) -> str:
    if () in paths or not paths:
        return f"CASE pg_catalog.jsonb_typeof({document}) WHEN 'null' THEN {document} ELSE {_STAND_IN} END"
    item = f"_interlock_a{depth}.item"
    elements = (
        f"(SELECT coalesce(pg_catalog.jsonb_agg({_object(item, paths, depth)} ORDER BY _interlock_a{depth}.place),"
        f" {_EMPTY['array']}) FROM pg_catalog.jsonb_array_elements({document})"
        f" WITH ORDINALITY AS _interlock_a{depth}(item, place))"
    )
    return _object(document, paths, depth, f" WHEN 'array' THEN {elements}")


def _object(document: str, paths: list[Path], depth: int, otherwise: str = "") -> str:
    """An object with its members masked; ``otherwise`` is what becomes of other shapes that can hold members."""
    name = f"_interlock_o{depth}"
    members = " ".join(
        f"WHEN {text_literal(key)} THEN {_masked(f'{name}.value', rest, depth + 1)}" for key, rest in _by_key(paths)
    )
    masked = (
        f"(SELECT coalesce(pg_catalog.jsonb_object_agg({name}.key, CASE {name}.key {members} ELSE {name}.value END),"
        f" {_EMPTY['object']}) FROM pg_catalog.jsonb_each({document}) AS {name}(key, value))"
    )
    return (
        f"CASE pg_catalog.jsonb_typeof({document}) WHEN 'object' THEN {masked} WHEN 'null' THEN {document}"
        f"{otherwise} ELSE {_STAND_IN} END"
    )


def _by_key(paths: list[Path]) -> list[tuple[str, list[Path]]]:
    keys = dict.fromkeys(path[0] for path in paths)
    return [(key, [path[1:] for path in paths if path[0] == key]) for key in keys]
