"""What policy can read of a JSON body: its fields and its plain values, as a bounded number of short lines.

A *field* is a path like ``/customer/contacts/*/email``: JSON Pointer (RFC 6901) with ``*`` for any element of an array,
and with ``=`` in keys written ``~2``. A *value* is a field with ``=`` and what it holds: text as it is, numbers in one
spelling (``100`` also for ``1e2`` and ``100.0``), ``true``, ``false``, ``null``.

Reading is strict (RFC 8259): what servers would read differently, as a key that is there twice, has no facts.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

import msgspec

MAX_FIELDS: Final = 500
MAX_VALUES: Final = 1000
MAX_PATH_LENGTH: Final = 512
MAX_VALUE_LENGTH: Final = 256
"""Longer values are not among the values; their field is among the fields."""
MAX_DEPTH: Final = 64
MAX_STEPS: Final = 50_000
_MAX_EXPONENT: Final = 400


class BodyRejected(Exception):
    """The body cannot be read in one way only; the text says why, as a sentence for the client."""


class BodyUnread(BodyRejected):
    """There is nothing wrong with the body, but it is too large or deep to be decided on field by field."""


class BodyFacts(msgspec.Struct, frozen=True):
    """Fields and values, each sorted and once. Of a body that was not read, ``unread`` says why, as a sentence."""

    fields: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    unread: str = ""


NO_BODY: Final = BodyFacts()


def json_facts(body: bytes) -> BodyFacts:
    """The facts of a JSON text. Raises ``BodyRejected``."""
    return facts_of(parse_json(body))


def parse_json(body: bytes) -> object:
    """A JSON text as plain values, numbers as ``int``, ``Decimal`` or, beyond all measure, text.

    Raises ``BodyRejected`` for what is no JSON in UTF-8, has a key twice, or is nested too deeply.
    """
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise BodyRejected("The body is not valid JSON: it is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BodyRejected(f"The body is not valid JSON at character {error.pos + 1}: {error.msg}.") from None
    except RecursionError:
        raise BodyUnread("The body is nested too deeply.") from None


def facts_of(value: object) -> BodyFacts:
    """The facts of parsed JSON. Raises ``BodyUnread`` when there are too many."""
    reader = _Reader()
    reader.read("", value, 0)
    return reader.facts()


class FactNotes:
    """Gathers facts up to the limits; beyond them, and for text that is none, it raises ``BodyRejected``."""

    def __init__(self) -> None:
        self._fields: set[str] = set()
        self._values: set[str] = set()

    def field(self, path: str) -> None:
        if len(path) > MAX_PATH_LENGTH:
            raise BodyUnread(f"The body has a field whose path is longer than {MAX_PATH_LENGTH} characters.")
        self._fields.add(path)
        if len(self._fields) > MAX_FIELDS:
            raise BodyUnread(f"The body has more than {MAX_FIELDS} different fields.")

    def value(self, path: str, text: str) -> None:
        if len(text) > MAX_VALUE_LENGTH:
            return
        self._values.add(f"{path}={text}")
        if len(self._values) > MAX_VALUES:
            raise BodyUnread(f"The body has more than {MAX_VALUES} different values.")

    def facts(self) -> BodyFacts:
        facts = BodyFacts(tuple(sorted(self._fields)), tuple(sorted(self._values)))
        try:
            "".join((*facts.fields, *facts.values)).encode()
        except UnicodeEncodeError:
            raise BodyRejected("The body has half a surrogate pair, which is no text.") from None
        return facts


class _Reader(FactNotes):
    def __init__(self) -> None:
        super().__init__()
        self._steps = 0

    def read(self, path: str, value: object, depth: int) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise BodyUnread(f"The body has more than {MAX_STEPS} members and elements.")
        if depth > MAX_DEPTH:
            raise BodyUnread(f"The body is nested more than {MAX_DEPTH} levels deep.")
        if path:
            self.field(path)
        if isinstance(value, dict):
            if len({key.casefold() for key in value}) < len(value):
                raise BodyUnread("The body has keys that differ in the case of letters only.")
            for key, member in value.items():
                self.read(f"{path}/{escaped(key)}", member, depth + 1)
        elif isinstance(value, list):
            for element in value:
                self.read(f"{path}/*", element, depth + 1)
        else:
            self.value(path, scalar_text(value))


def escaped(key: str) -> str:
    """A key as one component of a path."""
    if "~" in key or "/" in key or "=" in key:
        return key.replace("~", "~0").replace("/", "~1").replace("=", "~2")
    return key


def scalar_text(value: object) -> str:
    """A plain value as text; equal numbers have equal texts."""
    match value:
        case str():
            return value
        case bool() | None:
            return json.dumps(value)
        case Decimal():
            text = format(value, "f")
            return text.rstrip("0").rstrip(".") if "." in text else text
        case _:
            return str(value)


def _number(text: str) -> object:
    """A number that has a fraction or an exponent; as its text when written out it would be endless."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number:
        return 0
    return number if abs(number.adjusted()) <= _MAX_EXPONENT else text


def _integer(text: str) -> object:
    return int(text) if len(text) <= MAX_VALUE_LENGTH else text


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise BodyRejected("The body has a key twice in one object, which servers read differently.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise BodyRejected(f"The body is not valid JSON: {name} is no number.")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_number, parse_int=_integer, parse_constant=_no_constant
)
