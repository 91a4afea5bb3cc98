"""Columns whose masks need a key: which are read as they are and masked as their rows pass, at which places."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from interlock.core.masking import MaskKind
from interlock.protocols.postgres.masking.raw_outputs import RawOutput
from tests.protocols.postgres.masking.shop import forwarded, index, mask, rewritten
from tests.servers import sample
from tests.servers.postgres import PostgresServer

HASH, TOKENISE = MaskKind.HASH, MaskKind.TOKENISE
WITHIN = index({1: {"email": mask(HASH), "name": mask(TOKENISE), "salary": mask(HASH)}, 2: {"note": mask()}})
REAL = '"_interlock_1"."_interlock_c3"'


def places(text: str) -> tuple[list[tuple[int, MaskKind]], int]:
    found = rewritten(text, WITHIN)
    assert not found.refusal, found.refusal
    return [(output.position, output.kind) for output in found.raw_outputs], found.width


@pytest.mark.parametrize(
    ("text", "outputs", "width"),
    [
        ("SELECT email FROM users", [(0, HASH)], 1),
        ("SELECT id, email AS e, name FROM users", [(1, HASH), (2, TOKENISE)], 3),
        ("SELECT * FROM users", [(1, TOKENISE), (2, HASH)], 4),
        ("SELECT u.*, 1 FROM users u", [(1, TOKENISE), (2, HASH)], 5),
        ("SELECT 1, u.*, u.email FROM users u", [(2, TOKENISE), (3, HASH), (5, HASH)], 6),
        ("SELECT * FROM orders o JOIN users u ON u.id = o.user_id", [(5, TOKENISE), (6, HASH)], 8),
        ("SELECT u.email, v.email FROM users u, users v", [(0, HASH), (1, HASH)], 2),
        ("SELECT email FROM users WHERE email = 'x' LIMIT 3 OFFSET 1", [(0, HASH)], 1),
        ("SELECT email FROM users ORDER BY id", [(0, HASH)], 1),
        ("WITH w AS (SELECT 1) SELECT email FROM users", [(0, HASH)], 1),
        ("SELECT email FROM users FOR UPDATE", [(0, HASH)], 1),
        ("SELECT * FROM users u JOIN orders o USING (id)", [(1, TOKENISE), (2, HASH)], 7),
        ("SELECT public.users.email FROM public.users", [(0, HASH)], 1),
    ],
)
def test_plain_columns_come_as_they_are(text: str, outputs: list[tuple[int, MaskKind]], width: int) -> None:
    assert places(text) == (outputs, width)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT upper(email) FROM users",
        "SELECT email || '' FROM users",
        "SELECT email::text FROM users",
        "SELECT DISTINCT email FROM users",
        "SELECT email FROM users GROUP BY email",
        "SELECT email FROM users GROUP BY email HAVING count(*) > 1",
        "SELECT max(email) FROM users",
        "SELECT email FROM users UNION SELECT email FROM users",
        "SELECT email FROM users ORDER BY email",
        "SELECT email FROM users ORDER BY 1",
        "SELECT email AS id FROM users ORDER BY id",
        "SELECT name FROM users ORDER BY users.name",
        "SELECT email, row_number() OVER w FROM users WINDOW w AS (ORDER BY id)",
        "SELECT email FROM (SELECT email FROM users) s",
        "WITH w AS (SELECT email FROM users) SELECT * FROM w",
        "SELECT (SELECT email FROM users LIMIT 1)",
        "SELECT u FROM users u",
        "SELECT (u).email FROM users u",
        "SELECT ARRAY[email] FROM users",
        "SELECT email FROM users u, generate_series(1, 2) g",
        "SELECT * FROM (users u JOIN orders o ON true) j",
        "SELECT salary FROM users",
        "SELECT note FROM orders",
        "PREPARE p AS SELECT email FROM users",
        "DECLARE c CURSOR FOR SELECT email FROM users",
        "EXPLAIN SELECT email FROM users",
        "COPY (SELECT email FROM users) TO STDOUT",
        "COPY users TO STDOUT",
        "DELETE FROM users RETURNING email",
        "SELECT email FROM users; SELECT 1",
        "SELECT (SELECT email) FROM users",
        "SELECT FROM users",
        "TABLE users",
        "VALUES ((SELECT email FROM users LIMIT 1))",
    ],
)
def test_everywhere_else_they_are_redacted_at_the_source(text: str) -> None:
    found = rewritten(text, WITHIN)
    assert not found.refusal, found.refusal
    assert (found.raw_outputs, found.width) == ((), -1)
    assert b"_interlock" not in found.text
    assert b"'***'" in found.text or b"NULL::" in found.text


def test_a_column_of_the_query_around_is_redacted() -> None:
    assert places("SELECT email, (SELECT email) FROM users") == ([(0, HASH)], 2)
    text = forwarded("SELECT email, (SELECT email) FROM users", WITHIN)
    assert text.startswith(f'SELECT {REAL} AS "email" , (SELECT email) FROM')


def test_names_of_columns_stay() -> None:
    assert forwarded("SELECT email FROM users", WITHIN).startswith(f'SELECT {REAL} AS "email" FROM')
    assert forwarded("SELECT email AS e FROM users", WITHIN).startswith(f"SELECT {REAL} AS e FROM")
    assert forwarded("SELECT email e FROM users", WITHIN).startswith(f"SELECT {REAL} e FROM")
    star = forwarded("SELECT * FROM users", WITHIN)
    assert star.startswith(
        f'SELECT "users"."id", "_interlock_1"."_interlock_c2" AS "name", {REAL} AS "email", "users"."salary" FROM'
    )


def test_what_the_gateway_masks_is_not_counted_as_masked_by_the_target() -> None:
    found = rewritten("SELECT email, salary FROM users", WITHIN)
    assert found.outputs == 1
    assert {column.column for column in found.masked} == {"email", "salary"}
    assert found.raw_outputs == (RawOutput(0, HASH),)


def test_without_keyed_masks_nothing_comes_as_it_is() -> None:
    for kind in MaskKind:
        found = rewritten("SELECT email FROM users", index({1: {"email": mask(kind)}}))
        assert bool(found.raw_outputs) is (kind in (HASH, TOKENISE))


# ---------------------------------------------------------------- on a real server


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**sample.endpoint(postgres, database="warehouse").parameters()) as connection:
        connection.execute("CREATE TABLE users (id int4, name text, email text, salary numeric)")
        connection.execute("CREATE TABLE orders (id int4, user_id int4, total numeric, note text)")
        connection.execute("INSERT INTO users VALUES (1, 'NAME', 'EMAIL', 5)")
        connection.execute("INSERT INTO orders VALUES (1, 1, 5, 'NOTE')")
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM users",
        "SELECT *, * FROM users",
        "SELECT u.*, o.* FROM orders o, users u",
        "SELECT * FROM orders o JOIN users u ON u.id = o.user_id",
        "SELECT * FROM orders o JOIN users u USING (id)",
        "SELECT * FROM users NATURAL LEFT JOIN (SELECT id FROM orders) s",
        "SELECT o.note, u.email, u.name AS n, upper(u.name) FROM users u JOIN orders o ON true",
        "SELECT *, email AS again FROM users u WHERE u.email = 'EMAIL' ORDER BY u.id FOR UPDATE OF u",
        "SELECT count(*), 1 FROM users",
        "TABLE users",
        "SELECT u.email FROM users u LEFT JOIN users v ON v.id = u.id",
    ],
)
def test_only_the_places_that_are_masked_later_hold_real_values(database: psycopg.Connection[Any], text: str) -> None:
    found = rewritten(text, WITHIN)
    assert not found.refusal, found.refusal
    cursor = database.execute(found.text)
    rows = cursor.fetchall()
    expected = [column.name for column in database.execute(text.encode()).description or []]
    assert [column.name for column in cursor.description or []] == expected
    raw = {output.position for output in found.raw_outputs}
    assert rows
    for row in rows:
        assert len(row) == found.width or not raw
        real = {place for place, value in enumerate(row) if value in ("NAME", "EMAIL", "NOTE")}
        assert real == raw
