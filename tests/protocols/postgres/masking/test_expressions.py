"""Mask expressions on a real server: of the column's type, never failing, and showing no more than their kind says."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from interlock.core.catalogue import Column
from interlock.core.masking import MaskKind
from interlock.protocols.postgres.masking.expressions import (
    PLACEHOLDER,
    is_text,
    mask_expression,
    shows_nothing,
    type_of,
)
from tests.servers import sample
from tests.servers.postgres import PostgresServer

LONG = "x" * 100_000
TEXTS = [
    "",
    " ",
    "a",
    "alice@example.com",
    "@",
    "a@",
    "@b",
    "a@b@c",
    "two words@example.com",
    "ALICE@EXAMPLE.COM",
    "4000-0000-0000-0001",
    "1234567",
    "12345678",
    "é@ü",
    "日本語日本語日本語",
    "👩‍👩‍👧‍👦" * 3,
    "e\u0301" * 8,
    "a\nb\tc\r\n@d",
    "'; DROP TABLE users; --",
    "\\x00\\",
    "%s %(a)s {}",
    "$1",
    LONG,
    LONG + "@example.com",
    "a@" + LONG,
    "***",
    "\u202e\u0001\u007f",
]
NUMBERS = ["0", "-1", "1", "9999999", "10000000", "12345678", "-12345678", "2147483647", "-2147483648"]
BIG = [*NUMBERS, "9223372036854775807", "-9223372036854775808"]
HUGE = [*BIG, "NaN", "12345678.9012", "1e100", "-1e100", "0.00000001", "9" * 500, "1e-300", "Infinity", "-Infinity"]
DATES = [
    "2026-11-25",
    "infinity",
    "-infinity",
    "0001-01-01",
    "4713-01-01 BC",
    "4714-11-24 BC",
    "5874897-12-31",
    "1970-01-01",
]
TIMES = [
    "2026-11-25 12:34:56.789",
    "infinity",
    "-infinity",
    "4713-01-01 00:00:00 BC",
    "4714-11-25 00:00:00 BC",
    "294276-12-31 23:59:59.999999",
]

VALUES: dict[str, list[str]] = {
    "text": TEXTS,
    "varchar": TEXTS,
    "bpchar": TEXTS,
    "int4": NUMBERS,
    "int8": BIG,
    "numeric": HUGE,
    "int2": ["0", "32767", "-32768"],
    "float4": ["0", "NaN", "Infinity", "-Infinity", "1e30"],
    "float8": ["0", "NaN", "Infinity", "-Infinity", "1e300", "1e-300"],
    "date": DATES,
    "timestamp": TIMES,
    "timestamptz": TIMES,
    "json": ["null", "{}", "[]", '"a"', "1", '{"a": [1, 2, {"b": null}]}', '{"a": 1, "a": 2}'],
    "jsonb": ["null", "{}", "[]", '"a"', "1", '{"a": [1, 2, {"b": null}]}'],
    "bool": ["t", "f"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "bytea": ["", "\\x00ff", "\\x" + "00" * 1000],
    "_text": ["{}", "{a,NULL,c}", "{{a,b},{c,d}}"],
    "_int4": ["{1,2,NULL}"],
    "_numeric": ["{1.5,NaN}"],
    "_timestamptz": ["{infinity}"],
    "int4range": ["empty", "[1,2)", "(,)"],
    "inet": ["127.0.0.1", "::1/64"],
    "interval": ["1 day", "-178000000 years"],
    "time": ["00:00", "24:00:00"],
    "money": ["1.00"],
    "name": ["a"],
    "oid": ["0", "4294967295"],
    "point": ["(1,2)"],
    "tsvector": ["a b"],
    "bit": ["1"],
    "xid": ["1"],
    "regclass": ["pg_class"],
}
KINDS = [kind for kind in MaskKind if kind is not MaskKind.FORBID]


def column(type_name: str) -> Column:
    return Column(1, "v", "pg_catalog", type_name, "A" if type_name.startswith("_") else "S")


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**sample.endpoint(postgres).parameters(), autocommit=True) as connection:
        connection.execute("SET TimeZone = 'Pacific/Kiritimati'")
        yield connection


def masked(shop: psycopg.Connection[Any], type_name: str, kind: MaskKind) -> list[tuple[str, str | None, str | None]]:
    """For each odd value and NULL, the type of the mask, the value and the mask, both as text."""
    expression = mask_expression(column(type_name), kind, '"v"').replace("%", "%%")
    statement = (
        f"SELECT pg_typeof({expression}) = pg_typeof(v), v::text, ({expression})::text"
        f" FROM (SELECT x::pg_catalog.{type_name} AS v FROM unnest(%s::text[]) AS u(x)) AS t"
    ).replace("bit AS v", "bit(1) AS v")
    return shop.execute(statement.encode(), [[*VALUES[type_name], None]]).fetchall()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_name", VALUES)
def test_of_the_columns_type_for_every_value(shop: psycopg.Connection[Any], type_name: str, kind: MaskKind) -> None:
    found = masked(shop, type_name, kind)
    assert len(found) == len(VALUES[type_name]) + 1
    assert all(same_type for same_type, _, _ in found)
    assert [mask for _, value, mask in found if value is None] == [None]
    if shows_nothing(column(type_name), kind):
        assert {mask for _, _, mask in found} == {None}


@pytest.mark.parametrize("kind", [MaskKind.REDACT, MaskKind.HASH, MaskKind.TOKENISE])
@pytest.mark.parametrize("type_name", ["text", "varchar", "bpchar", "json", "jsonb"])
def test_what_is_redacted_is_the_same_for_every_value(
    shop: psycopg.Connection[Any], type_name: str, kind: MaskKind
) -> None:
    """A key never enters a statement: what needs one is redacted here."""
    stand_in = f'"{PLACEHOLDER}"' if "json" in type_name else PLACEHOLDER
    assert {mask for _, value, mask in masked(shop, type_name, kind) if value is not None} == {stand_in}


@pytest.mark.parametrize(
    ("value", "mask"),
    [
        ("alice@example.com", "***@example.com"),
        ("two words@example.com", "***.com"),
        ("a@b@c", "***"),
        ("a@", "***"),
        ("@b", "***@b"),
        ("", "***"),
        ("1234567", "***"),
        ("12345678", "***5678"),
        ("x" * 60 + "1234", "***1234"),
        ("x" * 61 + "1234", "***"),
        ("日本語日本語日本", "***本語日本"),
    ],
)
def test_part_of_a_text(shop: psycopg.Connection[Any], value: str, mask: str) -> None:
    expression = mask_expression(column("text"), MaskKind.PARTIAL, '"v"')
    found = shop.execute(f"SELECT {expression} FROM (SELECT %s::text AS v) AS t".encode(), [value]).fetchone()
    assert found == (mask,)


@pytest.mark.parametrize(
    ("type_name", "value", "mask"),
    [
        ("int4", "12345678", "5678"),
        ("int4", "9999999", None),
        ("int4", "-12345678", None),
        ("int8", "4000000000000001", "1"),
        ("numeric", "12345678.9", "5678.9"),
        ("numeric", "NaN", "NaN"),
        ("date", "1971-05-17", "1971-01-01"),
        ("timestamp", "1971-05-17 12:34", "1971-01-01 00:00:00"),
        ("timestamptz", "2020-05-17 00:00:00+14", "2020-01-01 00:00:00+14"),
        ("timestamptz", "infinity", None),
        ("date", "0044-03-15 BC", "0044-01-01 BC"),
        ("int2", "123", None),
        ("uuid", "00000000-0000-0000-0000-000000000000", None),
    ],
)
def test_part_of_other_values(shop: psycopg.Connection[Any], type_name: str, value: str, mask: str | None) -> None:
    expression = mask_expression(column(type_name), MaskKind.PARTIAL, '"v"').replace("%", "%%")
    statement = f"SELECT ({expression})::text FROM (SELECT %s::{type_name} AS v) AS t"
    assert shop.execute(statement.encode(), [value]).fetchone() == (mask,)


def test_types_of_the_users_own(shop: psycopg.Connection[Any]) -> None:
    """Enumerations, composites and types whose names need quotes are NULL, of their type."""
    with shop.transaction(force_rollback=True):
        shop.execute("CREATE TYPE \"Mo\"\"od\" AS ENUM ('a', 'b')")
        shop.execute("CREATE TYPE place AS (city text, street text)")
        for name, value in (('Mo"od', "a"), ("place", "(a,b)")):
            own = Column(1, "v", "public", name, "E")
            quoted = name.replace('"', '""')
            for kind in KINDS:
                expression = mask_expression(own, kind, '"v"')
                statement = (
                    f'SELECT {expression}, pg_typeof({expression}) = pg_typeof(v) FROM (SELECT %s::"{quoted}" AS v) t'
                )
                assert shop.execute(statement.encode(), [value]).fetchone() == (None, True)


def test_pseudo_types_are_shown_as_text(shop: psycopg.Connection[Any]) -> None:
    """``anyarray`` of pg_stats: nothing can be cast to it."""
    sampled = Column(1, "v", "pg_catalog", "anyarray", "P")
    assert type_of(sampled) == "pg_catalog.text"
    for kind in KINDS:
        expression = mask_expression(sampled, kind, '"v"')
        statement = f"SELECT {expression} FROM (SELECT most_common_vals AS v FROM pg_stats LIMIT 1) AS t"
        assert shop.execute(statement.encode()).fetchall() in ([(None,)], [])


def test_no_object_of_the_users_can_take_a_built_in_ones_place(shop: psycopg.Connection[Any]) -> None:
    with shop.transaction(force_rollback=True):
        shop.execute("""
            CREATE FUNCTION public.split_part(text, text, integer) RETURNS text LANGUAGE sql RETURN 'stolen ' || $1;
            CREATE FUNCTION public.right(text, integer) RETURNS text LANGUAGE sql RETURN 'stolen ' || $1;
            CREATE FUNCTION public.peek(text, text) RETURNS boolean LANGUAGE sql RETURN true;
            CREATE FUNCTION public.join(text, text) RETURNS text LANGUAGE sql RETURN 'stolen ' || $1;
            CREATE OPERATOR public.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = public.peek);
            CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = public.join);
            CREATE DOMAIN public.text AS pg_catalog.text;
            SET LOCAL search_path = public, pg_catalog;
        """)
        for value in ("alice@example.com", "12345678"):
            for type_name in ("text", "varchar", "bpchar"):
                expression = mask_expression(column(type_name), MaskKind.PARTIAL, '"v"')
                statement = f"SELECT {expression} FROM (SELECT %s::pg_catalog.{type_name} AS v) AS t"
                row = shop.execute(statement.encode(), [value]).fetchone()
                assert row is not None
                assert str(row[0]).startswith("***")
                assert "stolen" not in row[0]


def test_which_types_are_text_in_both_formats() -> None:
    assert [name for name in VALUES if is_text(column(name))] == ["text", "varchar", "bpchar"]
    assert shows_nothing(column("text"), MaskKind.NULL)
    assert shows_nothing(column("int4"), MaskKind.REDACT)
    assert not shows_nothing(column("int4"), MaskKind.PARTIAL)
    assert not shows_nothing(column("text"), MaskKind.REDACT)
