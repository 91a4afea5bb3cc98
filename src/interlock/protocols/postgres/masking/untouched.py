"""Texts that pass under masks as they are, known by what they mean: the short way for what no mask is about.

Texts that differ in their constants only share a meaning, so a client that writes its values into each text need not
have each one read. Nothing takes this way that ``rewrite`` would change or refuse.
"""

import re
from functools import lru_cache
from typing import Final

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.postgres.masking.guard import check_function
from interlock.protocols.postgres.masking.index import MaskingIndex
from interlock.protocols.postgres.masking.levels import HIDDEN_PREFIX, SYSTEM_COLUMNS
from interlock.protocols.postgres.masking.names import Names, Refused, Surroundings, Unknown
from interlock.protocols.postgres.statements.interpretation import Interpretation

_VERBS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_ACTIONS: Final = frozenset({"select", "insert", "update", "update-all", "delete", "delete-all", "lock"})
_NOT_IN_MEANING: Final = (HIDDEN_PREFIX.encode(), b"u&", b"tablesample")
"""The gateway's own names, escapes that could spell any name, and methods of sampling, which are functions."""
_ALWAYS_THERE: Final = SYSTEM_COLUMNS | {"*"}
_QUERY: Final = re.compile(rb"\b(?:select|table)\b")
_WORD: Final = re.compile(rb"[a-z0-9_$]+")


def passes(text: bytes, interpretation: Interpretation, index: MaskingIndex, around: Surroundings) -> bool:
    """Whether ``rewrite`` would give the text back as it is; False when that is not known without reading it."""
    if len(interpretation.statements) != 1 or not _passes(interpretation.meaning, index, around):
        return False
    if interpretation.statements[0].settings or not text.isascii():
        return False
    folded = text.lower()
    if _copies_star(folded, interpretation.meaning):
        return False
    if any(map(folded.__contains__, _NOT_IN_MEANING)):
        return False
    if b'"' in folded and interpretation.meaning.facts["functions"]:
        return False  # The names of functions are known in lower case only.
    return not index.unsafe_attributes or _unsafe_words(index).isdisjoint(_WORD.findall(folded))


def _copies_star(folded: bytes, meaning: Meaning) -> bool:
    """Whether there may be a star that is copied, so that no description says what it stands for."""
    copied = meaning.verb != "SELECT" and _QUERY.search(folded) is not None
    return copied and any("*" in access.columns for access in meaning.accesses)


@lru_cache(maxsize=64)
def _unsafe_words(index: MaskingIndex) -> frozenset[bytes]:
    return frozenset(name.encode() for name in index.unsafe_attributes)


@lru_cache(maxsize=4096)
def _passes(meaning: Meaning, index: MaskingIndex, around: Surroundings) -> bool:
    if meaning.verb not in _VERBS or meaning.refusal or index.unsafe_operators or index.unsafe_types:
        return False
    if not all(_WORD.fullmatch(name.encode()) for name in index.unsafe_attributes):
        return False
    names = Names(index, around)
    functions = meaning.facts.get("functions")
    if not isinstance(functions, tuple):
        return False
    try:
        for function in functions:
            schema, _, name = function.rpartition(".")
            check_function(index, schema, name)
        return all(_is_untouched(access, index, names) for access in meaning.accesses)
    except (Refused, Unknown):
        return False


def _is_untouched(access: Access, index: MaskingIndex, names: Names) -> bool:
    """A known relation of others, with these columns, without masks on it or behind it and without code."""
    if access.kind is not ResourceKind.TABLE or access.action not in _ACTIONS:
        return False
    schema, name = access.path
    relation, must_qualify = names.resolve({"schemaname": schema, "relname": name})
    return (
        relation is not None
        and all(name in _ALWAYS_THERE or relation.column(name) for name in access.columns)
        and not must_qualify
        and not relation.rewrites
        and not index.is_guarded(relation)
        and not index.runs_casts(relation)
    )
