"""Which fields of a document are masked: selectors made into states that a walk through the document goes through.

A selector without a slash in front is a name at any depth. One with a slash is a path from the root (like a JSON
Pointer, RFC 6901, with ``~1`` for a slash and ``~0`` for a tilde in a name), in which ``*`` stands for any name or
element. Arrays on the way are gone through, with or without a ``*`` for their elements: whoever can make a server
answer with a list of records must not get around a path by it.

Names are compared without regard to case (Unicode case folding of the compatibility form) and to blanks around them.
Nothing here knows a format.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from interlock.core.masking import ColumnMask

ANY: Final = "*"
_PARTS: Final = re.compile(r"[^][.]+")
_INVISIBLE: Final = "\ufeff\u200b\u200c\u200d\u2060\x00"
_MAX_REMEMBERED: Final = 512
_MAX_REMEMBERED_BYTES: Final = 64

Position = tuple[int, int]
"""A path by its number, and how many of its names have been met."""


def comparable(name: str) -> str:
    """The form of a field's name in which it is compared."""
    if name.isascii():
        return name.strip().lower().strip(_INVISIBLE)
    return unicodedata.normalize("NFKC", name).casefold().strip().strip(_INVISIBLE).strip()


def _segments(selector: str) -> tuple[str, ...]:
    return tuple(comparable(part.replace("~1", "/").replace("~0", "~")) for part in selector[1:].split("/"))


class FieldSelectors:
    """All selectors of one masking. ``masks_anything`` says that a field may be masked whatever its name is."""

    def __init__(self, fields: Mapping[str, ColumnMask]) -> None:
        self.names: dict[str, ColumnMask] = {}
        paths: dict[tuple[str, ...], ColumnMask] = {}
        for selector, mask in fields.items():
            if selector.startswith("/"):
                paths[_segments(selector)] = _both(paths.get(_segments(selector)), mask)
            else:
                self.names[comparable(selector)] = _both(self.names.get(comparable(selector)), mask)
        self.everything = self.names.pop(ANY, None)
        """The mask that is on every value of every body."""
        self.paths = list(paths.items())
        self.by_last_name = dict(self.names)
        """The strongest mask that a field of a name may have, wherever it is."""
        for path, mask in self.paths:
            self.by_last_name[path[-1]] = _both(self.by_last_name.get(path[-1]), mask)
        self.masks_anything = self.everything is not None or ANY in self.by_last_name
        self._states: dict[tuple[frozenset[Position], ColumnMask | None], FieldState] = {}
        self.root = self.state(frozenset((number, 0) for number in range(len(self.paths))), None)

    def state(self, positions: frozenset[Position], mask: ColumnMask | None) -> "FieldState":
        """The one state with these paths under way and this mask."""
        key = (positions, mask)
        known = self._states.get(key)
        if known is None:
            known = FieldState(self, positions, mask)
            if len(self._states) < _MAX_REMEMBERED:
                self._states[key] = known
        return known


class FieldState:
    """A place in a document: the mask on the value there, if any, and the paths that lead on from it."""

    def __init__(self, selectors: FieldSelectors, positions: frozenset[Position], mask: ColumnMask | None) -> None:
        self.mask = mask
        self._selectors = selectors
        self._positions = positions
        self._members: dict[bytes, FieldState] = {}
        self._element: FieldState | None = None

    def member(self, name: bytes) -> "FieldState":
        """The place of the member ``name``, in UTF-8, of an object that is here."""
        known = self._members.get(name)
        if known is None:
            known = self._named(name.decode(errors="replace"))
            if len(self._members) < _MAX_REMEMBERED and len(name) <= _MAX_REMEMBERED_BYTES:
                self._members[name] = known
        return known

    def element(self) -> "FieldState":
        """The place of any element of an array that is here."""
        if self._element is None:
            self._element = self._stepped(ANY, self._positions)
        return self._element

    def document(self) -> "FieldState":
        """The place of a document that is written in a text here: paths lead on, and begin anew."""
        return self._selectors.state(self._positions | self._selectors.root._positions, None)

    def _named(self, name: str) -> "FieldState":
        """The place of a name, which may be a path itself: ``a.b`` and ``a[b][0]`` mean ``b`` in ``a``, too."""
        whole = self._stepped(comparable(name), frozenset())
        parts = _PARTS.findall(name)
        if whole.mask is not None or parts == [name]:
            return whole
        place = self
        for part in parts:
            place = place.element() if part.isdigit() else place._stepped(comparable(part), frozenset())
            if place.mask is not None:
                break
        return self._selectors.state(whole._positions | place._positions, place.mask if parts else None)

    def _stepped(self, name: str, staying: frozenset[Position]) -> "FieldState":
        selectors = self._selectors
        mask = selectors.everything
        if name in selectors.names:
            mask = _both(mask, selectors.names[name])
        under_way = set(staying)
        for number, met in self._positions:
            path, path_mask = selectors.paths[number]
            if path[met] in (name, ANY):
                if met + 1 == len(path):
                    mask = _both(mask, path_mask)
                else:
                    under_way.add((number, met + 1))
        return selectors.state(frozenset(under_way), mask)


def _both(one: ColumnMask | None, other: ColumnMask) -> ColumnMask:
    return other if one is None else one.stronger(other)
