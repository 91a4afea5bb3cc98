"""What goes to the target in the place of a statement: exact texts, refusals with their SQLSTATE, and what is noted."""

from collections.abc import Set

import pytest

from interlock.core.catalogue import Operator, Routine, TypeCode
from interlock.core.masking import MaskedColumn
from interlock.protocols.postgres.masking import guard
from interlock.protocols.postgres.masking.names import Surroundings
from interlock.protocols.postgres.masking.rewriting import Rewriting, rewrite
from interlock.protocols.postgres.statements import interpret
from tests.protocols.postgres.masking.shop import INDEX, PATH, forwarded, index, masks, refused, rewritten, table

EMAIL = """(CASE WHEN {} IS NULL THEN NULL ELSE '***' END)::"pg_catalog"."text" AS "email\""""
PLAIN_EMAIL, RETURNED_EMAIL = EMAIL.format('"email"'), EMAIL.format('"users"."email"')
NULL = 'NULL::"pg_catalog"."numeric" AS "salary"'
READABLE = f"""SELECT "id", "name", {PLAIN_EMAIL}, {NULL} FROM"""
ALONE = f'({READABLE} "public"."users")'
ONLY = f'({READABLE} ONLY "public"."users")'
REAL = '"id" AS "_interlock_c1", "name" AS "_interlock_c2", "email" AS "_interlock_c3", "salary" AS "_interlock_c4"'


def beside(alias: str, number: int = 1, system: str = "") -> str:
    """The form in which the real relation stands hidden beside its masked one."""
    hidden = f'"_interlock_{number}"'
    email = EMAIL.format(f'{hidden}."_interlock_c3"')
    return (
        f'((SELECT {REAL}{system} FROM "public"."users") AS {hidden} CROSS JOIN LATERAL'
        f' (SELECT {hidden}."_interlock_c1" AS "id", {hidden}."_interlock_c2" AS "name", {email}, {NULL}) {alias})'
    )


BESIDE, BESIDE_U = beside('AS "users"'), beside("u")
WITH_CTID, WITH_XMIN = beside('AS "users"', system=', "ctid"'), beside("u", system=', "xmin"')
H = '"_interlock_1"."_interlock_c3"'
IS_NULL = f"(CASE WHEN {H} IS NULL THEN NULL ELSE 1 END)"
RETURNED = f"""RETURNING "users"."id", "users"."name", {RETURNED_EMAIL}, {NULL}"""
USERS = '"public"."users"'

