"""COPY under a mask: out of relations it becomes COPY of a query; into them it is watched."""

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from interlock.core.catalogue import RelationKind
from interlock.protocols.postgres.masking.names import Surroundings
from tests.protocols.postgres.masking.shop import (
    RELATIONS,
    USERS,
    forwarded,
    index,
    masks,
    refused,
    rewritten,
    table,
)
from tests.servers import sample
from tests.servers.postgres import PostgresServer

EMAIL = index(masks("email"))
MASK = """(CASE WHEN "email" IS NULL THEN NULL ELSE '***' END)::"pg_catalog"."text" AS "email\""""
SELECT = f'SELECT "id", "name", {MASK}, "salary" FROM'
MASKED = f'({SELECT} ONLY "public"."users") AS "users"'
ALL = f'(SELECT "id", "name", "email", "salary" FROM {MASKED})'


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("COPY users TO STDOUT", f"COPY {ALL} TO STDOUT"),
        ("COPY public.users TO STDOUT", f"COPY {ALL} TO STDOUT"),
        ("COPY users TO STDOUT (FORMAT binary)", f"COPY {ALL} TO STDOUT (FORMAT binary)"),
        ("COPY users TO STDOUT WITH CSV HEADER", f"COPY {ALL} TO STDOUT WITH CSV HEADER"),
        (
            "COPY users (email, id) TO STDOUT (FORMAT csv, FORCE_QUOTE (email))",
            f'COPY (SELECT "email", "id" FROM {MASKED}) TO STDOUT (FORMAT csv, FORCE_QUOTE (email))',
        ),
        ("COPY users ( name ) TO STDOUT", f'COPY (SELECT "name" FROM {MASKED}) TO STDOUT'),
        (
            "COPY (SELECT email FROM users) TO STDOUT",
            f'COPY (SELECT email FROM ({SELECT} "public"."users") AS "users" ) TO STDOUT',
        ),
        (
            "COPY (DELETE FROM users RETURNING email) TO STDOUT",
            f'COPY (DELETE FROM "public"."users" RETURNING {MASK} ) TO STDOUT',
        ),
        ("COPY orders TO STDOUT", "COPY orders TO STDOUT"),
        ("COPY orders (note) TO STDOUT", "COPY orders (note) TO STDOUT"),
        ("COPY users FROM STDIN", 'COPY "public"."users" FROM STDIN'),
        ("COPY users (id, name) FROM STDIN CSV", 'COPY "public"."users" (id, name) FROM STDIN CSV'),
        ("COPY orders FROM STDIN WHERE note <> 'x'", "COPY orders FROM STDIN WHERE note <> 'x'"),
    ],
)
def test_text(text: str, result: str) -> None:
    assert forwarded(text, EMAIL) == result


def test_generated_columns_are_left_out_as_copy_leaves_them_out() -> None:
    generated = msgspec.structs.replace(USERS.columns[1], generated=True, expression="upper(email)")
    users = msgspec.structs.replace(USERS, columns=(USERS.columns[0], generated, *USERS.columns[2:]))
    text = forwarded("COPY users TO STDOUT", index(masks("email"), relations=(users,)))
    assert text.startswith('COPY (SELECT "id", "email", "salary" FROM (SELECT "id", "name"')


@pytest.mark.parametrize(
    ("kind", "only"),
    [(RelationKind.TABLE, True), (RelationKind.PARTITIONED, False), (RelationKind.VIEW, False)],
)
def test_rows_of_what_inherits_are_left_out_as_copy_leaves_them_out(kind: RelationKind, only: bool) -> None:
    users = msgspec.structs.replace(USERS, kind=kind)
    assert ('ONLY "public"' in forwarded("COPY users TO STDOUT", index(masks("email"), relations=(users,)))) is only


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("COPY secrets TO STDOUT", "Name the columns of secrets to copy"),
        ("COPY secrets (id, token) TO STDOUT", "Name the columns of secrets to copy"),
        ("COPY (SELECT token FROM secrets) TO STDOUT", "may not be revealed"),
        ("COPY (TABLE secrets) TO STDOUT", "may not be revealed"),
        ("COPY users FROM STDIN WHERE email = 'x'", "Leave out the WHERE of COPY"),
        ("COPY users FROM STDIN WHERE id = 1", "Leave out the WHERE of COPY"),
        ("COPY missing TO STDOUT", "does not exist"),
        ("COPY users TO PROGRAM 'cat'", "programs on the server"),
        ("COPY users FROM '/tmp/x'", "files of the server"),
        ("COPY pg_stats TO STDOUT", "can hold values of others"),
    ],
)
def test_refusal(text: str, sentence: str) -> None:
    assert sentence in refused(text)


@pytest.mark.parametrize(
    ("text", "guarded", "copies_in"),
    [
        ("COPY users FROM STDIN", True, True),
        ("COPY users (name) FROM STDIN", True, False),
        ("COPY users (name, email) FROM STDIN", True, True),
        ("COPY orders FROM STDIN", False, False),
        ("COPY logged FROM STDIN", True, False),
        ("COPY secrets FROM STDIN", True, True),
    ],
)
def test_what_is_copied_in_is_watched(text: str, guarded: bool, copies_in: bool) -> None:
    logged = table(8, "logged", "id int4", runs_code=True)
    found = rewritten(text, index(relations=(*RELATIONS, logged)))
    assert (found.guarded, found.copies_in) == (guarded, copies_in)


def test_outputs_and_masked_columns() -> None:
    found = rewritten("COPY users (id, email) TO STDOUT")
    assert (found.outputs, [column.column for column in found.masked]) == (1, ["email"])
    assert rewritten("COPY users (id) TO STDOUT").outputs == 0


def test_a_name_that_could_mean_another_relation_is_written_with_its_schema() -> None:
    around = Surroundings(("hr", "public"))
    assert forwarded("COPY users TO STDOUT", around=around) == 'COPY "hr"."users" TO STDOUT'
    assert forwarded("COPY users (id) TO STDOUT", around=around) == 'COPY "hr"."users" (id) TO STDOUT'
    assert forwarded("COPY users FROM STDIN", around=around) == 'COPY "hr"."users" FROM STDIN'


# ---------------------------------------------------------------- on a real server


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**sample.endpoint(postgres, database="warehouse").parameters()) as connection:
        connection.execute("CREATE TABLE users (id int4, name text, email text, salary numeric)")
        connection.execute("CREATE TABLE staff () INHERITS (users)")
        connection.execute("INSERT INTO users VALUES (1, 'a', 'x@y', 5), (2, NULL, NULL, NULL)")
        connection.execute("INSERT INTO staff VALUES (3, 'c', 'z@y', 7)")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("options", ["", "(FORMAT csv, HEADER)", "(FORMAT binary)", "(FORMAT csv, NULL 'none')"])
@pytest.mark.parametrize("names", ["", " (email, id)"])
def test_the_same_data_as_without_masks_but_for_the_masked(
    database: psycopg.Connection[Any], names: str, options: str
) -> None:
    text = f"COPY users{names} TO STDOUT {options}"
    direct = copied(database, text)
    assert copied(database, forwarded(text, EMAIL)) == direct.replace(b"\0\0\0\3x@y", b"\0\0\0\3***").replace(
        b"x@y", b"***"
    )
    assert b"z@y" not in direct


def copied(database: psycopg.Connection[Any], text: str) -> bytes:
    with database.cursor().copy(text.encode()) as copy:
        return b"".join(map(bytes, copy))
