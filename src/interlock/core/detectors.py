"""What each detector class looks like: patterns, and checks on what they match.

``hint`` is a pattern that matches in or across everything that the detector finds. It asks nothing of what is before
or behind, so that it also holds for a block in which values lie next to one another. ``spans`` is exact and is asked
about one value at a time. No finding has a NUL byte in it. Precision comes from checksums, known prefixes and what
stands next to a candidate.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from interlock.core import secret_shapes
from interlock.core.masking import DETECTOR_CLASSES
from interlock.core.patterns import Pattern

Spans = Iterator[tuple[int, int]]


class Detector(NamedTuple):
    """How to find one class."""

    name: str
    hint: bytes
    spans: Callable[[bytes], Spans]


_DASH = rb"(?:-|\xe2\x80[\x90-\x95]|\xe2\x88\x92)"
_ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset(b"0123456789")
_ESCAPED = frozenset(b"nrtbf")


def _begins(text: bytes, start: int) -> bool:
    """Whether a word could begin here: nothing, no letter or digit, or an escape such as ``\\n`` is before it."""
    if start == 0 or text[start - 1] not in _ALPHANUMERIC:
        return True
    return start > 1 and text[start - 1] in _ESCAPED and text[start - 2] == 0x5C


def _ends(text: bytes, end: int) -> bool:
    return end == len(text) or text[end] not in _ALPHANUMERIC


def _alone(text: bytes, start: int, end: int) -> bool:
    """Whether this is a word of its own and no part of a longer number, such as the digits behind a point."""
    if not _begins(text, start) or not _ends(text, end):
        return False
    joined_before = start > 1 and text[start - 1] in b".-+" and text[start - 2] in _DIGITS
    joined_behind = end + 1 < len(text) and text[end] == 0x2D and text[end + 1] in _ALPHANUMERIC
    return not joined_before and not joined_behind


# -------------------------------------------------------------------------------------------------------- e-mail

_AT = rb"(?:@|%40|\\u0040|&#64;|\xef\xbc\xa0)"
_EMAIL_HINT = rb"[A-Za-z0-9.!#$%*+_~'\"\x80-\xff-]" + _AT + rb"[A-Za-z0-9\x80-\xff]"
_EMAIL = Pattern(
    rb"(?:[A-Za-z0-9_\x80-\xff][A-Za-z0-9.!#$%*+_~'\x80-\xff-]*|\"[^\"\x00-\x1f]{1,64}\")"
    + _AT
    + rb"(?:[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9\x80-\xff-]*[A-Za-z0-9\x80-\xff])?\.)+"
    rb"(?:xn--[A-Za-z0-9-]+|[A-Za-z\x80-\xff]{2,})"
)
_FILE_ENDINGS = (b".png", b".jpg", b".jpeg", b".gif", b".svg", b".webp", b".ico", b".css", b".js", b".json", b".html")


def _emails(text: bytes) -> Spans:
    for start, end in _EMAIL.spans(text):
        address = text[start:end].lower()
        repository = address.startswith(b"git@") and text[end : end + 1] == b":"
        if not repository and not address.endswith(_FILE_ENDINGS):
            yield start, end


# -------------------------------------------------------------------------------------------------- payment cards

_CARD_SEPARATOR = rb"(?: |" + _DASH + rb")"
_CARD_HINT = rb"[2-6][0-9](?:" + _CARD_SEPARATOR + rb"?[0-9]){12}"
_CARD_DIGITS = Pattern(rb"[0-9](?:" + _CARD_SEPARATOR + rb"?[0-9]){13,}")
_CARD_GROUP = Pattern(rb"[0-9]+")
# Major issuers: first digits from and to, and the lengths in use. Visa cards of 13 digits, long gone, look like EANs.
_ISSUERS = (
    (b"4", b"4", (16, 19)),
    (b"51", b"55", (16,)),
    (b"2221", b"2720", (16,)),
    (b"34", b"34", (15,)),
    (b"37", b"37", (15,)),
    (b"6011", b"6011", (16, 19)),
    (b"644", b"659", (16, 19)),
    (b"3528", b"3589", (16, 19)),
    (b"300", b"305", (14, 16)),
    (b"36", b"36", (14,)),
    (b"38", b"39", (14, 16)),
    (b"62", b"62", (16, 19)),
    (b"5018", b"5018", (16,)),
    (b"5020", b"5020", (16,)),
    (b"5038", b"5038", (16,)),
    (b"6304", b"6304", (16,)),
    (b"6759", b"6763", (16,)),
)
# Sizes of the groups of digits, by the size of the first one.
_CARD_LAYOUTS = defaultdict[int, tuple[tuple[int, ...], ...]](
    tuple,
    {
        4: ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 2)),
        6: ((6, 13),),
        8: ((8, 8),),
        14: ((14,),),
        15: ((15,),),
        16: ((16,),),
        19: ((19,),),
    },
)
_DOUBLED = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9))


def luhn(digits: bytes) -> bool:
    """Whether ASCII digits carry a right check digit (ISO/IEC 7812-1, annex B)."""
    values = [digit - 0x30 for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def _is_card(digits: bytes) -> bool:
    for low, high, lengths in _ISSUERS:
        if low <= digits[: len(low)] <= high and len(digits) in lengths:
            return len(set(digits)) > 1 and luhn(digits)
    return False


def _cards(text: bytes) -> Spans:
    for start, end in _CARD_DIGITS.spans(text):
        groups = [(start + left, start + right) for left, right in _CARD_GROUP.spans(text[start:end])]
        yield from _cards_among(text, groups)


def _cards_among(text: bytes, groups: list[tuple[int, int]]) -> Spans:
    """Cards made of whole groups of digits, as they are printed on cards or in one piece."""
    sizes = tuple(end - start for start, end in groups)
    first = 0
    while first < len(groups):
        layouts = (layout for layout in _CARD_LAYOUTS[sizes[first]] if layout == sizes[first : first + len(layout)])
        count = next((len(layout) for layout in layouts if _are_card(text, groups[first : first + len(layout)])), 0)
        if count:
            yield groups[first][0], groups[first + count - 1][1]
        first += max(count, 1)


def _are_card(text: bytes, groups: list[tuple[int, int]]) -> bool:
    start, end = groups[0][0], groups[-1][1]
    fraction = start > 1 and text[start - 1] == 0x2E and text[start - 2] in _DIGITS
    if fraction or not _begins(text, start) or not _ends(text, end):
        return False
    return _is_card(b"".join(text[left:right] for left, right in groups))


# ----------------------------------------------------------------------------------------------------------- IBAN

# Length to countries (SWIFT, IBAN registry).
_IBAN_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FK FI FO GL NL",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH CR HR LI LV",
    22: "BG BH DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS = {
    country.encode(): length for length, countries in _IBAN_COUNTRIES.items() for country in countries.split()
}
# Where nothing but digits follows the country.
_IBAN_DIGITS_ONLY = frozenset(
    b"AE AT BA BE CZ DE DK EE ES FI FO GL HR HU IL IS LT ME NO PL PT RS SE SI SK TN VA XK".split()
)
_IBAN_START_PATTERN = rb"(?i:" + b"|".join(_IBAN_LENGTHS) + rb")[0-9]{2}"
_IBAN_HINT = _IBAN_START_PATTERN + rb"(?: ?[A-Za-z0-9]){11}"
_IBAN_START = Pattern(_IBAN_START_PATTERN)


def iban(text: bytes) -> bool:
    """Whether letters and digits without blanks carry right check digits (ISO 13616, ISO 7064 mod 97-10)."""
    turned = (text[4:] + text[:4]).decode("ascii")
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def _ibans(text: bytes) -> Spans:
    for start, _ in _IBAN_START.spans(text):
        country = text[start : start + 2].upper()
        end, number = _letters_and_digits(text, start, _IBAN_LENGTHS[country])
        fits = number and (country not in _IBAN_DIGITS_ONLY or number[2:].isdigit())
        if fits and _begins(text, start) and _ends(text, end) and iban(number):
            yield start, end


def _letters_and_digits(text: bytes, start: int, count: int) -> tuple[int, bytes]:
    """So many letters and digits from ``start`` on, single blanks left out, and where they end; or none."""
    taken = bytearray()
    position = start
    while len(taken) < count and position < len(text):
        byte = text[position]
        if byte in _ALPHANUMERIC:
            taken.append(byte)
        elif byte != 0x20 or text[position - 1] == 0x20:
            break
        position += 1
    return (position, bytes(taken)) if len(taken) == count else (position, b"")


# ------------------------------------------------------------------------------------------------------------ SSN

_SSN_WORD = rb"(?i:ssn|social[ _-]?security)(?i:[ _-]?(?:number|num|no|nr))?[.\"'\\]*\s*[:=#]?\s*[\"'\\]*"
_SSN_SPACED = rb"[0-9]{3} [0-9]{2} [0-9]{4}"
_SSN_DASHED = rb"[0-9]{3}" + _DASH + rb"[0-9]{2}" + _DASH + rb"[0-9]{4}"
_SSN_HINT = rb"|".join((_SSN_DASHED, _SSN_SPACED, _SSN_WORD + rb"[0-9]{9}"))
_SSN = Pattern(_SSN_DASHED)
_SSN_TOLD = Pattern(_SSN_WORD + rb"([0-9]{9}|" + _SSN_SPACED + rb")")
_SSN_WHOLE = Pattern(rb"\A\s*(" + _SSN_SPACED + rb")\s*\z")
_NO_DIGITS = bytes(set(range(256)) - _DIGITS)


def _digits(text: bytes) -> bytes:
    return text.translate(None, _NO_DIGITS)


def _ssns(text: bytes) -> Spans:
    for pattern in (_SSN, _SSN_TOLD, _SSN_WHOLE):
        for start, end in pattern.spans(text):
            # The bytes of a long dash are no digits.
            if _alone(text, start, end) and _is_ssn(_digits(text[start:end])):
                yield start, end


def _is_ssn(digits: bytes) -> bool:
    """Whether the Social Security Administration could have given out this number."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000"