TEXTS = {
    "SELECT id, email FROM users": f'SELECT id, email FROM {ALONE} AS "users"',
    "SELECT * FROM public.users AS u": f"SELECT * FROM {ALONE} AS u",
    "SELECT email FROM ONLY users": f'SELECT email FROM {ONLY} AS "users"',
    "SELECT email FROM ONLY (users)": f'SELECT email FROM {ONLY} AS "users"',
    "SELECT email FROM users *": f'SELECT email FROM {ALONE} AS "users"',
    "TABLE users": f'SELECT * FROM {ALONE} AS "users"',
    "SELECT u FROM users u": f"SELECT u FROM {ALONE} u",
    "SELECT count(*) FROM users": f'SELECT count(*) FROM {ALONE} AS "users"',
    "SELECT a, c FROM users u (a, b, c, d)": f"SELECT a, c FROM {ALONE} u (a, b, c, d)",
    "SELECT name FROM users ORDER BY email": f'SELECT name FROM {ALONE} AS "users" ORDER BY email',
    "SELECT email FROM users FOR UPDATE": f'SELECT email FROM {ALONE} AS "users" FOR UPDATE',
    "SELECT public.users.email FROM public.users": f'SELECT "users"."email" FROM {ALONE} AS "users"',
    "SELECT 1 FROM users WHERE name LIKE 'a%'": f"SELECT 1 FROM {ALONE} AS \"users\" WHERE name LIKE 'a%'",
    "SELECT * FROM users WHERE email LIKE 'a%'": f"SELECT * FROM {ALONE} AS \"users\" WHERE email LIKE 'a%'",
    "SELECT * FROM users TABLESAMPLE system (10) REPEATABLE (1)": (
        f'SELECT * FROM ({READABLE} {USERS} TABLESAMPLE system (10) REPEATABLE (1)) AS "users"'
    ),
    "SELECT * FROM users u, users v": f"SELECT * FROM {ALONE} u , {ALONE} v",
    "WITH x AS (SELECT email FROM users) SELECT * FROM x": (
        f'WITH x AS (SELECT email FROM {ALONE} AS "users" ) SELECT * FROM x'
    ),
    "WITH users AS (SELECT 1 AS email) SELECT email FROM users, public.users u": (
        f"WITH users AS (SELECT 1 AS email) SELECT email FROM users, {ALONE} u"
    ),
    "SELECT label FROM secrets": 'SELECT label FROM (SELECT "id", "label" FROM "public"."secrets") AS "secrets"',
    # permitted comparisons
    "SELECT name FROM users WHERE email = 'a'": f"SELECT name FROM {BESIDE} WHERE {H} = 'a'",
    "SELECT name FROM users WHERE lower(email) = 'a'": (f"SELECT name FROM {BESIDE} WHERE lower( {H} ) = 'a'"),
    "SELECT * FROM users u WHERE u.email = $1": f'SELECT "u".* FROM {BESIDE_U} WHERE {H} = $1',
    "SELECT * FROM users u WHERE email IS NOT NULL": f'SELECT "u".* FROM {BESIDE_U} WHERE {IS_NULL} IS NOT NULL',
    "SELECT name FROM users u WHERE email = 'a' FOR UPDATE OF u": (
        f"SELECT name FROM {BESIDE_U} WHERE {H} = 'a' FOR UPDATE OF \"_interlock_1\""
    ),
    "SELECT u.id FROM users u JOIN orders o ON u.email = 'x' AND o.user_id = u.id": (
        f"SELECT u.id FROM {BESIDE_U} JOIN orders o ON {H} = 'x' AND o.user_id = u.id"
    ),
    "SELECT ctid, id FROM users": f"SELECT ctid, id FROM {WITH_CTID}",
    "SELECT u.xmin FROM users u": f'SELECT "_interlock_1"."xmin" FROM {WITH_XMIN}',
    # writes
    "INSERT INTO users (id, email) VALUES (1, 'x')": f"INSERT INTO {USERS} (id, email) VALUES (1, 'x')",
    "INSERT INTO users VALUES (1) RETURNING *": f"INSERT INTO {USERS} VALUES (1) {RETURNED}",
    "UPDATE users SET name = 'x' WHERE email = $1": f"UPDATE {USERS} SET name = 'x' WHERE email = $1",
    "DELETE FROM users WHERE email = 'x' RETURNING *": f"DELETE FROM {USERS} WHERE email = 'x' {RETURNED}",
    "DELETE FROM ONLY users": f"DELETE FROM ONLY {USERS}",
    "CREATE TABLE t AS SELECT name FROM users": f'CREATE TABLE t AS SELECT name FROM {ALONE} AS "users"',
    "CREATE VIEW v AS SELECT name FROM users": f'CREATE VIEW v AS SELECT name FROM {ALONE} AS "users"',
    # COPY
    "COPY users TO STDOUT": f'COPY (SELECT "id", "name", "email", "salary" FROM {ONLY} AS "users") TO STDOUT',
    "COPY users (email) TO STDOUT": f'COPY (SELECT "email" FROM {ONLY} AS "users") TO STDOUT',
    "COPY users FROM STDIN": f"COPY {USERS} FROM STDIN",
    # statements about statements
    "PREPARE p AS SELECT email FROM users": f'PREPARE p AS SELECT email FROM {ALONE} AS "users"',
    "DECLARE c CURSOR FOR TABLE users": f'DECLARE c CURSOR FOR SELECT * FROM {ALONE} AS "users"',
    "EXPLAIN SELECT email FROM users": f'EXPLAIN SELECT email FROM {ALONE} AS "users"',
    # names that need quotes
    'SELECT * FROM "Ta""b" WHERE "E""x" = \'a\'': (
        'SELECT "Ta""b".* FROM ((SELECT "id" AS "_interlock_c1", "E""x" AS "_interlock_c2" FROM "public"."Ta""b")'
        ' AS "_interlock_1" CROSS JOIN LATERAL (SELECT "_interlock_1"."_interlock_c1" AS "id", (CASE WHEN'
        ' "_interlock_1"."_interlock_c2" IS NULL THEN NULL ELSE \'***\' END)::"pg_catalog"."text" AS "E""x")'
        ' AS "Ta""b") WHERE "_interlock_1"."_interlock_c2" = \'a\''
    ),
    r'SELECT U&"\0065mail" FROM U&"\0075sers"': rf'SELECT U&"\0065mail" FROM {ALONE} AS "users"',
    "SELECT U&\"!0065mail\" UESCAPE '!' FROM U&\"!0075sers\" UESCAPE '!'": (
        f'SELECT U&"!0065mail" UESCAPE \'!\' FROM {ALONE} AS "users"'
    ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_text(text: str) -> None:
    assert forwarded(text) == TEXTS[text]


UNCHANGED = [
    "SELECT  total\n FROM orders -- comment",
    "SELECT * FROM hr.users",
    "COPY orders (note) TO STDOUT",
    "UPDATE orders SET note = 'x' WHERE id = 1 RETURNING *",
    "SELECT relname FROM pg_class WHERE relname = 'users'",
    "WITH users AS (SELECT 1 AS email) SELECT email FROM users",
    "SELECT attname FROM pg_stats WHERE tablename = 'users'",
    "BEGIN; LOCK users; TRUNCATE users; COMMIT",
    "SELECT '***', 'users'",
    "",
    ";;",
    "-- SELECT email FROM users",
    "EXECUTE p(1)",
    "SET search_path = hr",
    "GRANT SELECT ON users TO bob",
    "COMMENT ON TABLE orders IS 'x'",
]


@pytest.mark.parametrize("text", UNCHANGED)
def test_a_text_without_masked_relations_stays_the_same_bytes(text: str) -> None:
    found = rewritten(text)
    assert found.text == text.encode()
    assert not found.refusal
    assert (found.changed, found.masked, found.outputs, found.raw_outputs) == (False, (), 0, ())


def test_what_is_around_the_change_stays_the_same_bytes() -> None:
    text = "select /* é */ E'\\x41',\t$q$users$q$  from\nusers  -- users\n where name='ü'"
    found = rewritten(text).text.decode()
    assert found == f"select /* é */ E'\\x41',\t$q$users$q$  from\n {ALONE} AS \"users\"   -- users\n where name='ü'"


MASKED_COMPARED = "is masked and may not be compared"
COPIED = "may not be copied to another place"
WRITTEN_BACK = "the mask and not its value"
DEFINED = "cannot be used in this kind of statement"
JOINED = "is masked and cannot be joined on"
REFUSED = {
    "SELECT name FROM users WHERE salary = 1": f"users.salary {MASKED_COMPARED}: leave the condition on it out.",
    "SELECT name FROM users WHERE salary IS NULL": MASKED_COMPARED,
    "SELECT token FROM secrets": "secrets.token may not be revealed (rule pii)",
    "SELECT * FROM secrets": "may not be revealed",
    "SELECT s FROM secrets s": "may not be revealed",
    "SELECT id FROM secrets WHERE token = 'x'": "may not be revealed",
    "SELECT a FROM secrets s (a)": "Leave out the list of column names behind s",
    "COPY secrets TO STDOUT": "Name the columns of secrets to copy",
    "INSERT INTO users (email) VALUES ('***')": WRITTEN_BACK,
    "UPDATE users SET email = 'hash:0123456789abcdefghijklmn'": WRITTEN_BACK,
    "UPDATE users SET salary = NULL": WRITTEN_BACK,
    "INSERT INTO orders (note) SELECT email FROM users": f"users.email is masked and {COPIED}",
    "CREATE TABLE t AS SELECT email FROM users": COPIED,
    "SELECT email INTO t FROM users": COPIED,
    "CREATE TABLE t AS EXECUTE p": "CREATE TABLE AS EXECUTE",
    "CREATE MATERIALIZED VIEW t AS SELECT * FROM users": COPIED,
    "UPDATE users SET name = email": "may set it, compare it for equality",
    "UPDATE users SET name = 'x' WHERE email LIKE 'a%'": "only on whether it equals a constant",
    "DELETE FROM users u RETURNING u": "Name the columns to return one by one",
    "CREATE VIEW v AS SELECT name, email FROM users": "a view of masked columns cannot be made",
    "CREATE VIEW v AS SELECT name FROM users WHERE email = 'x'": "a view of masked columns cannot be made",
    "CREATE VIEW v AS SELECT name FROM users ORDER BY email": "a view of masked columns cannot be made",
    "CREATE VIEW v AS SELECT count(DISTINCT u) FROM users u": "a view of masked columns cannot be made",
    "ALTER TABLE users RENAME email TO x": DEFINED,
    "CREATE INDEX ON users (email)": DEFINED,
    "CREATE RULE r AS ON SELECT TO users DO INSTEAD SELECT 1": "statements that install code",
    "COMMENT ON COLUMN users.email IS 'x'": "comments and labels",
    "SECURITY LABEL ON TABLE users IS 'x'": "comments and labels",
    "EXPLAIN SELECT * FROM users WHERE email = 'x'": "EXPLAIN cannot show a comparison",
    "CREATE COLLATION c (provider = icu, locale = 'und', deterministic = false)": "CREATE COLLATION is refused",
    "DO $$ BEGIN END $$": "DO blocks are refused",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1": "statements that install code",
    "SELECT pg_read_file('x')": "files of the server",
    "COPY orders TO PROGRAM 'cat'": "programs on the server",
    "SELECT query_to_xml('x', true, true, '')": "cannot be seen through",
    "SELECT lo_get(1)": "large objects",
    "SELECT most_common_vals FROM pg_stats": "most_common_vals of pg_stats",
    "SELECT * FROM pg_stats": "can hold values of others",
    "SELECT chunk_data FROM pg_toast.pg_toast_1": "parts of other tables' values",
    "SELECT _interlock_1.email FROM users": 'names that begin with "_interlock"',
    "SELECT * FROM users NATURAL JOIN hr.users h": f"users.email {JOINED}",
    "SELECT * FROM users u JOIN hr.users h USING (email)": JOINED,
    "SELECT * FROM users u JOIN hr.users h ON h.email = u.email": JOINED,
    "SELECT 1 FROM users WHERE EXISTS (SELECT FROM orders WHERE note = email)": JOINED,
    "SELECT 1; SELECT token FROM secrets": "may not be revealed",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusal(text: str) -> None:
    found = rewritten(text)
    assert REFUSED[text] in found.refusal, found.refusal or found.text
    assert (found.code, found.unknown, found.text, found.masked) == ("42501", False, text.encode(), ())


@pytest.mark.parametrize(
    ("text", "sentence", "code"),
    [
        ("SELECT 1 FROM missing", 'relation "missing" does not exist', "42P01"),
        ("SELECT 1 FROM nowhere.missing", 'relation "nowhere.missing" does not exist', "42P01"),
        ("SELECT missing(1)", "function missing does not exist", "42883"),
    ],
)
def test_what_the_catalogue_does_not_have_is_unknown(text: str, sentence: str, code: str) -> None:
    found = rewritten(text)
    assert (found.refusal, found.code, found.unknown) == (sentence, code, True)


NEW_COLUMNS = (
    "SELECT missing FROM orders",
    "SELECT upper(o.missing) FROM orders o",
    "SELECT upper(public.orders.missing) FROM orders",
    "SELECT (o).missing FROM orders o",
    "SELECT lower(missing) AS missing FROM orders ORDER BY missing",
    "SELECT id FROM orders WHERE missing = 'x'",
    "SELECT id FROM orders GROUP BY id, missing",
    "SELECT count(*) FROM orders o JOIN users u ON o.missing = 1",
    "SELECT count(*) FROM orders JOIN orders o USING (missing)",
    "SELECT 1 WHERE EXISTS (SELECT FROM orders WHERE missing > 1)",
    "SELECT (SELECT max(o.missing)) FROM orders o",
    "WITH o AS (SELECT missing FROM orders) SELECT 1 FROM o",
    "SELECT o.missing FROM orders o (a, b), LATERAL (SELECT o.total) x",
    "SELECT missing FROM users",
    "UPDATE orders SET missing = 1",
    "UPDATE orders SET total = missing",
    "INSERT INTO orders (id, missing) VALUES (1, 'x')",
    "DELETE FROM orders WHERE id = 1 RETURNING missing",
    "MERGE INTO orders o USING orders s ON true WHEN NOT MATCHED THEN INSERT (missing) VALUES (1)",
    "COPY orders (missing) TO STDOUT",
    "COPY orders (missing) FROM STDIN",
    "PREPARE p AS SELECT missing FROM orders",
)


@pytest.mark.parametrize("text", NEW_COLUMNS)
def test_a_column_that_the_catalogue_does_not_have_is_unknown_and_for_the_target_to_miss(text: str) -> None:
    found = rewritten(text)
    assert (found.unknown, found.refusal) == (True, "")
    assert "missing" in found.text.decode()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT o, orders.id, o.ctid, xmin, (o).total FROM orders o, orders",
        "SELECT total AS missing FROM orders ORDER BY missing",
        "SELECT count(*), total + 1 AS missing FROM orders GROUP BY missing",
        "SELECT DISTINCT ON (missing) total AS missing FROM orders",
        "SELECT total FROM orders UNION SELECT 1 ORDER BY total",
        "SELECT id FROM users u WHERE EXISTS (SELECT id AS a FROM orders UNION SELECT 1 ORDER BY a)",
        "SELECT u.email, (SELECT max(total) FROM orders WHERE user_id = u.id AND email IS NULL) FROM users u",
        "SELECT n FROM orders, generate_series(1, 2) n",
        "SELECT key, value FROM orders, json_each(note::json)",
        "SELECT relname FROM pg_class, orders",
        "SELECT a, total FROM orders o (a, b)",
        "SELECT x.a FROM (SELECT id AS a FROM orders) x, users",
        "SELECT x.whatever FROM (SELECT * FROM generate_series(1, 2)) x",
        "SELECT x.total FROM (SELECT * FROM orders) x",
        "INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET total = excluded.total RETURNING old.total",
        "SELECT sum(total) OVER w FROM orders WINDOW w AS (PARTITION BY user_id)",
        "CREATE TABLE mine (missing int CHECK (missing > 1))",
        "COPY orders TO STDOUT",
    ],
)
def test_what_is_there_or_may_be_something_elses_is_not_unknown(text: str) -> None:
    found = rewritten(text)
    assert (found.unknown, found.refusal) == (False, "")


@pytest.mark.parametrize(
    ("text", "looks_first"),
    [
        ("SELECT * FROM orders", False),
        ("SELECT json_agg(x) FROM (SELECT * FROM orders) x", False),
        ("INSERT INTO mine SELECT id, note FROM orders", False),
        ("COPY orders (note) TO STDOUT", False),
        ("COPY orders TO STDOUT", True),
        ("COPY (SELECT * FROM orders) TO STDOUT", True),
        ("CREATE TABLE mine AS SELECT * FROM orders", True),
        ("SELECT * INTO mine FROM orders", True),
        ("INSERT INTO mine SELECT * FROM orders", True),
        ("INSERT INTO mine SELECT x.* FROM (SELECT orders.* FROM orders) x", True),
        ("WITH x AS (INSERT INTO mine SELECT * FROM orders RETURNING 1) SELECT 1", True),
    ],
)
def test_what_copies_all_columns_looks_at_what_there_is_first(text: str, looks_first: bool) -> None:
    around = Surroundings(("public",), own=frozenset({("", "mine")}))
    assert forwarded(text, around=around) == text
    assert rewritten(text, around=around).looks_first is looks_first


def test_more_names_than_columns_are_unknown() -> None:
    found = rewritten("SELECT e FROM orders o (a, b, c, d, e)")
    assert (found.unknown, found.code) == (True, "42P10")


def test_a_text_that_cannot_be_read() -> None:
    found = rewritten("SELEC 1")
    assert (found.code, found.unknown) == ("42601", False)
    assert "syntax error" in found.refusal


def test_masked_columns_are_noted_once_with_mask_and_rules() -> None:
    found = rewritten("SELECT email, email, u.salary FROM users u WHERE email = 'x'")
    assert found.masked == (
        MaskedColumn("public", "users", "email", "redact", ("pii",)),
        MaskedColumn("public", "users", "salary", "null", ("pii",)),
    )
    assert found.outputs == 2


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        ("SELECT count(*) FROM users", 0),
        ("SELECT name FROM users ORDER BY email", 0),
        ("SELECT name FROM users WHERE email = 'x'", 0),
        ("SELECT * FROM users", 2),
        ("UPDATE users SET name = 'x' RETURNING email", 1),
    ],
)
def test_outputs_are_masked_columns_that_are_given_out(text: str, outputs: int) -> None:
    assert rewritten(text).outputs == outputs


