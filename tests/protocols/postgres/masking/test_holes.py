"""Ways around masks that look like ordinary statements: each is refused, withheld or masked."""

import struct

import pytest

from interlock.core.catalogue import Catalogue, ForeignKey, Lineage, Operator, Relation, RelationKind, Routine, TypeCode
from interlock.core.masking import Masking, MaskKind
from interlock.protocols.postgres.masking import MaskingIndex, trace
from interlock.protocols.postgres.masking.rewriting import Rewriting
from interlock.protocols.postgres.parameters import parameter_problem
from tests.protocols.postgres.masking.shop import (
    MASKS,
    ORDERS,
    RELATIONS,
    USERS,
    forwarded,
    index,
    masking,
    masks,
    refused,
    rewritten,
    table,
)
from tests.protocols.postgres.masking.test_lineage import BOTH, ID, E, N, S, sources

EVERYTHING = {ID, N, E, S}

ON_THE_TARGET = [
    # a function called by a name that looks like a column's
    "UPDATE users SET name = name RETURNING users.to_jsonb",
    "UPDATE users AS u SET name = u.row_to_json",
    "DELETE FROM users u WHERE u.record_out::text LIKE '%a%'",
    "MERGE INTO users u USING orders o ON u.id = o.id AND u.row_to_json::text > 'a' WHEN MATCHED THEN DELETE",
    # what stands beside a join is not what its ON can name
    "UPDATE users SET name = '' RETURNING (SELECT 1 FROM orders AS users, orders a JOIN orders b ON users.email > 'a')",
    "UPDATE users SET name = 'x' RETURNING (SELECT 1 FROM hr.users h, orders a JOIN orders b ON email LIKE 'a%')",
    "DELETE FROM users USING orders WHERE (SELECT true FROM orders AS users, orders a TABLESAMPLE bernoulli "
    "(CASE WHEN users.email > 'm' THEN 100 ELSE 0 END))",
]


@pytest.mark.parametrize("text", ON_THE_TARGET)
def test_the_real_row_of_what_is_written_shows_nothing(text: str) -> None:
    """The stand-in has no real values; the target of a write has."""
    assert rewritten(text, index(masks("email"))).refusal


STALE = index(masks("email"), relations=(USERS, ORDERS, table(4, "users", "id int4, email text, users text", "hr")))


def test_bare_names_inside_a_write_stay_those_of_their_own_table() -> None:
    """If that has lost the column since it was read, the server would go on to the target's."""
    found = forwarded("UPDATE users SET name = (SELECT email FROM hr.users h WHERE email > 'a' LIMIT 1)", STALE)
    assert found.count('"h"."email"') == 2
    assert '"h"."users"' in forwarded("UPDATE users SET name = (SELECT users FROM hr.users h)", STALE)
    assert '"o"' not in forwarded("UPDATE users SET name = (SELECT note FROM orders o)", STALE)


@pytest.mark.parametrize(
    "query", ["SELECT email FROM hr.users a, hr.users b", "SELECT id AS email FROM hr.users h ORDER BY email"]
)
def test_bare_names_inside_a_write_that_could_mean_several_things_are_refused(query: str) -> None:
    assert "with its table" in refused(f"UPDATE users SET name = ({query})", STALE)


def test_a_function_called_like_a_column_is_given_the_whole_row() -> None:
    assert "may not be copied" in refused("INSERT INTO orders (note) SELECT u.row_to_json FROM users u")
    assert "row_to_json" in forwarded("SELECT u.row_to_json FROM users u", index(masks("email")))


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (f"SELECT to_jsonb(u.*) {BOTH}", EVERYTHING),
        ("SELECT to_jsonb(u.*) FROM public.users u CROSS JOIN generate_series(1, 3) n(n)", EVERYTHING),
        ("SELECT to_jsonb(u.*) FROM public.users u, (SELECT 1 AS u) x", EVERYTHING),
        ("SELECT row_to_json(u) FROM public.users u, generate_series(1, 3) n(n)", EVERYTHING),
        ("SELECT (SELECT to_jsonb(u.*) FROM generate_series(1, 3) g(g)) FROM public.users u", EVERYTHING),
    ],
)
def test_a_whole_row_in_a_view_is_all_its_columns(definition: str, expected: set[str]) -> None:
    """Whatever else has a column of that name, or columns that are not known."""
    (found,) = sources("a", definition)
    assert found >= expected


PEEK = Routine(20001, "public", "peek", "f", "plpgsql", arguments=1)


