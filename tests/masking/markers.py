"""Planted values and every form in which they are looked for in what a client receives."""

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from urllib.parse import quote

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_SHORTEST_BYTES = 4
_FEWEST_DIFFERENT_BYTES = 2
_SHORTEST_IN_BASE64_BYTES = 6


class Markers:
    """Finds planted values: ``found_in`` names those that are in a piece of output, in whatever form."""

    def __init__(self, planted: Mapping[str, str]) -> None:
        self._forms = {name: frozenset(_forms(name, value)) for name, value in planted.items()}

    def found_in(self, output: bytes) -> list[str]:
        """The names of the values that ``output`` has, sorted."""
        return sorted(name for name, forms in self._forms.items() if any(form in output for form in forms))


def _forms(name: str, value: str) -> Iterator[bytes]:
    for text in _spellings(name, value):
        for variant in (text, text.upper(), text.lower(), text[::-1], text[::-1].upper()):
            yield from _encodings(variant.encode())
        yield quote(text, safe="").encode()
        yield json.dumps(text)[1:-1].encode()
        yield text.encode("utf-16-le")
        yield text.encode("utf-16-be")
    for raw in _binary(name, value):
        if len(set(raw) - {0, 255}) >= _FEWEST_DIFFERENT_BYTES:
            yield from _encodings(raw)


def _spellings(name: str, value: str) -> Iterator[str]:
    """The value as PostgreSQL writes it, and without its punctuation."""
    yield value
    if name.startswith(("ssn", "token", "birth")):
        yield value.replace("-", "")
    if name.startswith("birth"):
        year, month, day = value.split("-")
        yield from (f"{month}/{day}/{year}", f"{day}.{month}.{year}", f"{day}/{month}/{year}")
    if name.startswith("seen"):
        yield value.replace(" ", "T")


def _encodings(raw: bytes) -> Iterator[bytes]:
    """The bytes themselves, in hexadecimal, and in base64 wherever they begin in what is encoded."""
    if len(raw) < _SHORTEST_BYTES:
        return
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for before in range(3) if len(raw) >= _SHORTEST_IN_BASE64_BYTES else ():
        encoded = base64.b64encode(bytes(before) + raw)
        # Characters that also depend on the neighbours are left out.
        yield encoded[(0, 2, 3)[before] : len(encoded) - (0 if (before + len(raw)) % 3 == 0 else 4)]


def _binary(name: str, value: str) -> Iterator[bytes]:
    """The value as PostgreSQL's binary formats have it."""
    kind = name.split()[0]
    if kind in ("salary", "pin", "score", "card"):
        yield from _binary_number(int(value))
    elif kind == "birth":
        yield struct.pack(">i", (date.fromisoformat(value) - _EPOCH.date()).days)
    elif kind == "seen":
        moment = datetime.fromisoformat(value + "+00:00") - _EPOCH
        yield struct.pack(">q", moment.days * 86_400_000_000 + moment.seconds * 1_000_000)
    elif kind == "token":
        yield bytes.fromhex(value.replace("-", ""))
    elif kind == "avatar":
        yield bytes.fromhex(value)


def _binary_number(number: int) -> Iterator[bytes]:
    """As integer, float and the digits of a numeric, which are of base 10000."""
    yield struct.pack(">q", number)
    if number < 1 << 31:
        yield struct.pack(">i", number)
    yield struct.pack(">d", number)
    digits = []
    while number:
        number, digit = divmod(number, 10_000)
        digits.append(digit)
    yield struct.pack(f">{len(digits)}H", *reversed(digits))
