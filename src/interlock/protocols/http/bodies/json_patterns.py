"""What JSON is made of (RFC 8259), as patterns over bytes in UTF-8.

A name or text in which there is no backslash is *plain*: it is what it looks like. A pattern for a run of members takes
many of them in one step and stops in front of everything that it does not take for certain: names that may be masked,
names and texts with escapes, names outside of ASCII or that may be paths.
"""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

BLANK: Final = rb"[ \t\n\r]*"
_PLAIN: Final = rb'[^"\\\x00-\x1f]*'
_SIMPLE_NAME: Final = rb'[^"\\.\[\x00-\x1f\x7f-\xff]*'
_WHOLE_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
_NUMBER: Final = _WHOLE_NUMBER + rb"(?:[eE][+-]?[0-9]+)?"
_PLAIN_TEXT: Final = b'"%b"' % _PLAIN
_UNQUOTING_TEXT: Final = rb'"[^"\\\x00-\x1f]*(?:"|(?:\\[\\/bfnrt][^"\\\x00-\x1f]*)+")'
_RUN_DEPTH: Final = 2
_WORD: Final = rb"true|false|null"
_NUMBER_ENDS: Final = rb"(?=[ \t\n\r,\]}])"

PLAIN_TEXT: Final = 1
NUMBER: Final = 2
WORD: Final = 3
OPENING: Final = 4
ESCAPED_TEXT: Final = 5
"""Groups of ``VALUE``. An escaped text is a quote that begins a text with escapes, or one that is not whole yet."""

_VALUE_GROUPS: Final = b'("%b")|(%b)%b|(%b)%b|([{[])|(")' % (_PLAIN, _NUMBER, _NUMBER_ENDS, _WORD, _NUMBER_ENDS)

VALUE: Final = re.compile(BLANK + b"(?:" + _VALUE_GROUPS + b")")
MEMBER: Final = re.compile(BLANK + b'"(' + _PLAIN + b')"' + BLANK + b":" + BLANK + b"(?:" + _VALUE_GROUPS + b")")
"""A member with a plain name. Its first group is the name; those of the value have one more than in ``VALUE``."""

COLON: Final = re.compile(BLANK + b":")
BLANKS: Final = re.compile(BLANK)
ELEMENTS: Final = re.compile(
    b'(?:%b(?:"%b"|%b|%b)%b(?:,|(?=\\])))+' % (BLANK, _PLAIN, _WHOLE_NUMBER, _WORD, BLANK),
)
"""A run of texts, numbers and words in an array."""

HARMLESS_NUMBER: Final = re.compile(rb"-?[0-9]{1,6}(?:\.[0-9]+)?(?:[eE]-[0-9]+)?")
"""A number that is too short for all that content detection knows; digits behind a point are none of it."""
HARMLESS_NUMBERS: Final = re.compile(
    rb"(?:[ \t\n\r]*-?(?:0|[1-9][0-9]{0,5})(?:\.[0-9]+)?(?:[eE]-[0-9]+)?[ \t\n\r]*(?:,|(?=\])))+"
)

PIECE: Final = re.compile(
    rb'(?:[^"\\\x00-\x1f]+|\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9A-Fa-f]{4}'
    rb"|\\u[dD][89abAB][0-9A-Fa-f]{2}(?:\\u[dD][c-fC-F][0-9A-Fa-f]{2}|(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][^c-fC-F])))*"
)
"""A part of a text that can be read by itself."""


class Runs(NamedTuple):
    """Patterns for runs in an object and in an array. Each part has its comma or is in front of the closing bracket."""

    members: re.Pattern[bytes]
    elements: re.Pattern[bytes]


def runs_without(names: Collection[str], searched: bool) -> Runs:
    """Runs in which there are none of these comparable names, and nothing is nested deeper than ``_RUN_DEPTH``.

    When texts are ``searched``, they are plain and no number has an exponent: what is written otherwise hides what it
    says. Else texts may have escapes, but for those that could make a document of them.
    """
    ascii_names = sorted(name for name in names if name.isascii())
    avoided = b'(?! *(?i:%b) *")' % b"|".join(re.escape(name.encode()) for name in ascii_names) if ascii_names else b""
    text = _PLAIN_TEXT if searched else _UNQUOTING_TEXT
    value = b"(?:%b|%b|%b)" % (text, _WHOLE_NUMBER if searched else _NUMBER, _WORD)
    name = b'"%b%b"%b:%b' % (avoided, _SIMPLE_NAME, BLANK, BLANK)
    for _ in range(_RUN_DEPTH):
        value = b"(?:%b|%b|%b)" % (value, _listed(rb"\[", value, rb"\]"), _listed(rb"\{", name + value, rb"\}"))
    members = re.compile(b"(?:%b%b%b%b(?:,|(?=\\})))+" % (BLANK, name, value, BLANK))
    elements = re.compile(b"(?:%b%b%b(?:,|(?=\\])))+" % (BLANK, value, BLANK))
    return Runs(members, elements)


def _listed(opening: bytes, part: bytes, closing: bytes) -> bytes:
    return b"%b%b(?:%b%b(?:,%b%b%b)*)?%b" % (opening, BLANK, part, BLANK, BLANK, part, BLANK, closing)


ANYTHING: Final = runs_without((), searched=False)
"""Runs of whatever there is."""
