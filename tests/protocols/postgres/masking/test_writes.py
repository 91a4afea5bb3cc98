"""INSERT, UPDATE, DELETE and MERGE: what they may say of masked columns, what they return, and what is lost by none."""

import pytest

from interlock.core.catalogue import RelationKind
from interlock.core.masking import MaskKind, Predicates
from interlock.protocols.postgres.masking.writes import STANDS_FOR_VALUE, WRITERS, written_back
from tests.protocols.postgres.masking.shop import MASKS, RELATIONS, forwarded, index, masks, refused, rewritten, table

MASK = """(CASE WHEN {} IS NULL THEN NULL ELSE '***' END)::"pg_catalog"."text\""""
PLAIN, OF_USERS, OF_U = map(MASK.format, ('"email"', '"users"."email"', '"u"."email"'))
EMAIL_ONLY = index(masks("email"))


def returned(text: str) -> str:
    return forwarded(text, EMAIL_ONLY).partition("RETURNING ")[2]


# ---------------------------------------------------------------- RETURNING


@pytest.mark.parametrize(
    ("returning", "result"),
    [
        ("id, name", "id, name"),
        ("email", f'{PLAIN} AS "email"'),
        ("email AS e", f"{PLAIN} AS e"),
        ("users.email", f'{OF_USERS} AS "email"'),
        ("upper(email)", f"upper( {PLAIN} )"),
        ("email || users.email", f"{PLAIN} || {OF_USERS}"),
        ("email = 'x'", f"{PLAIN} = 'x'"),
        ("CASE WHEN email LIKE 'a%' THEN 1 END", f"CASE WHEN {PLAIN} LIKE 'a%' THEN 1 END"),
    ],
)
@pytest.mark.parametrize(
    "verb", ["DELETE FROM users", "UPDATE users SET name = 'x'", "INSERT INTO users (id) VALUES (1)"]
)
def test_a_masked_column_of_what_was_written_is_returned_masked(verb: str, returning: str, result: str) -> None:
    assert returned(f"{verb} RETURNING {returning}") == result


@pytest.mark.parametrize("star", ["*", "users.*"])
def test_a_star_is_written_out(star: str) -> None:
    columns = f'"users"."id", "users"."name", {OF_USERS} AS "email", "users"."salary"'
    assert returned(f"DELETE FROM users RETURNING {star}") == columns
    assert returned(f"DELETE FROM users RETURNING 1, {star} , 2") == f"1, {columns} , 2"
    assert returned(f"INSERT INTO users VALUES (1) RETURNING {star}") == columns


def test_a_star_over_several_relations() -> None:
    text = returned("UPDATE users u SET name = o.note FROM orders o, hr.users h RETURNING *")
    assert text == f'"u"."id", "u"."name", {OF_U} AS "email", "u"."salary", "o".*, "h".*'
    merged = "MERGE INTO users u USING orders o ON u.id = o.user_id WHEN MATCHED THEN DELETE RETURNING *"
    assert returned(merged).startswith('"o".*, "u"."id"')


def test_a_star_of_what_is_not_masked_stays() -> None:
    assert returned("DELETE FROM orders RETURNING *") == "*"
    assert returned("UPDATE orders o SET note = 'x' FROM users u WHERE u.id = o.user_id RETURNING o.*") == "o.*"


def test_what_a_join_adds_comes_from_its_masked_form() -> None:
    assert returned("DELETE FROM orders USING users u RETURNING u.email") == "u.email"
    assert returned("DELETE FROM orders USING users u RETURNING u") == "u"


@pytest.mark.parametrize(
    "returning", ["users", "row_to_json(users)", "(users).email", "users::text", "(SELECT users)", "count(users)"]
)
def test_whole_rows_of_what_was_written_are_refused(returning: str) -> None:
    assert "Name the columns to return one by one" in refused(f"DELETE FROM users RETURNING {returning}")


@pytest.mark.parametrize(
    "returning", ["old.email", "new.email", "old.*", "new.*", "(SELECT old.email)", "o.email, n.email"]
)
def test_old_and_new_rows(returning: str) -> None:
    clause = f"WITH (OLD AS o, NEW AS n) {returning}" if "o." in returning else returning
    found = rewritten(f"UPDATE users SET name = 'x' RETURNING {clause}", EMAIL_ONLY)
    assert found.refusal or b"THEN NULL ELSE '***'" in found.text
    assert "old.email" not in found.text.decode() or found.refusal