@pytest.mark.parametrize(
    ("text", "guarded", "compares"),
    [
        ("SELECT email FROM users", False, False),
        ("SELECT 1 FROM users WHERE email = 'x'", False, True),
        ("SELECT 1 FROM users WHERE email LIKE 'x'", False, False),
        ("SELECT 1 FROM users WHERE id = 1", False, False),
        ("INSERT INTO users (id) VALUES (1)", True, False),
        ("UPDATE users SET name = 'x' WHERE email = 'x'", True, True),
        ("WITH w AS (DELETE FROM users) SELECT 1", True, False),
        ("MERGE INTO users u USING orders o ON o.id = u.id WHEN MATCHED THEN DELETE", True, False),
        ("COPY users FROM STDIN", True, False),
        ("DELETE FROM orders", False, False),
        ("PREPARE p AS DELETE FROM users WHERE email = $1", True, True),
    ],
)
def test_what_the_targets_words_could_show(text: str, guarded: bool, compares: bool) -> None:
    found = rewritten(text)
    assert (found.guarded, found.compares) == (guarded, compares)


@pytest.mark.parametrize(
    ("text", "arrays", "written", "kept"),
    [
        ("SELECT 1 FROM users WHERE email = $1", set(), set(), set()),
        ("SELECT 1 FROM users WHERE email = ANY ($2) AND id = ANY ($1)", {2}, set(), set()),
        ("SELECT 1 FROM users WHERE email <> ALL ($1::text[])", {1}, set(), set()),
        ("UPDATE users SET email = $2, name = $1 WHERE id = $3", set(), {2}, set()),
        ("UPDATE users SET salary = coalesce($1, $2)", set(), {1, 2}, {1, 2}),
        ("INSERT INTO users VALUES ($1, $2, $3, $4), ($5, $6, $7, $8)", set(), {3, 4, 7, 8}, set()),
        ("INSERT INTO users (name) VALUES ($1)", set(), set(), set()),
        ("INSERT INTO users (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET salary = $1", set(), {1}, {1}),
        ("INSERT INTO users (email) SELECT $1", set(), {1}, set()),
        (
            "MERGE INTO users u USING orders o ON o.id = u.id WHEN NOT MATCHED THEN INSERT (email) VALUES ($1)",
            set(),
            {1},
            set(),
        ),
    ],
)
def test_parameters(text: str, arrays: Set[int], written: Set[int], kept: Set[int]) -> None:
    found = rewritten(text)
    assert not found.refusal, found.refusal
    assert (found.array_parameters, found.written_parameters, found.kept_parameters) == (arrays, written, kept)


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("EXECUTE p('a***b')", True),
        ("EXECUTE p('hash:0123456789abcdefghijklmn')", True),
        ("EXECUTE p(NULL)", True),
        ("EXECUTE p(upper('a'))", True),
        ("EXECUTE p('a', 1, true)", False),
        ("EXECUTE p", False),
    ],
)
def test_arguments_that_could_stand_for_a_masked_value(text: str, gives: bool) -> None:
    assert rewritten(text).gives_mask is gives


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        ("COPY users FROM STDIN", True),
        ("COPY users (id, email) FROM STDIN", True),
        ("COPY users (id, name) FROM STDIN", False),
        ("COPY orders FROM STDIN", False),
        ("COPY users TO STDOUT", False),
    ],
)
def test_copy_into_masked_columns_is_known(text: str, copies: bool) -> None:
    assert rewritten(text).copies_in is copies


