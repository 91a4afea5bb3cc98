"""What is counted of documents in answers: of each field, which values were clear and which were masked.

A document has no columns that a target declares. Whether a value was masked is judged by the masks that were in force
for whoever asked, as the ledger has them, and by what the value looks like; where that leaves it open, it is unclear.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from interlock.core.masking import MaskKind

_STARS: Final = "***"
_HASHED: Final = re.compile("hash:[0-9a-f]{24}")
_HASH: Final = MaskKind.HASH.word
_PARTIAL: Final = MaskKind.PARTIAL.word


class FieldMasks:
    """The masks on fields that were in force for one operation, from lines like ``/customer/*/email redact (rule)``.

    Names are compared without their case. A path leads through arrays also where it does not name their elements.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        parts = (line.rpartition(" (")[0].rpartition(" ") for line in lines)
        self._masks = [(_steps(selector), selector.startswith("/"), kind) for selector, _, kind in parts]

    def of(self, path: str) -> frozenset[str]:
        """The words of the masks that lie on a field, or on what it is in."""
        steps = _steps(path)
        return frozenset(kind for selector, rooted, kind in self._masks if _lies_on(selector, rooted, steps))


def _steps(path: str) -> tuple[str, ...]:
    parts = path.removeprefix("/").split("/")
    return tuple(part.replace("~2", "=").replace("~1", "/").replace("~0", "~").strip().casefold() for part in parts)


def _lies_on(selector: tuple[str, ...], rooted: bool, steps: tuple[str, ...]) -> bool:
    if not rooted:
        return selector[0] == "*" or selector[0] in steps
    places = {0}
    for step in steps:
        stays = places if step == "*" else set()
        places = stays | {place + 1 for place in places if selector[place] in (step, "*")}
        if len(selector) in places:
            return True
    return False


class FieldCounts(msgspec.Struct):
    """What is counted of one field in one answer. ``clear`` and ``unclear`` hold fingerprints of different values."""

    masked: int = 0
    clear: int = 0
    unclear: int = 0
    prints: set[bytes] = msgspec.field(default_factory=set)


class DocumentFields:
    """The fields of all documents in one answer."""

    def __init__(self, masks: tuple[str, ...]) -> None:
        self._masks = FieldMasks(masks)
        self._kinds: dict[str, frozenset[str]] = {}
        self.counts: dict[str, FieldCounts] = {}

    def add(self, path: str, value: str | None, fingerprint: bytes) -> None:
        """A value went to the client."""
        kinds = self._kinds.get(path)
        if kinds is None:
            kinds = self._kinds[path] = self._masks.of(path)
        if value is None and not kinds:
            return
        counts = self.counts.setdefault(path or "/", FieldCounts())
        if kinds and looks_masked(value, kinds):
            counts.masked += 1
            return
        if kinds or (value is not None and _STARS in value):
            counts.unclear += 1
        else:
            counts.clear += 1
        counts.prints.add(fingerprint)

    def settle(self, masked_values: int) -> None:
        """The answer is over; ``masked_values`` is how many the gateway has masked in it, on its word in the ledger.

        With fewer than there look to be, it is not known which ones were.
        """
        if sum(counts.masked for counts in self.counts.values()) <= masked_values:
            return
        for counts in self.counts.values():
            counts.unclear += counts.masked
            counts.masked = 0


def looks_masked(value: str | None, kinds: frozenset[str]) -> bool:
    """Whether a value looks like what one of these masks makes; nothing tells a token from a value."""
    if value is None or value == _STARS:
        return True
    if _HASH in kinds and _HASHED.fullmatch(value):
        return True
    return _PARTIAL in kinds and value.startswith(_STARS)