def is_safe(body: str) -> bool:
    """Whether a routine in SQL with this body counts as computing from its arguments only."""
    routine = Routine(20009, "public", "f", "f", "sql", body=body, arguments=1)
    operators = (Operator("public", "@@@", 20001),)
    types = (TypeCode("public", "checked", 20001), TypeCode("pg_catalog", "text", 20001, source="user_ref"))
    return 20009 in trace(Catalogue("c", (), (PEEK, routine), operators, types)).lineage.safe_routines


@pytest.mark.parametrize("body", ["SELECT @@@ $1", "SELECT ($1).peek", "SELECT x.peek", "SELECT $1::checked"])
def test_a_routine_in_sql_is_not_safe_when_it_runs_code_by_other_names(body: str) -> None:
    assert not is_safe(body)


@pytest.mark.parametrize("body", ["SELECT $1 + 1", "SELECT ($1).name", "SELECT $1::text"])
def test_other_operators_fields_and_types_are_safe(body: str) -> None:
    assert is_safe(body)


# ---------------------------------------------------------------- words of the server

CLEAN = table(60, "clean", "id int4, name text", kind=RelationKind.VIEW, definition="SELECT id, name FROM public.users")
STRANGE = table(61, "strange", "id int4", kind=RelationKind.VIEW, definition="?")
STORED = table(62, "stored", "id int4", kind=RelationKind.MATERIALIZED_VIEW, definition="SELECT id FROM public.users")
PARENT = table(63, "people", "name text")
CHILD = table(64, "employees", "name text, ssn text", parents=(63,))
CASCADING = table(
    65, "logins", "user_id int4, mail text", foreign_keys=(ForeignKey(("user_id",), 2, ("id",), cascades=True),)
)
PLAIN = table(66, "plain", "id int4")


def shop(*relations: Relation) -> MaskingIndex:
    lineage = Lineage(
        sources={
            (60, "id"): frozenset({(1, "id")}),
            (60, "name"): frozenset({(1, "name")}),
            (62, "id"): frozenset({(1, "id")}),
        },
        opaque=frozenset({61}),
    )
    on = {**MASKS, **masks("ssn", oid=64), **masks("mail", oid=65)}
    known = masking(on, (*RELATIONS, *relations))
    catalogue = type(known.catalogue)("c1", known.catalogue.relations, lineage=lineage)
    return MaskingIndex(Masking("m1", catalogue, on))


ALL = shop(CLEAN, STRANGE, STORED, PARENT, CHILD, CASCADING, PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE clean SET name = NULL",
        "INSERT INTO strange VALUES (1)",
        "UPDATE people SET name = NULL",
        "DELETE FROM orders",
        "REFRESH MATERIALIZED VIEW stored",
        "SELECT id FROM strange",
    ],
)
def test_what_the_server_says_is_withheld_wherever_a_write_or_a_view_reaches_masked_rows(text: str) -> None:
    found = rewritten(text, ALL)
    assert not found.refusal
    assert found.guarded


def test_errors_of_a_view_over_masked_rows_are_withheld() -> None:
    """Its query may fail at a value."""
    assert rewritten("SELECT id FROM clean", ALL).compares
    assert not rewritten("SELECT id FROM stored", ALL).compares


@pytest.mark.parametrize("text", ["UPDATE plain SET id = 1", "SELECT id FROM plain"])
def test_elsewhere_the_server_is_heard(text: str) -> None:
    found = rewritten(text, ALL)
    assert not found.guarded
    assert not found.compares


# ---------------------------------------------------------------- definitions


def test_a_table_whose_rows_include_masked_ones_keeps_its_columns() -> None:
    """A column that is added to it would be merged with the masked one of that name."""
    assert "masked columns" in refused("ALTER TABLE people ADD COLUMN ssn text", ALL)
    assert not rewritten("ALTER TABLE plain ADD COLUMN ssn text", ALL).refusal


def test_schemas_with_masked_tables_keep_their_names() -> None:
    """Within one text another schema could take the name."""
    assert "renamed" in refused("ALTER SCHEMA public RENAME TO old; SELECT 1")
    assert not rewritten("ALTER SCHEMA hr RENAME TO old").refusal


def test_a_domain_cannot_bring_a_collation_along() -> None:
    assert "COLLATE" in refused('CREATE DOMAIN d AS text COLLATE "any"')
    assert not rewritten("CREATE DOMAIN d AS text").refusal


def test_a_role_with_a_schema_of_its_name_cannot_be_taken_on() -> None:
    """``$user`` in the search path would mean that schema."""
    assert "schema of its name" in refused("SET ROLE hr")
    assert not rewritten("SET ROLE somebody").refusal
    assert "later sessions" in refused("ALTER ROLE somebody SET role = 'hr'")
    assert "later sessions" in refused("ALTER DATABASE shop SET role = 'hr'")


# ---------------------------------------------------------------- comparisons