def test_the_same_text_gives_the_same_rewriting() -> None:
    for text in TEXTS:
        assert rewritten(text) == rewritten(text)


def test_a_text_of_several_statements_is_rewritten_as_a_whole() -> None:
    found = forwarded("SELECT email FROM users WHERE email = 'x'; DELETE FROM users WHERE email = 'y'; SELECT 1")
    assert found == (f"SELECT email FROM {BESIDE} WHERE {H} = 'x'; DELETE FROM {USERS} WHERE email = 'y'; SELECT 1")


def test_code_of_the_database_is_refused_by_every_name_that_it_has() -> None:
    unsafe = Routine(20000, "public", "peek", "f", "plpgsql", arguments=1)
    within = index(
        routines=(unsafe, Routine(20001, "public", "double", "f", "sql")),
        operators=(Operator("public", "<<<", 20000),),
        type_code=(TypeCode("public", "card", 20000), TypeCode("pg_catalog", "text", 20000, source="user_ref")),
        safe_routines=frozenset({20001}),
    )
    for text in ("SELECT peek(1)", "SELECT 1 <<< 2", "SELECT 1::card", "SELECT u.peek FROM orders u"):
        assert "refused" in refused(text, within), text
    assert "user_ref" in refused("SELECT NULL::user_ref", within)
    for text in ("SELECT double(1)", "SELECT 1::text", "SELECT id FROM orders"):
        assert forwarded(text, within) == text
    reviewed = index(routines=(unsafe,), reviewed=frozenset({"public.peek"}))
    assert forwarded("SELECT peek(1)", reviewed) == "SELECT peek(1)"


