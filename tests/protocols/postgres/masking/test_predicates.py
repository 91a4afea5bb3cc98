"""Which conditions may see a masked column's real value, under ``allow``, ``equality`` and ``deny``."""

import pytest

from interlock.core.masking import Predicates
from interlock.protocols.postgres.masking.predicates import MAX_COMPARED
from tests.protocols.postgres.masking.shop import index, masks, refused, rewritten, table

RELATION = table(1, "users", "id int4, name text, email text, aliases _text, score numeric, other text")
MASKED = ("email", "aliases", "score", "other")
UNDER = {each: index(masks(*MASKED, predicates=each), relations=(RELATION,)) for each in Predicates}
EQUALITY, ALLOW, DENY = UNDER[Predicates.EQUALITY], UNDER[Predicates.ALLOW], UNDER[Predicates.DENY]


def statement(condition: str) -> str:
    return f"SELECT id FROM users WHERE {condition}"


EQUAL = [
    "email = 'x'",
    "'x' = email",
    "email <> 'x'",
    "email != $1",
    "email = $1",
    "email = 'x'::text",
    "email = 'x'::varchar",
    "email = lower('X')",
    "email IN ('x', $1, 'y'::text)",
    "email NOT IN ('x')",
    "email = ANY ('{a,b}')",
    "email = ANY ($1)",
    "email = ANY ($1::text[])",
    "email = ANY (ARRAY['a', $1])",
    "email <> ALL (ARRAY['a'])",
    "email IS NULL",
    "email IS NOT NULL",
    "email IS DISTINCT FROM 'x'",
    "email IS NOT DISTINCT FROM $1",
    "lower(email) = 'x'",
    "pg_catalog.upper(email) = 'X'",
    "lower(upper(email)) = 'x'",
    "email::text = 'x'",
    "email::varchar = 'x'",
    "email COLLATE \"C\" = 'x'",
    "email = 'x' COLLATE pg_catalog.\"default\"",
    "email OPERATOR(pg_catalog.=) 'x'",
    "score = 5",
    "score = -5",
    "score = '5'::numeric",
    "NOT email = 'x'",
    "NOT (email = 'x' AND id > 1) OR id = 2",
    "users.email = 'x'",
    "public.users.email = 'x'",
    "aliases = '{a}'",
    "email = NULL",
]
ORDERED = [
    "email < 'x'",
    "email > $1",
    "email >= 'x'",
    "email LIKE 'x%'",
    "email NOT LIKE 'x%'",
    "email ILIKE 'x%'",
    "email LIKE 'x!%' ESCAPE '!'",
    "email SIMILAR TO 'x%'",
    "email ~ '^x'",
    "email ~* '^x'",
    "email !~ '^x'",
    "email BETWEEN 'a' AND 'b'",
    "email NOT BETWEEN SYMMETRIC 'a' AND 'b'",
    "score > 5",
    "score BETWEEN -1 AND 1",
    "email = name",
    "email = other",
    "name < email",
]
NEVER = [
    "email || 'x' = 'xx'",
    "left(email, 1) = 'x'",
    "length(email) = 3",
    "email = any (aliases)",
    "'x' = ANY (aliases)",
    "'x' = ALL (aliases)",
    "lower(score::text) = '5' OR left(email, 1) = 'a'",
    "email::bytea = 'x'",
    "email::text[] = '{x}'",
    "md5(email) = 'x'",
    "aliases[1] = 'x'",
    "aliases @> '{x}'",
    "aliases && '{x}'",
    "(email, id) = ('x', 1)",
    "CASE WHEN email = 'x' THEN true END",
    "coalesce(email = 'x', false)",
    "(email = 'x') IS TRUE",
    "(email = 'x') = true",
    "email = (SELECT 'x')",
    "email = chr(65)",
    "email = 'x' || 'y'",
    "email = current_user",
    "score = random()",
    "score + 0 = 5",
    "-score = 5",
    "email OPERATOR(public.=) 'x'",
    "email < ANY ('{a}')",
    "email = ALL ('{a}')",
    "email <> ANY ('{a}')",
    "starts_with(email, 'x')",
    "email ^@ 'x'",
    "nullif(email, 'x') IS NULL",
    "email = ANY ((SELECT array_agg(name) FROM users))",
    "lower(email, 'x') = 'x'",
    "email::varchar(1) = 'x'",
    "email::text::varchar(1) = 'x'",
    "score::varchar(1) = '5'",
    "email::char(1) = 'x'",
    "email::name = 'x'",
    "email COLLATE ignoring = 'x'",
    "email = 'x' COLLATE ignoring",
    "email COLLATE public.\"C\" = 'x'",
    "email IN ('x' COLLATE ignoring)",
]


@pytest.mark.parametrize("condition", EQUAL)
def test_equality_with_constants_may_see_the_value(condition: str) -> None:
    for within in (EQUALITY, ALLOW):
        found = rewritten(statement(condition), within)
        assert found.compares, found.refusal or found.text
        assert b'_interlock_1"."_interlock_c' in found.text.rpartition(b" WHERE ")[2]