def test_a_returned_column_that_may_not_be_revealed() -> None:
    for returning in ("token", "*", "secrets", "upper(token)"):
        assert refused(f"DELETE FROM secrets RETURNING {returning}")
    assert forwarded("DELETE FROM secrets RETURNING id, label").endswith("RETURNING id, label")


# ---------------------------------------------------------------- what may decide


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM users WHERE email = 'x'",
        "UPDATE users SET name = 'y' WHERE email IN ('x', $1) AND id = 1",
        "DELETE FROM users u USING orders o WHERE o.user_id = u.id AND u.email = $1",
        "INSERT INTO users VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'y' WHERE users.email = 'x'",
        "MERGE INTO users u USING orders o ON o.user_id = u.id WHEN MATCHED AND u.email = 'x' THEN DELETE",
    ],
)
def test_rows_may_be_chosen_by_equality(text: str) -> None:
    found = rewritten(text)
    assert not found.refusal
    assert found.compares
    assert found.guarded
    assert b"_interlock" not in found.text


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM users WHERE email LIKE 'a%'",
        "DELETE FROM users WHERE email > 'a'",
        "DELETE FROM users WHERE left(email, 1) = 'a'",
        "DELETE FROM users u USING orders o WHERE o.note = u.email",
        "DELETE FROM users WHERE users IS NOT NULL",
        "DELETE FROM users WHERE EXISTS (SELECT FROM orders WHERE note = email)",
        "DELETE FROM users WHERE (SELECT email) = 'x'",
        "DELETE FROM users WHERE id = (SELECT length(email))",
        "UPDATE users SET name = 'y' WHERE name = email",
        "MERGE INTO users u USING orders o ON o.note = u.email WHEN MATCHED THEN DELETE",
        "MERGE INTO users u USING orders o ON true WHEN MATCHED AND u.email < 'x' THEN DELETE",
        "INSERT INTO users VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'y' WHERE users.email LIKE 'a%'",
        "INSERT INTO users VALUES (1) ON CONFLICT (lower(email)) DO NOTHING",
        "INSERT INTO users VALUES (1) ON CONFLICT (id) WHERE email LIKE 'a%' DO NOTHING",
        "DELETE FROM users WHERE CASE WHEN email = 'x' THEN true END",
        "DELETE FROM users u WHERE u.salary = 1",
    ],
)
def test_nothing_else_may_choose_rows(text: str) -> None:
    assert "masked" in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE users SET name = email",
        "UPDATE users SET name = upper(email)",
        "UPDATE users SET (name, id) = (SELECT email, 1)",
        "UPDATE users SET (name, id) = (email, 1)",
        "UPDATE users SET email = email || 'x'",
        "UPDATE users u SET name = v.email FROM users v",
        "UPDATE orders SET note = (SELECT email FROM users LIMIT 1)",
        "INSERT INTO orders (note) SELECT email FROM users",
        "INSERT INTO orders (note) SELECT u::text FROM users u",
        "INSERT INTO orders (note) VALUES ((SELECT email FROM users LIMIT 1))",
        "INSERT INTO users (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = users.email",
        "WITH w AS (SELECT email FROM users) INSERT INTO orders (note) SELECT email FROM w",
        "WITH w AS (DELETE FROM users RETURNING email) INSERT INTO orders (note) SELECT email FROM w",
        "MERGE INTO orders o USING users u ON u.id = o.user_id WHEN MATCHED THEN UPDATE SET note = u.email",
        "MERGE INTO orders o USING users u ON false WHEN NOT MATCHED THEN INSERT (note) VALUES (u.email)",
        "MERGE INTO users u USING orders o ON false WHEN MATCHED THEN UPDATE SET name = u.email",
    ],
)
def test_no_masked_value_goes_to_another_place(text: str) -> None:
    found = rewritten(text)
    assert found.refusal or ("WITH w AS (DELETE" in text and "'***'" in found.text.decode()), found.text


def test_readable_columns_may_be_copied() -> None:
    text = forwarded("INSERT INTO orders (note) SELECT name FROM users WHERE email = 'x' ORDER BY id")
    assert '"_interlock_1"."_interlock_c3" = ' in text


# ---------------------------------------------------------------- the masked-write guard


