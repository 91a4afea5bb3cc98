"""Finds masked fields in texts that are no document: pieces of JSON, literals of programs, documents in prose.

A field is a quoted name with a colon, an equals sign or an arrow behind it, and then a value: a quoted text, something
in brackets, or a word. Quotes may have backslashes in front. Names are compared as elsewhere, but for escapes in them.
"""

import re
from collections.abc import Mapping
from typing import Final

from interlock.core.content.text_masker import FIELD
from interlock.core.detection import Finding
from interlock.core.masking import ColumnMask
from interlock.protocols.http.bodies.substitutes import permitted

_BEGINS: Final = rb"(?<!\\)(\\*)([\"'])[ \t]*((?i:%b))[ \t]*\1\2\s*(?::|=>?)\s*"
_COMES: Final = rb"(?<!\\)(\\*)([\"'])[ \t]*(?i:%b)[ \t]*(?:\1?(?:\2\s*(?:=|(?::|=>?)\s*(?:\\+)?)?)?)?\Z"
_HINT: Final = rb"'[ \t]*(?i:%b)[ \t]*'"
_WORD: Final = re.compile(rb"[^\s,;}\])\"']*")
_QUOTE: Final = re.compile(rb"(?<!\\)(\\*)([\"'])")
_BRACKET: Final = re.compile(rb"[\[{(\]})]|(?<!\\)(\\*)([\"'])")
_LONGEST_BEGINNING: Final = 512


class LooseFields:
    """The names of one masking, and the strongest mask that is on a field of each name."""

    def __init__(self, masks: Mapping[str, ColumnMask]) -> None:
        self._masks = masks
        names = b"|".join(re.escape(name.encode()) for name in sorted(masks, key=len, reverse=True))
        self._begins = re.compile(_BEGINS % names)
        self._hint = re.compile(_HINT % names)
        self._comes = re.compile(_COMES % names)

    def hints(self, block: bytes) -> list[tuple[int, int]]:
        """Where names are in single quotes, which need no backslash in a text of JSON."""
        return [hint.span() for hint in self._hint.finditer(block)]

    def find(self, text: bytes, final: bool = True) -> list[Finding]:
        """The values, ascending and apart. Raises ``BodyRefused`` for a field that must not occur.

        Unless the text is ``final``, the last finding may be a field of which the value is not there yet.
        """
        found: list[Finding] = []
        position = 0
        while (field := self._begins.search(text, position)) is not None:
            start, end = _value(text, field.end())
            position = max(end, field.end())
            if end == field.end() == len(text) and not final:
                break
            permitted(self._masks[field[3].decode(errors="replace").lower()])
            if end > start:
                found.append(Finding(start, end, FIELD))
        if not final:
            coming = self._comes.search(text, max(position, len(text) - _LONGEST_BEGINNING))
            if coming is not None:
                found.append(Finding(coming.start(), len(text), FIELD))
        return found


def _value(text: bytes, start: int) -> tuple[int, int]:
    """The value that begins here, without quotes. It goes to the end of the text when it does not end before."""
    opening = _QUOTE.match(text, start)
    if opening is not None:
        return opening.end(), _quoted_end(text, opening)[0]
    if text[start : start + 1] in (b"{", b"[", b"("):
        return start, _bracketed_end(text, start)
    word = _WORD.match(text, start)
    return start, word.end() if word is not None else start


def _quoted_end(text: bytes, opening: re.Match[bytes]) -> tuple[int, int]:
    """In front of and behind the next quote that has as many backslashes in front as the first one, or fewer."""
    for closing in _QUOTE.finditer(text, opening.end()):
        fewer = len(closing[1]) <= len(opening[1])
        if closing[2] == opening[2] and (fewer or (not opening[1] and len(closing[1]) % 2 == 0)):
            return closing.start(), closing.end()
    return len(text), len(text)


def _bracketed_end(text: bytes, start: int) -> int:
    depth = 0
    position = start
    while (found := _BRACKET.search(text, position)) is not None:
        position = found.end()
        if found[2] is not None:
            position = _quoted_end(text, found)[1]
            continue
        depth += 1 if found[0] in b"[{(" else -1
        if depth == 0:
            return position
    return len(text)
