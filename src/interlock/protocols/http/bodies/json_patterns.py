"""What JSON is made of (RFC 8259), as patterns over bytes in UTF-8.

A name or text in which there is no backslash is *plain*: it is what it looks like. A pattern for a run of members takes
many of them in one step and stops in front of everything that it does not take for certain: names that may be masked,
names and texts with escapes, names outside of ASCII, objects and arrays.
"""

import re
from collections.abc import Collection
from typing import Final

BLANK: Final = rb"[ \t\n\r]*"
_PLAIN: Final = rb'[^"\\\x00-\x1f]*'
_PLAIN_ASCII_NAME: Final = rb'[^"\\\x00-\x1f\x7f-\xff]*'
_WHOLE_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
_NUMBER: Final = _WHOLE_NUMBER + rb"(?:[eE][+-]?[0-9]+)?"
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

PIECE: Final = re.compile(
    rb'(?:[^"\\\x00-\x1f]+|\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9A-Fa-f]{4}'
    rb"|\\u[dD][89abAB][0-9A-Fa-f]{2}(?:\\u[dD][c-fC-F][0-9A-Fa-f]{2}|(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][^c-fC-F])))*"
)
"""A part of a text that can be read by itself."""


def member_run(names: Collection[str], exponents: bool) -> re.Pattern[bytes]:
    """A run of members that have none of these comparable names, each with its comma or in front of the closing brace.

    A number with an exponent is only in it with ``exponents``.
    """
    ascii_names = sorted(name for name in names if name.isascii())
    avoided = b'(?! *(?i:%b) *")' % b"|".join(re.escape(name.encode()) for name in ascii_names) if ascii_names else b""
    number = _NUMBER if exponents else _WHOLE_NUMBER
    member = b'%b"%b%b"%b:%b(?:"%b"|%b|%b)' % (BLANK, avoided, _PLAIN_ASCII_NAME, BLANK, BLANK, _PLAIN, number, _WORD)
    return re.compile(b"(?:" + member + BLANK + b"(?:,|(?=\\})))+")


ANY_MEMBERS: Final = member_run((), exponents=True)
