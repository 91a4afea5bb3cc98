"""A star where a real relation stands hidden: on a real server, the same columns in the same order as without masks."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from interlock.core.masking import Predicates
from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.masking.stars import output_names
from tests.protocols.postgres.masking.shop import index, masks, refused, rewritten, table
from tests.servers import sample
from tests.servers.postgres import PostgresServer

PEOPLE = table(1, "people", 'id int4, name text, email text, Odd"name text, note text')
THINGS = table(2, "things", "id int4, owner int4, note text")
PLACES = table(3, "places", "owner int4, city text")
WITHIN = index(masks("email", predicates=Predicates.ALLOW), relations=(PEOPLE, THINGS, PLACES))
SCHEMA = """
    CREATE TABLE people (id int4, name text, email text, "Odd""name" text, note text);
    CREATE TABLE things (id int4, owner int4, note text);
    CREATE TABLE places (owner int4, city text);
    INSERT INTO people VALUES (1, 'a', 'x', 'odd', 'p'), (2, 'b', 'y', 'even', 'q'), (4, 'd', NULL, '', NULL);
    INSERT INTO things VALUES (1, 1, 'p'), (2, 1, 'z'), (3, 9, 'n');
    INSERT INTO places VALUES (1, 'Ulm'), (9, 'Bonn');
"""


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**sample.endpoint(postgres, database="warehouse").parameters()) as connection:
        connection.execute(SCHEMA)
        yield connection
        connection.rollback()


KINDS = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
ITEMS = [
    "people",
    "people AS p",
    'people "Q""x"',
    "people, things",
    "things t, people p",
    "people CROSS JOIN things",
    *(f"people p {kind} things t ON p.id = t.id" for kind in KINDS),
    *(f"things t {kind} people p USING (id)" for kind in KINDS),
    *(f"people p {kind} things t USING (note, id)" for kind in KINDS),
    *(f"people NATURAL {kind} things" for kind in KINDS),
    *(f"places {a} (things {b} people USING (id)) USING (owner)" for a, b in itertools.product(KINDS[:2], KINDS[:2])),
    "people p JOIN things t USING (id) JOIN places USING (owner)",
    "people p JOIN things t USING (id) AS merged",
    "people p NATURAL JOIN things t NATURAL LEFT JOIN places",
    "people p JOIN (things t JOIN places q USING (owner)) AS j ON p.id = j.owner",
    "people p JOIN (SELECT id, note AS remark FROM things) s ON s.id = p.id",
    "people p JOIN (VALUES (1, 'one')) AS v (id, word) USING (id)",
    "people p, generate_series(1, 2) AS g",
    "people p, LATERAL (SELECT p.id AS again) s",
    "people p (a, b, email)",
    "(people p JOIN things t USING (id))",
    "ONLY people p, people q",
]
TARGETS = ("*", "*, 1 AS one", "count(*)", "1 AS one, *, *")


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("items", ITEMS)
def test_the_same_columns_as_without_masks(database: psycopg.Connection[Any], items: str, targets: str) -> None:
    """The condition compares the masked column, so that the real relation stands beside it in the rewritten text."""
    (alias,) = re.findall(r'people(?: AS)? (p\b|"Q""x")', items)[:1] or ["people"]
    text = f"SELECT {targets} FROM {items} WHERE {alias}.email IS NULL OR {alias}.email <> 'nobody'"
    found = rewritten(text, WITHIN)
    if "The columns of a join" in found.refusal or "Name the columns that you need" in found.refusal:
        assert "*" in targets
        assert "generate_series" in items or "VALUES" in items or "AS j" in items
        return
    assert not found.refusal, found.refusal
    assert b"_interlock_1" in found.text
    expected, got = answer(database, text), answer(database, found.text.decode())
    assert [(one.name, one.type_code) for one in got[0]] == [(one.name, one.type_code) for one in expected[0]]
    places = [place for place, one in enumerate(expected[0]) if one.name == "email"]
    assert sorted(got[1], key=repr) == sorted((masked(row, places) for row in expected[1]), key=repr)


def answer(database: psycopg.Connection[Any], text: str) -> tuple[list[psycopg.Column], list[tuple[Any, ...]]]:
    cursor = database.execute(text.encode())
    return list(cursor.description or []), cursor.fetchall()


def masked(row: tuple[Any, ...], places: list[int]) -> tuple[Any, ...]:
    return tuple("***" if at in places and cell is not None else cell for at, cell in enumerate(row))


@pytest.mark.parametrize("targets", ["p.*", "p.*, t.*", "t.*", "p", "(p).email", "(p).*", "row_to_json(p)"])
def test_stars_of_one_item_and_whole_rows(database: psycopg.Connection[Any], targets: str) -> None:
    text = f"SELECT {targets} FROM people p JOIN things t USING (id) WHERE p.email <> 'nobody'"
    found = rewritten(text, WITHIN)
    assert not found.refusal, found.refusal
    expected, got = answer(database, text), answer(database, found.text.decode())
    assert [one.name for one in got[0]] == [one.name for one in expected[0]]
    assert len(got[1]) == len(expected[1])
    assert "'x'" not in repr(got[1])


@pytest.mark.parametrize(
    "items", ["people p, generate_series(1, 2) AS g JOIN things t USING (id)", "people p NATURAL JOIN pg_class c"]
)
def test_columns_of_a_join_that_are_not_known_must_be_named(items: str) -> None:
    assert refused(f"SELECT * FROM {items} WHERE p.email = 'x'", WITHIN)
    assert not rewritten(f"SELECT p.name FROM people p, {items.split(', ')[-1]}", WITHIN).compares


# ---------------------------------------------------------------- names of columns


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT a, t.b, c AS d, count(*), x::text, f(1)", ("a", "b", "d", "count", "x", "f")),
        ("SELECT a UNION SELECT b", ("a",)),
        ("(SELECT a UNION SELECT b) UNION SELECT c", ("a",)),
        ("SELECT x.y.z", ("z",)),
        ("SELECT *", None),
        ("SELECT a, t.*", None),
        ("SELECT 1", None),
        ("SELECT a + 1", None),
        ("SELECT", None),
        ("VALUES (1)", None),
        ("DELETE FROM t RETURNING a", None),
    ],
)
def test_names_of_a_querys_columns(query: str, names: tuple[str, ...] | None) -> None:
    (tree,) = grammar.parse(query.encode())
    assert output_names(tree) == names
