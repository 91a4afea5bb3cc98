"""Binary values as PostgreSQL's send functions write them."""

import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.postgres.values import decode_binary


def numeric(weight: int, sign: int, scale: int, *digits: int) -> bytes:
    return struct.pack(">hhHH", len(digits), weight, sign, scale) + struct.pack(f">{len(digits)}H", *digits)


@pytest.mark.parametrize(
    ("oid", "value", "text"),
    [
        (16, b"\x01", "t"),
        (16, b"\x00", "f"),
        (17, b"\x00\xff", "\\x00ff"),
        (20, struct.pack(">q", -(2**63)), "-9223372036854775808"),
        (21, struct.pack(">h", -2), "-2"),
        (23, struct.pack(">i", 2**31 - 1), "2147483647"),
        (25, "naïve".encode(), "naïve"),
        (26, struct.pack(">I", 2**32 - 1), "4294967295"),
        (701, struct.pack(">d", 1.5), "1.5"),
        (1082, struct.pack(">i", 0), "2000-01-01"),
        (1082, struct.pack(">i", 2**31 - 1), "infinity"),
        (1083, struct.pack(">q", 3_661_000_001), "01:01:01.000001"),
        (1114, struct.pack(">q", -1), "1999-12-31 23:59:59.999999"),
        (1184, struct.pack(">q", 0), "2000-01-01 00:00:00+00"),
        (1184, struct.pack(">q", -(2**63)), "-infinity"),
        (1700, numeric(0, 0, 2, 12, 3400), "12.34"),
        (1700, numeric(1, 0x4000, 0, 1, 2), "-10002"),
        (1700, numeric(-1, 0, 4, 5), "0.0005"),
        (1700, numeric(-2, 0, 8, 5), "0.00000005"),
        (1700, numeric(2, 0, 0, 1), "100000000"),
        (1700, numeric(0, 0, 0), "0"),
        (1700, numeric(0, 0xC000, 0), "NaN"),
        (1700, numeric(0, 0xF000, 0), "-Infinity"),
        (2950, uuid.UUID(int=7).bytes, "00000000-0000-0000-0000-000000000007"),
        (3802, b'\x01{"a": 1}', '{"a": 1}'),
        (3802, b"\x02{}", "\\x027b7d"),
        (23, b"short", "\\x73686f7274"),
        (600, b"\x01\x02", "\\x0102"),
    ],
)
def test_common_types(oid: int, value: bytes, text: str) -> None:
    assert decode_binary(oid, value) == text


@given(st.sampled_from([16, 17, 20, 21, 23, 25, 700, 701, 1082, 1083, 1114, 1184, 1700, 2950, 3802]), st.binary())
def test_no_value_raises(oid: int, value: bytes) -> None:
    assert isinstance(decode_binary(oid, value), str)
