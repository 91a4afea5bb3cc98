"""Which fields of answers are masked: for the record, and under the names that they have in one answer only, as with
GraphQL's aliases.
"""

import functools
from collections.abc import Mapping

import msgspec

from interlock.core.masking import ColumnMask, MaskedColumn, Masking
from interlock.protocols.http.bodies.fields import FieldSelectors, FieldState

_MAX_NESTED_LISTS = 4


@functools.lru_cache(maxsize=1024)
def masked_fields(masking: Masking | None) -> tuple[MaskedColumn, ...]:
    """The masks that lie on fields of an answer, by selector: whether it has them, shows only when it is there."""
    if masking is None:
        return ()
    found = sorted(masking.fields.items())
    return tuple(MaskedColumn("", "", selector, mask.kind.word, mask.rules) for selector, mask in found)


def masking_with(masking: Masking, fields: Mapping[str, tuple[str, ...]]) -> Masking:
    """The masking of an answer in which a field called a key of ``fields`` may be any of the values.

    The values are paths from the root by real names, without elements of arrays. What is masked under one of them is
    masked under the key, at any depth. Masks are only ever added.
    """
    if not fields or not masking.fields:
        return masking
    selectors = FieldSelectors(masking.fields)
    added = {name: mask for name, paths in fields.items() if (mask := _strongest(selectors, paths)) is not None}
    if not added:
        return masking
    both = dict(masking.fields)
    for name, mask in added.items():
        both[name] = mask.stronger(both[name]) if name in both else mask
    return msgspec.structs.replace(masking, fields=both)


def _strongest(selectors: FieldSelectors, paths: tuple[str, ...]) -> ColumnMask | None:
    strongest: ColumnMask | None = None
    for path in paths:
        for state in _states(selectors, path):
            if state.mask is not None:
                strongest = state.mask if strongest is None else strongest.stronger(state.mask)
    return strongest


def _states(selectors: FieldSelectors, path: str) -> set[FieldState]:
    """Where ``path`` can lead, as any value on the way may be in an array, or in an array of arrays."""
    states = {selectors.root}
    for name in path.split("/")[1:]:
        states = {state.member(name.encode()) for state in _with_elements(states)}
    return states


def _with_elements(states: set[FieldState]) -> set[FieldState]:
    reached = set(states)
    for _ in range(_MAX_NESTED_LISTS):
        states = {state.element() for state in states}
        reached |= states
    return reached
