"""Values of PostgreSQL's common types in binary format, as text for people; whatever is not known, as hexadecimal.

Formats are those of the types' ``send`` functions. Nothing in here raises for what a value holds.
"""

import datetime
import struct
import uuid
from collections.abc import Callable

_POSTGRES_EPOCH = datetime.datetime(2000, 1, 1)  # noqa: DTZ001 - timestamp without time zone
_POSTGRES_DAY_ONE = datetime.date(2000, 1, 1)
_NUMERIC_SIGNS = {0x0000: "", 0x4000: "-", 0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_INFINITE_DATES = {2**31 - 1: "infinity", -(2**31): "-infinity"}
_INFINITE_TIMES = {2**63 - 1: "infinity", -(2**63): "-infinity"}


def decode_binary(type_oid: int, value: bytes) -> str:
    """A binary value as text."""
    decode = _DECODERS.get(type_oid)
    if decode is not None:
        try:
            return decode(value)
        except (struct.error, ValueError, OverflowError, IndexError):
            pass
    return "\\x" + value.hex()


def _number(form: str) -> Callable[[bytes], str]:
    unpack = struct.Struct(form).unpack

    def decode(value: bytes) -> str:
        return str(unpack(value)[0])

    return decode


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _boolean(value: bytes) -> str:
    return {b"\x00": "f", b"\x01": "t"}.get(value) or "\\x" + value.hex()


def _bytea(value: bytes) -> str:
    return "\\x" + value.hex()


def _jsonb(value: bytes) -> str:
    if value[:1] != b"\x01":
        raise ValueError("an unknown version of jsonb")
    return _text(value[1:])


def _date(value: bytes) -> str:
    days = struct.unpack(">i", value)[0]
    return _INFINITE_DATES.get(days) or (_POSTGRES_DAY_ONE + datetime.timedelta(days=days)).isoformat()


def _timestamp(value: bytes) -> str:
    microseconds = struct.unpack(">q", value)[0]
    infinite = _INFINITE_TIMES.get(microseconds)
    return infinite or (_POSTGRES_EPOCH + datetime.timedelta(microseconds=microseconds)).isoformat(" ")


def _timestamptz(value: bytes) -> str:
    text = _timestamp(value)
    return text if text.endswith("infinity") else f"{text}+00"


def _time(value: bytes) -> str:
    microseconds = struct.unpack(">q", value)[0]
    return (_POSTGRES_EPOCH + datetime.timedelta(microseconds=microseconds)).time().isoformat()


def _numeric(value: bytes) -> str:
    """``numeric_send``: count of base-10000 digits, weight of the first, sign, digits after the point, digits."""
    count, weight, sign, scale = struct.unpack_from(">hhHH", value)
    prefix = _NUMERIC_SIGNS.get(sign)
    if prefix is None or (prefix and prefix != "-"):
        return prefix or "\\x" + value.hex()
    digits = struct.unpack(f">{count}H", value[8:])
    if any(digit > 9999 for digit in digits) or scale > 0x3FFF or not -0x4000 <= weight <= 0x4000:
        raise ValueError("not a numeric")
    whole = "".join(f"{_digit(digits, place):04d}" for place in range(weight + 1)).lstrip("0") or "0"
    groups = range(weight + 1, weight + 1 + (scale + 3) // 4)
    fraction = "".join(f"{_digit(digits, place):04d}" for place in groups)[:scale]
    return prefix + whole + (f".{fraction}" if scale else "")


def _digit(digits: tuple[int, ...], place: int) -> int:
    return digits[place] if 0 <= place < len(digits) else 0


_DECODERS: dict[int, Callable[[bytes], str]] = {
    16: _boolean,
    17: _bytea,
    18: _text,  # "char"
    19: _text,  # name
    20: _number(">q"),
    21: _number(">h"),
    23: _number(">i"),
    25: _text,
    26: _number(">I"),  # oid
    114: _text,  # json
    700: _number(">f"),
    701: _number(">d"),
    705: _text,  # unknown
    1042: _text,  # bpchar
    1043: _text,  # varchar
    1082: _date,
    1083: _time,
    1114: _timestamp,
    1184: _timestamptz,
    1700: _numeric,
    2950: lambda value: str(uuid.UUID(bytes=value)),
    3802: _jsonb,
}