@pytest.mark.parametrize("condition", ORDERED)
def test_order_and_patterns_may_see_the_value_only_when_policy_says_so(condition: str) -> None:
    assert rewritten(statement(condition), ALLOW).compares
    found = rewritten(statement(condition), EQUALITY)
    assert not found.compares
    assert found.refusal or b"_interlock" not in found.text


@pytest.mark.parametrize("condition", NEVER)
def test_anything_else_sees_the_mask(condition: str) -> None:
    for within in (ALLOW, EQUALITY):
        found = rewritten(statement(condition), within)
        assert found.refusal or (not found.compares and b"_interlock" not in found.text), found.text


@pytest.mark.parametrize("condition", [*EQUAL, *ORDERED])
def test_with_deny_no_comparison_sees_the_value(condition: str) -> None:
    assert "is masked and" in refused(statement(condition), DENY)


@pytest.mark.parametrize(
    "place",
    [
        "SELECT email = 'x' FROM users",
        "SELECT count(*) FILTER (WHERE email = 'x') FROM users",
        "SELECT id FROM users GROUP BY id HAVING max(email) = 'x'",
        "SELECT id FROM users ORDER BY email = 'x'",
        "SELECT id FROM users GROUP BY id, email = 'x'",
        "SELECT DISTINCT ON (email = 'x') id FROM users",
        "SELECT sum(id) OVER (ORDER BY email = 'x') FROM users",
        "SELECT id FROM users LIMIT (SELECT count(*) FROM (VALUES (1)) v WHERE false)",
        "VALUES ((SELECT email = 'x' FROM users))",
    ],
)
def test_a_comparison_anywhere_but_in_where_and_on_sees_the_mask(place: str) -> None:
    assert not rewritten(place, ALLOW).compares


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM users u JOIN users v ON u.email = 'x' AND v.id = u.id",
        "DELETE FROM users WHERE email = 'x'",
        "UPDATE users SET name = 'y' WHERE email IN ('x')",
        "SELECT (SELECT id FROM users WHERE email = 'x')",
        "SELECT 1 FROM (SELECT id FROM users WHERE email = $1) s",
        "WITH w AS (SELECT id FROM users WHERE email = $1) SELECT * FROM w",
        "SELECT id FROM users u WHERE EXISTS (SELECT FROM users v WHERE u.email = 'x')",
        "COPY (SELECT id FROM users WHERE email = 'x') TO STDOUT",
    ],
)
def test_where_and_on_of_every_kind_of_statement(text: str) -> None:
    found = rewritten(text, EQUALITY)
    assert found.compares, found.refusal


def test_columns_compared_with_one_another_are_a_join() -> None:
    sentence = refused("SELECT 1 FROM users u JOIN users v ON u.email = v.email", EQUALITY)
    assert "cannot be joined on" in sentence
    assert rewritten("SELECT 1 FROM users u JOIN users v ON u.email = v.email", ALLOW).compares


# ---------------------------------------------------------------- how many


def constants(count: int) -> str:
    return ", ".join(f"'{number}'" for number in range(count))


def array(count: int) -> str:
    return "'{" + ",".join(map(str, range(count))) + "}'"


@pytest.mark.parametrize("shape", ["email IN ({})", "email = ANY (ARRAY[{}])", "email NOT IN ({})"])
def test_constants_are_counted(shape: str) -> None:
    assert rewritten(statement(shape.format(constants(MAX_COMPARED))), EQUALITY).compares
    assert "at most" in refused(statement(shape.format(constants(MAX_COMPARED + 1))), EQUALITY)


@pytest.mark.parametrize("cast", ["", "::text[]"])
def test_the_values_of_an_array_literal_are_counted(cast: str) -> None:
    assert rewritten(statement(f"email = ANY ({array(MAX_COMPARED)}{cast})"), EQUALITY).compares
    assert "at most" in refused(statement(f"email = ANY ({array(MAX_COMPARED + 1)}{cast})"), EQUALITY)


def test_constants_are_counted_over_the_whole_text() -> None:
    half = MAX_COMPARED // 2
    several = [
        statement(f"email IN ({constants(half)}) OR email IN ({constants(half + 1)})"),
        f"{statement(f'email IN ({constants(half)})')}; {statement(f'email IN ({constants(half + 1)})')}",
        f"{statement(f'email IN ({constants(half)})')} UNION ALL {statement(f'email IN ({constants(half + 1)})')}",
        statement(" OR ".join(["email = 'x'"] * (MAX_COMPARED + 1))),
        f"DELETE FROM users WHERE email IN ({constants(half)}); {statement(f'email = ANY ({array(half + 1)})')}",
    ]
    for text in several:
        assert f"{MAX_COMPARED} constants at most" in refused(text, EQUALITY), text


def test_what_compares_nothing_masked_is_not_counted() -> None:
    assert not rewritten(statement(f"name IN ({constants(MAX_COMPARED * 3)})"), EQUALITY).refusal


def test_a_parameter_that_is_an_array_is_looked_at_when_it_is_bound() -> None:
    assert rewritten(statement("email = ANY ($3) AND email = $1"), EQUALITY).array_parameters == {3}
