"""What stands in the place of a masked value, by mask and by kind of value.

The same as for the columns of a database: a text stays a text, and a number becomes a number or nothing.
"""

from collections.abc import Callable
from typing import Final

from interlock.core.keyed_masks import hasher, tokeniser
from interlock.core.masking import ColumnMask, MaskKind
from interlock.protocols.http.bodies.refusal import BodyRefused

STARS: Final = "***"
NULL: Final = "null"
_PARTIAL_FROM: Final = 8
_PARTIAL_TO: Final = 64
_SHOWN: Final = 4


class Substitutes:
    """Under one key. Each function raises ``BodyRefused`` when the field must not occur at all."""

    def __init__(self, key: bytes) -> None:
        self._keyed: dict[MaskKind, Callable[[bytes], bytes]] = {
            MaskKind.HASH: hasher(key),
            MaskKind.TOKENISE: tokeniser(key),
        }

    def text(self, mask: ColumnMask, value: str | None) -> str | None:
        """For a text; None stands for nothing at all. ``value`` None is one that is too long to be held."""
        kind = permitted(mask)
        if kind is MaskKind.NULL:
            return None
        if value is None or kind is MaskKind.REDACT:
            return STARS
        if kind is MaskKind.PARTIAL:
            return partial_text(value)
        return self._keyed[kind](value.encode(errors="surrogatepass")).decode(errors="replace")

    def number(self, mask: ColumnMask, value: str) -> str:
        """For a number as it is written in JSON, also as JSON."""
        return partial_number(value) if permitted(mask) is MaskKind.PARTIAL else NULL

    def structure(self, mask: ColumnMask) -> str | None:
        """For an object, an array or the like, as ``text`` has it."""
        return None if permitted(mask) is MaskKind.NULL else STARS


def permitted(mask: ColumnMask) -> MaskKind:
    """The mask's kind. Raises ``BodyRefused`` for a field that must not occur."""
    if mask.kind is MaskKind.FORBID:
        raise BodyRefused(f"it has a field that must not be shown, even masked ({', '.join(mask.rules) or 'policy'})")
    return mask.kind


def partial_text(value: str) -> str:
    """The domain of an e-mail address; the last four characters of anything else that has eight to 64."""
    name, at, domain = value.partition("@")
    if at and domain and "@" not in domain and " " not in name + domain:
        return f"{STARS}@{domain}"
    return STARS + value[-_SHOWN:] if _PARTIAL_FROM <= len(value) <= _PARTIAL_TO else STARS


def partial_number(value: str) -> str:
    """The last four digits of a whole number that has eight or more; otherwise null."""
    if value.isdigit() and len(value) >= _PARTIAL_FROM:
        return str(int(value[-_SHOWN:]))
    return NULL