@pytest.mark.parametrize("value", ["***", "a***b", "***@example.com", "hash:0123456789abcdefghijklmn"])
def test_what_stands_for_a_value_is_not_written_over_it(value: str) -> None:
    for text in (
        f"UPDATE users SET email = '{value}'",
        f"UPDATE users SET email = lower('{value}')",
        f"UPDATE users SET (email, name) = ('{value}', 'x')",
        f"UPDATE users SET (name, email) = ROW ('x', '{value}')",
        f"INSERT INTO users (id, email) VALUES (1, 'x'), (2, '{value}')",
        f"INSERT INTO users VALUES (1, 'x', '{value}')",
        f"INSERT INTO users (email) SELECT '{value}'",
        f"INSERT INTO users (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET email = '{value}'",
        f"MERGE INTO users u USING orders o ON false WHEN NOT MATCHED THEN INSERT (email) VALUES ('{value}')",
        f"MERGE INTO users u USING orders o ON true WHEN MATCHED THEN UPDATE SET email = '{value}'",
    ):
        assert refused(text) == written_back("users.email"), text


@pytest.mark.parametrize("value", ["**", "hash:short", "x@example.com", ""])
def test_other_values_are_written(value: str) -> None:
    assert not rewritten(f"UPDATE users SET email = '{value}'").refusal


def test_null_is_not_written_over_what_is_shown_as_null() -> None:
    assert written_back("users.salary") == refused("UPDATE users SET salary = NULL")
    assert written_back("users.salary") == refused("UPDATE users SET (id, salary) = (1, NULL)")
    assert not rewritten("UPDATE users SET email = NULL").refusal
    assert not rewritten("INSERT INTO users (id, salary) VALUES (1, NULL)").refusal


def test_columns_that_are_not_masked_take_anything() -> None:
    for text in ("UPDATE users SET name = '***'", "INSERT INTO orders (note) VALUES ('***')"):
        assert not rewritten(text).refusal


@pytest.mark.parametrize(
    ("value", "stands"),
    [
        (b"***", True),
        (b"x***y", True),
        (b"**", False),
        (b"hash:" + b"a0" * 12, True),
        (b"hash:" + b"a0" * 11, False),
        (b"hash:" + b"A0" * 12, False),
    ],
)
def test_what_masks_leave_in_a_text(value: bytes, stands: bool) -> None:
    assert bool(STANDS_FOR_VALUE.search(value)) is stands


# ---------------------------------------------------------------- where it is written


def test_relations_whose_rules_replace_what_is_written_are_refused() -> None:
    ruled = table(8, "ruled", "id int4", rewrites=True, kind=RelationKind.VIEW)
    within = index(relations=(*RELATIONS, ruled))
    for text in ("INSERT INTO ruled VALUES (1)", "UPDATE ruled SET id = 1", "DELETE FROM ruled"):
        assert "runs rules" in refused(text, within)


def test_a_relation_that_runs_code_is_guarded_only() -> None:
    logged = table(8, "logged", "id int4", runs_code=True)
    found = rewritten("DELETE FROM logged", index(relations=(*RELATIONS, logged)))
    assert (found.guarded, found.text) == (True, b"DELETE FROM logged")


@pytest.mark.parametrize(
    "text",
    [
        "WITH w AS (DELETE FROM users WHERE email LIKE 'a%') SELECT 1",
        "WITH w AS (UPDATE users SET name = email RETURNING id) SELECT * FROM w",
        "PREPARE p AS UPDATE users SET name = email",
        "EXPLAIN ANALYZE UPDATE users SET name = email",
        "CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM users",
    ],
)
def test_writes_within_other_statements(text: str) -> None:
    assert refused(text)


def test_the_writers_are_those_of_the_grammar() -> None:
    assert set(WRITERS) == {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"}


def test_with_allow_a_write_may_be_chosen_by_order_but_gives_nothing_out() -> None:
    within = index(masks("email", predicates=Predicates.ALLOW))
    assert rewritten("DELETE FROM users WHERE email LIKE 'a%'", within).compares
    assert refused("UPDATE users SET name = email", within)


def test_what_may_not_be_revealed_may_be_written() -> None:
    within = index({1: {"email": MASKS[3]["token"]}})
    assert MASKS[3]["token"].kind is MaskKind.FORBID
    assert rewritten("INSERT INTO users (email) VALUES ('x')", within).guarded
    assert refused("UPDATE users SET name = 'x' WHERE email = 'x'", within)
