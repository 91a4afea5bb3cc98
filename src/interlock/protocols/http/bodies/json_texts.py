"""Texts and numbers as JSON writes them (RFC 8259): where they end, what they say, how they are written.

The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

import json
from typing import Final

from interlock.protocols.http.bodies.refusal import Malformed

BAD_TEXT: Final = "it is not JSON: a text has an escape or a character that it must not have"
_BACKSLASH: Final = 0x5C


def closing_quote(data: bytes, position: int, odd: bool) -> int:
    """Where a quote without an odd number of backslashes in front is; -1 for nowhere. ``odd`` ones are before it."""
    at = data.find(b'"', position)
    while at >= 0:
        back = at
        while back > position and data[back - 1] == _BACKSLASH:
            back -= 1
        if (((at - back) & 1) == 1) == (odd and back == position):
            return at
        at = data.find(b'"', at + 1)
    return -1


def ends_odd(data: bytes, odd: bool) -> bool:
    """Whether an odd number of backslashes ends the data, in front of which there are ``odd`` ones."""
    back = len(data)
    while back > 0 and data[back - 1] == _BACKSLASH:
        back -= 1
    return (((len(data) - back) & 1) == 1) != (odd and back == 0)


def whole_characters(data: bytes, start: int, end: int) -> int:
    """``end``, or in front of the character that is only in part before it."""
    lead = end
    while lead > start and end - lead < 4 and data[lead - 1] & 0xC0 == 0x80:
        lead -= 1
    if lead == start or data[lead - 1] < 0xC0:
        return end
    first = data[lead - 1]
    length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    return end if end - lead + 1 == length else lead - 1


def read_text(written: bytes) -> str:
    """What a text in quotes says. Lone surrogates stay."""
    try:
        text: str = json.loads(written.decode(errors="surrogatepass"))
    except ValueError:
        raise Malformed(BAD_TEXT) from None
    return text


def written_text(text: str | None) -> bytes:
    """A text as JSON, in ASCII; None is null. It has nothing in it that ends a script in a page."""
    return json.dumps(text).replace("<", "\\u003c").encode()


def written_piece(text: str) -> bytes:
    """A piece of a text as JSON, without quotes, and with no more escapes than it needs."""
    try:
        return json.dumps(text, ensure_ascii=False)[1:-1].encode()
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(text)[1:-1].encode()


def without_exponent(number: bytes) -> bytes:
    """The digits of a number that is whole but written with an exponent; others as they are."""
    mantissa, _, exponent = number.lower().partition(b"e")
    whole, _, fraction = mantissa.partition(b".")
    if not exponent or len(exponent) > 3:
        return number
    power = int(exponent)
    fraction = fraction.rstrip(b"0")
    if not len(fraction) <= power <= 64:
        return number
    return whole + fraction + b"0" * (power - len(fraction))