def test_routines_of_every_kind_that_can_call_code_are_looked_at() -> None:
    within = index(routines=(Routine(20000, "public", "peek", "f", "plpgsql", arguments=1),))
    for text in (
        "SELECT * FROM peek(1)",
        "SELECT * FROM ROWS FROM (peek(1)) AS t",
        "SELECT 1 FROM orders ORDER BY public.peek(id)",
        "SELECT count(*) FILTER (WHERE peek(1)) FROM orders",
        "SELECT sum(id) OVER (ORDER BY peek(id)) FROM orders",
        "INSERT INTO orders (id) VALUES (peek(1))",
        "CALL peek(1)",
        "EXECUTE p(peek(1))",
        "SELECT 1 FROM orders LIMIT peek(1)",
        "ALTER TABLE orders ALTER note SET DEFAULT peek(1)",
    ):
        assert "peek" in refused(text, within), text


def test_a_relation_whose_values_run_code_when_they_are_cast_is_refused() -> None:
    odd = table(6, "odd", "id int4")
    column = type(odd.columns[0])(2, "ref", "public", "user_ref")
    odd = type(odd)(6, "public", "odd", odd.kind, (*odd.columns, column))
    within = index(
        relations=(odd,),
        routines=(Routine(20000, "public", "peek", "f", "plpgsql"),),
        type_code=(TypeCode("pg_catalog", "text", 20000, source="user_ref"),),
    )
    assert "run code of this database when they are cast" in refused("SELECT id FROM odd", within)