# ---------------------------------------------------------------------------------------------------------- phone

_PLUS = rb"(?:\+|%2[Bb]|\\u002[Bb])"
_PHONE_GAP = rb"(?:[ ./-]|\) ?| ?\(|%20)?"
_PHONE_INTERNATIONAL = _PLUS + rb"\(?[1-9](?:" + _PHONE_GAP + rb"[0-9]){7}"
_PHONE_DIALLED = rb"00[1-9][0-9]{0,2}[ /][0-9]{1,4}[ /-][0-9]{3}"
_PHONE_AMERICAN = rb"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[ .-][0-9]{4}"
_PHONE_PAIRS = rb"0[1-9](?:[ .-][0-9]{2}){4}"
_PHONE_TRUNK = rb"(?:\(0[1-9][0-9]{1,3}\) ?|0[1-9][0-9]{1,3}[ /])[0-9]{3,8}"
_PHONE_NUMBER_WORD = rb"(?i:[ _-]?(?:number|num|no|nr))?[.\"'\\]*\s*"
_PHONE_WORD = rb"(?i:telefon|phone)" + _PHONE_NUMBER_WORD + rb"[:=]?\s*[\"'\\]*"
_PHONE_SHORT_WORD = rb"(?i:tel|fax)" + _PHONE_NUMBER_WORD + rb"[:=]?\s*[\"'\\]*"
_PHONE_COMMON_WORD = rb"(?i:mobile|mobil|cell|handy|whatsapp)" + _PHONE_NUMBER_WORD + rb"[:=]\s*[\"'\\]*"
_PHONE_TOLD = rb"\(?[0-9](?:" + _PHONE_GAP + rb"[0-9]){6}"
_PHONE_HINT = b"|".join(
    (
        _PHONE_INTERNATIONAL,
        _PHONE_DIALLED,
        _PHONE_AMERICAN,
        _PHONE_PAIRS,
        _PHONE_TRUNK,
        rb"(?:" + b"|".join((_PHONE_WORD, _PHONE_SHORT_WORD, _PHONE_COMMON_WORD)) + rb")" + _PHONE_TOLD,
    )
)
_PHONE_REST = rb"(?:" + _PHONE_GAP + rb"[0-9])*"
_PHONES = (
    (Pattern(_PHONE_INTERNATIONAL + _PHONE_REST), 8, 15),
    (Pattern(rb"(?:[0-9] )?" + _PHONE_DIALLED + rb"(?:[ /-]?[0-9])*"), 10, 17),
    (Pattern(rb"(?:1[ .-])?" + _PHONE_AMERICAN), 10, 11),
    # With a further pair on either side it is a list of something else, and has too many digits.
    (Pattern(rb"(?:[0-9] |[0-9A-Za-z][.-])?" + _PHONE_PAIRS + rb"(?: [0-9]|[.-][0-9A-Za-z])?"), 10, 10),
    (Pattern(_PHONE_TRUNK + rb"(?:[ -][0-9]{2,6})?"), 10, 12),
    (
        Pattern(
            rb"(?:" + _PHONE_WORD + rb"|(?:\A|[^A-Za-z])(?:" + _PHONE_SHORT_WORD + b"|" + _PHONE_COMMON_WORD + rb"))"
            rb"(" + _PHONE_TOLD + _PHONE_REST + rb")"
        ),
        7,
        15,
    ),
)
_DATE = Pattern(rb"\A(?:19|20)[0-9]{2}[./-]?[01][0-9][./-]?[0-3][0-9]")


def _phones(text: bytes) -> Spans:
    for pattern, least, most in _PHONES:
        for start, end in pattern.spans(text):
            number = text[start:end]
            if least <= len(_digits(number)) <= most and _alone(text, start, end) and not _is_amount(number):
                yield start, end


def _is_amount(number: bytes) -> bool:
    """Whether this is a signed decimal number, or a date."""
    others = number.lstrip(b"+").translate(None, b"0123456789")
    return others == b"." or any(True for _ in _DATE.spans(number))


DETECTORS: Mapping[str, Detector] = MappingProxyType(
    {
        "email": Detector("email", _EMAIL_HINT, _emails),
        "credit-card": Detector("credit-card", _CARD_HINT, _cards),
        "iban": Detector("iban", _IBAN_HINT, _ibans),
        "ssn": Detector("ssn", _SSN_HINT, _ssns),
        "phone": Detector("phone", _PHONE_HINT, _phones),
        "secret": Detector("secret", secret_shapes.HINT, secret_shapes.spans),
    }
)
"""All of them, by class, in the order of ``DETECTOR_CLASSES``."""

if tuple(DETECTORS) != DETECTOR_CLASSES:
    raise RuntimeError("the detectors are not those that masking knows")