def test_both_sides_of_a_natural_join_cannot_stand_hidden() -> None:
    """Their hidden columns have the same names, which a NATURAL JOIN would compare."""
    text = "SELECT 1 FROM users u NATURAL JOIN notes n WHERE u.email = 'a' AND n.secret = 'b'"
    notes = table(7, "notes", "nr int4, secret text")
    within = index({**masks("email"), **masks("secret", oid=7)}, relations=(USERS, ORDERS, notes))
    assert "Name the columns to join on" in refused(text, within)
    assert not rewritten(text.removesuffix(" AND n.secret = 'b'"), within).refusal


MANY = "{" + ",".join("x" * 101) + "}"


@pytest.mark.parametrize(
    "array",
    [
        f"ARRAY['{MANY}'::text[]]",
        f"ARRAY[ARRAY['a'], '{MANY}']",
        f"'{MANY}'::some_domain",
    ],
)
def test_values_of_arrays_in_arrays_are_counted(array: str) -> None:
    assert "100 constants" in refused(f"SELECT id FROM users WHERE email = ANY ({array})")


@pytest.mark.parametrize("array", [f"lower('{MANY}')::text[]", "lower($1)::text[]"])
def test_what_makes_an_array_is_no_array_of_constants(array: str) -> None:
    found = rewritten(f"SELECT id FROM users WHERE email = ANY ({array})")
    assert not found.compares


def test_parameters_inside_arrays_are_looked_at() -> None:
    found = rewritten("SELECT id FROM users WHERE email = ANY (ARRAY[$1::text[], $2])")
    assert found.array_parameters == {1, 2}
    assert "more than 100 values" in _bound(found, MANY.encode(), b"a")
    assert _bound(found, b"{a,b}", b"c") == ""


def _bound(rewriting: Rewriting, *values: bytes) -> str:
    bind = struct.pack(">HH", 0, len(values))
    bind += b"".join(struct.pack(">I", len(value)) + value for value in values)
    return parameter_problem(rewriting, bind, complete=True)


@pytest.mark.parametrize(
    "text",
    [
        "PREPARE p AS UPDATE users SET email = $1 WHERE id = 1; EXECUTE p('***')",
        "PREPARE p AS SELECT id FROM users WHERE email = ANY ($1); EXECUTE p('{a,b}')",
        "PREPARE p AS UPDATE users SET email = $1 WHERE id = 1; EXPLAIN ANALYZE EXECUTE p('***')",
    ],
)
def test_what_is_prepared_for_a_masked_column_is_not_executed_in_the_same_text(text: str) -> None:
    """The values of EXECUTE are looked at with what was prepared before."""
    assert "one after the other" in refused(text)


# ---------------------------------------------------------------- masks that are written back

RETURNED = "WITH u AS (UPDATE users SET name = 'x' RETURNING id, email)"


@pytest.mark.parametrize(
    "text",
    [
        f"{RETURNED} UPDATE users t SET email = u.email FROM u WHERE u.id = t.id",
        f"{RETURNED} INSERT INTO users (email) SELECT email FROM u",
        f"{RETURNED} MERGE INTO users t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET email = u.email",
        f"{RETURNED}, v AS (UPDATE users t SET email = u.email FROM u WHERE u.id = t.id RETURNING 1) SELECT * FROM v",
    ],
)
def test_a_mask_that_a_write_returns_is_not_written(text: str) -> None:
    """It would take the place of the real value."""
    assert "may not be written by another" in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{RETURNED} SELECT * FROM u",
        f"{RETURNED.replace(', email', '')} UPDATE users t SET name = 'y' FROM u WHERE u.id = t.id",
        "UPDATE users SET name = 'x' RETURNING email; UPDATE users SET name = 'y'",
    ],
)
def test_a_mask_that_a_write_returns_may_be_seen(text: str) -> None:
    assert not rewritten(text).refusal


# ---------------------------------------------------------------- columns that the gateway masks


HASHED = index(masks("email", kind=MaskKind.HASH))


def test_how_many_columns_stand_before_a_raw_one_does_not_depend_on_the_target() -> None:
    """A table that has got another column meanwhile would move it to a place that is not masked."""
    text = forwarded("SELECT o.*, u.email, h.* FROM orders o, users u, hr.users h", HASHED)
    targets = text.partition(" FROM ")[0]
    assert "*" not in targets
    assert '"o"."note"' in targets
    assert '"h"."email"' in targets


@pytest.mark.parametrize("target", ["(o).*", "(SELECT o).*", "(ROW(1, 2)).*"])
def test_nothing_is_raw_beside_a_row_of_unknown_width(target: str) -> None:
    found = rewritten(f"SELECT {target}, u.email FROM orders o, users u", HASHED)
    assert not found.refusal
    assert found.raw_outputs == ()