@pytest.mark.parametrize("error", [RuntimeError, KeyError, IndexError, AttributeError, AssertionError, ValueError])
def test_what_breaks_is_a_refusal(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def explode(*_: object) -> None:
        raise error("alice@example.com")

    monkeypatch.setattr(guard, "check_code", explode)
    found = rewritten("SELECT email FROM users")
    assert found.refusal == "The statement could not be masked, so it is refused."
    assert found.text == b"SELECT email FROM users"


def test_nesting_without_end_is_a_refusal() -> None:
    text = "SELECT " + "(SELECT " * 400 + "email FROM users" + ")" * 400
    assert rewritten(text).refusal or rewritten(text).changed


def test_bytes_that_are_no_text_are_a_refusal() -> None:
    good = b"SELECT email FROM users"
    for bad in (b"SELECT email FROM users \xff", b"SELECT '\xc3' FROM users", b"SELECT email\0 FROM users"):
        found = rewrite(bad, interpret(good), INDEX, PATH)
        assert isinstance(found, Rewriting)
        assert found.refusal


def test_a_name_that_could_become_a_masked_relations_is_written_with_its_schema() -> None:
    around = Surroundings(("hr", "public"))
    assert forwarded("SELECT email FROM users", around=around) == 'SELECT email FROM "hr"."users"'
    assert forwarded("SELECT note FROM orders", around=around) == "SELECT note FROM orders"
    assert '"hr"."users"' in forwarded("SELECT email FROM users", index(masks("email", oid=4)), around)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("ALTER TABLE fresh RENAME COLUMN email TO x", True),
        ("ALTER TABLE orders RENAME TO x", True),
        ("ALTER TABLE orders SET SCHEMA hr", True),
        ("COMMENT ON COLUMN fresh.email IS 'x'", True),
        ("SELECT 1; ALTER TABLE fresh ADD c int", True),
        ("CREATE TABLE IF NOT EXISTS t (a int)", True),
        ("CREATE TABLE t (a int)", False),
        ("SELECT 1", False),
        ("DROP TABLE orders", False),
    ],
)
def test_what_could_take_a_tag_away_from_what_is_new_is_decided_with_a_new_catalogue(text: str, first: bool) -> None:
    """A table that the catalogue does not have yet must not lose its names before it is known to be masked."""
    found = rewritten(text)
    assert not found.refusal
    assert found.looks_first is first
