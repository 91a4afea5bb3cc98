"""Where derived columns come from, and which routines are safe: errs on the side of more, and of opaque."""

import pytest

from interlock.core.catalogue import Catalogue, Operator, Relation, RelationKind, Routine, TypeCode
from interlock.protocols.postgres.masking import trace
from interlock.protocols.postgres.masking.lineage import PURE_EXTENSIONS
from tests.protocols.postgres.masking.shop import RELATIONS, columns, table

ROUTINES = (
    Routine(20001, "public", "peek", "f", "plpgsql", arguments=1),
    Routine(20002, "public", "double", "f", "sql", body="SELECT $1 * 2", arguments=1),
)
E, S, N, ID = "users.email", "users.salary", "users.name", "users.id"
OF_ORDERS = [{"orders.id"}, {"orders.user_id"}, {"orders.total"}, {"orders.note"}]
NAMES = {
    (relation.oid, column.name): f"{relation.name}.{column.name}"
    for relation in RELATIONS
    for column in relation.columns
}


def view(names: str, definition: str, oid: int = 50, name: str = "v") -> Relation:
    shown = ", ".join(f"{column} text" for column in names.split())
    return Relation(oid, "public", name, RelationKind.VIEW, columns(shown), definition=definition)


def traced(*relations: Relation, **more: object) -> Catalogue:
    parts = {"routines": ROUTINES, **more}
    return trace(Catalogue("c", (*RELATIONS, *relations), **parts))  # type: ignore[arg-type]


def sources(names: str, definition: str) -> list[set[str]]:
    """What each column of a view is made of."""
    lineage = traced(view(names, definition)).lineage
    assert 50 not in lineage.opaque, definition
    return [{NAMES[key] for key in lineage.sources[50, name]} for name in names.split()]


def copies(names: str, definition: str) -> set[str]:
    lineage = traced(view(names, definition)).lineage
    return {column for oid, column in lineage.copies if oid == 50}


def is_opaque(definition: str, names: str = "a") -> bool:
    return 50 in traced(view(names, definition)).lineage.opaque


USERS = "FROM public.users"
BOTH = "FROM public.users u JOIN public.orders o ON o.user_id = u.id"

COLUMNS = [
    ("a b", f"SELECT id, email {USERS};", [{ID}, {E}]),
    ("a", f"SELECT users.email {USERS}", [{E}]),
    ("a", f"SELECT u.email {USERS} u", [{E}]),
    ("a b c d", f"SELECT * {USERS}", [{ID}, {N}, {E}, {S}]),
    ("a b", f"SELECT upper(email), email || name {USERS}", [{E}, {E, N}]),
    ("a", f"SELECT CASE WHEN email LIKE 'a%' THEN 1 ELSE 2 END {USERS}", [{E}]),
    ("a", f"SELECT count(*) FILTER (WHERE email = 'x') {USERS}", [{E}]),
    ("a", f"SELECT row_number() OVER (PARTITION BY name ORDER BY email) {USERS}", [{N, E}]),
    ("a", f"SELECT count(*) {USERS}", [set()]),
    ("a", "SELECT 1", [set()]),
    ("a", f"SELECT users {USERS}", [{ID, N, E, S}]),
    ("a", f"SELECT row_to_json(u.*) {USERS} u", [{ID, N, E, S}]),
    ("a", f"SELECT (u).email {USERS} u", [{ID, N, E, S}]),
    ("a", f"SELECT ARRAY[id, salary] {USERS}", [{ID, S}]),
    ("a", f"SELECT ARRAY(SELECT email {USERS})", [{E}]),
    ("a", f"SELECT (SELECT email {USERS} LIMIT 1)", [{E}]),
    ("a", f"SELECT (SELECT u.email) {USERS} u", [{E}]),
    ("a", f"SELECT EXISTS (SELECT 1 {USERS} WHERE email = 'x')", [set()]),
    ("a b", f"SELECT u.email, o.note {BOTH}", [{E}, {"orders.note"}]),
    ("a b c d e f g h", f"SELECT * {BOTH}", [{ID}, {N}, {E}, {S}, *OF_ORDERS]),
    ("a", f"SELECT a FROM (SELECT email AS a {USERS}) s", [{E}]),
    ("a", f"SELECT s.b FROM (SELECT email, name {USERS}) s(a, b)", [{N}]),
    ("a", f"WITH w AS (SELECT email {USERS}) SELECT email FROM w", [{E}]),
    ("a", f"WITH w(x) AS (SELECT email {USERS}), y AS (SELECT x FROM w) SELECT x FROM y", [{E}]),
    ("a", f"WITH users AS (SELECT name AS email {USERS}) SELECT email FROM users", [{N}]),
    ("a", f"SELECT email {USERS} UNION SELECT note FROM public.orders", [{E, "orders.note"}]),
    ("a", f"(SELECT id {USERS} EXCEPT SELECT id {USERS}) UNION ALL VALUES (1)", [{ID}]),
    ("a b", f"VALUES (1, (SELECT email {USERS})), (2, 'x')", [set(), {E}]),
    ("a", f"SELECT x {USERS} u CROSS JOIN LATERAL (SELECT u.email AS x) s", [{E}]),
    ("a", f"SELECT x {USERS} u, LATERAL unnest(ARRAY[u.email]) AS s(x)", [{E}]),
    ("a", f"SELECT t {USERS} u, unnest(string_to_array(u.email, '@')) t", [{E}]),
    ("a", "SELECT j.email FROM (public.users u JOIN public.orders o ON true) j", [{E}]),
    ("a", "SELECT relname FROM pg_class", [set()]),
    ("a", f"SELECT email {USERS} TABLESAMPLE system (10)", [{E}]),
    ("a", f"SELECT public.double(id) {USERS}", [{ID}]),
    ("a", f"SELECT max(email) {USERS} GROUP BY name HAVING min(salary) > 1", [{E}]),
]  # fmt: skip


@pytest.mark.parametrize(("names", "definition", "expected"), COLUMNS)
def test_columns_of_a_view(names: str, definition: str, expected: list[set[str]]) -> None:
    assert sources(names, definition) == expected


@pytest.mark.parametrize(
    ("names", "definition", "least"),
    [
        ("a", f"SELECT id {USERS} u JOIN public.orders o USING (id)", [{ID, "orders.id"}]),
        ("a", f"SELECT id {USERS} u FULL JOIN public.orders o USING (id)", [{ID, "orders.id"}]),
        ("a", f"SELECT x.id {USERS} u JOIN public.orders o USING (id) AS x", [{ID, "orders.id"}]),
        ("a", f"SELECT (SELECT count(*) FROM public.orders o WHERE o.note = u.email) {USERS} u", [set()]),
        (
            "a b",
            f"WITH RECURSIVE w(a, b) AS (SELECT id, name {USERS} UNION ALL SELECT w.a, u.email FROM w, public.users u)"
            " SELECT a, b FROM w",
            [{ID}, {N, E}],
        ),
        ("a", f"SELECT email {USERS} u, public.secrets email", [{E}]),
    ],
)
def test_no_source_is_missing(names: str, definition: str, least: list[set[str]]) -> None:
    """Or the view is opaque, which counts for everything."""
    if is_opaque(definition, names):
        return
    for found, wanted in zip(sources(names, definition), least, strict=True):
        assert found >= wanted


@pytest.mark.parametrize(
    "definition",
    [
        f"SELECT public.peek(id) {USERS}",
        f"SELECT peek(id) {USERS}",
        "SELECT 1 FROM public.peek(1)",
        f"SELECT id <<< 1 {USERS}",
        f"SELECT id::public.card {USERS}",
        "SELECT a FROM public.missing",
        "SELECT a FROM nowhere.users",
        "SELECT missing FROM public.users u",
        "SELECT most_common_vals FROM pg_stats",
        "SELECT query FROM pg_stat_activity",
        "SELECT rolpassword FROM pg_authid",
        "SELECT email, name FROM public.users",
        "INSERT INTO public.users DEFAULT VALUES RETURNING id",
        "WITH w AS (DELETE FROM public.users RETURNING id) SELECT id FROM w",
        "WITH RECURSIVE w(a) AS (SELECT 1 UNION ALL SELECT a FROM w) SEARCH DEPTH FIRST BY a SET o SELECT a FROM w",
        "SELECT 1; SELECT 2",
        "SELECT",
        "not SQL",
    ],
)
def test_what_cannot_be_followed_is_opaque(definition: str) -> None:
    unsafe = {
        "operators": (Operator("public", "<<<", 20001),),
        "type_code": (TypeCode("public", "card", 20001),),
    }
    lineage = traced(view("a", definition), **unsafe).lineage
    assert lineage.opaque == {50}


def test_a_view_of_views_keeps_what_each_is_made_of() -> None:
    inner = view("mail", f"SELECT email {USERS}", 50, "inner_view")
    outer = view("m", "SELECT upper(mail) FROM public.inner_view", 51, "outer_view")
    lineage = traced(inner, outer).lineage
    assert lineage.sources[51, "m"] == {(50, "mail")}
    assert lineage.sources[50, "mail"] == {(1, "email")}


@pytest.mark.parametrize(
    ("names", "definition", "copied"),
    [
        ("a b", f"SELECT id, email {USERS}", {"a", "b"}),
        ("a b c d", f"SELECT * {USERS}", {"a", "b", "c", "d"}),
        ("a", f"SELECT upper(email) {USERS}", set()),
        ("a", f"SELECT email::varchar {USERS}", set()),
        ("a", f"SELECT email {USERS} UNION ALL SELECT email {USERS}", {"a"}),
        ("a", f"SELECT email {USERS} UNION SELECT name {USERS}", set()),
        ("a", f"SELECT b FROM (SELECT email AS b {USERS}) s", {"a"}),
        ("a", f"SELECT b FROM (SELECT upper(email) AS b {USERS}) s", set()),
        ("a", f"SELECT u {USERS} u", set()),
        ("a", f"SELECT max(email) {USERS}", set()),
        ("a", "SELECT 1", set()),
    ],
)
def test_columns_whose_values_are_those_of_their_source(names: str, definition: str, copied: set[str]) -> None:
    assert copies(names, definition) == copied


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("lower(email)", {E}), ("(email || name)", {E, N}), ("(1 + 1)", set()), ("users.salary * 2", {S})],
)
def test_generated_columns(expression: str, expected: set[str]) -> None:
    column = type(RELATIONS[0].columns[0])(5, "g", "pg_catalog", "text", generated=True, expression=expression)
    users = type(RELATIONS[0])(1, "public", "users", RelationKind.TABLE, (*RELATIONS[0].columns, column))
    lineage = trace(Catalogue("c", (users, *RELATIONS[1:]), routines=ROUTINES)).lineage
    assert {NAMES[key] for key in lineage.sources[1, "g"]} == expected
    assert (1, "g") not in lineage.copies


def test_a_generated_column_that_runs_code_makes_its_table_opaque() -> None:
    column = type(RELATIONS[0].columns[0])(2, "g", "pg_catalog", "text", generated=True, expression="peek(id)")
    made = table(60, "made", "id int4")
    made = type(made)(60, "public", "made", made.kind, (*made.columns, column))
    assert traced(made).lineage.opaque == {60}


def test_tables_have_no_entries() -> None:
    assert traced().lineage.sources == {}
    assert traced().lineage.opaque == frozenset()


# ---------------------------------------------------------------- routines


def safe(*routines: Routine) -> set[str]:
    lineage = trace(Catalogue("c", RELATIONS, routines)).lineage
    return {routine.name for routine in routines if routine.oid in lineage.safe_routines}


def sql(body: str, oid: int = 30000, name: str = "f", kind: str = "f", language: str = "sql") -> Routine:
    return Routine(oid, "public", name, kind, language, body=body, arguments=1)


@pytest.mark.parametrize(
    "body",
    [
        "SELECT $1 * 2",
        "SELECT upper($1) || lower($1); SELECT 1",
        "RETURN upper($1)",
        "return $1",
        "SELECT CASE WHEN a > 1 THEN pg_catalog.abs(a) END",
        "  SELECT coalesce($1, 0)  ",
        "SELECT * FROM unnest($1)",
    ],
)
def test_sql_that_computes_from_its_arguments_is_safe(body: str) -> None:
    assert safe(sql(body)) == {"f"}


@pytest.mark.parametrize(
    "body",
    [
        "SELECT email FROM users",
        "SELECT email FROM public.users LIMIT 1",
        "TABLE users",
        "RETURN (SELECT email FROM public.users)",
        "SELECT query_to_xml($1, true, true, '')",
        "SELECT pg_read_file($1)",
        "SELECT lo_get($1)",
        "SELECT unknown_function($1)",
        "SELECT peek($1)",
        "SELECT set_config($1, 'x', true)",
        "INSERT INTO users DEFAULT VALUES",
        "WITH w AS (SELECT 1) SELECT 1",
        "WITH w AS (DELETE FROM users RETURNING email) SELECT email FROM w",
        "SELECT EXISTS (SELECT FROM users)",
        "DO $$ BEGIN END $$",
        "NOTIFY x",
        "SELECT 1; DELETE FROM users",
        "BEGIN ATOMIC SELECT 1; END",
        "",
        "not SQL",
        "RETURN",
    ],
)
def test_other_sql_is_not(body: str) -> None:
    assert safe(sql(body), Routine(30001, "public", "peek", "f", "plpgsql")) == set()


@pytest.mark.parametrize(
    "routine",
    [
        sql("SELECT 1", language="plpgsql"),
        sql("SELECT 1", language="c"),
        sql("SELECT 1", language="internal"),
        sql("SELECT 1", kind="p"),
        sql("SELECT 1", kind="a"),
        sql("SELECT 1", kind="w"),
        Routine(30000, "public", "f", "f", "c", extension="dblink"),
        Routine(30000, "public", "f", "f", "c", extension="postgres_fdw"),
        Routine(30000, "public", "f", "f", "c", extension="xml2"),
        Routine(30000, "public", "f", "f", "c", extension="tablefunc"),
        Routine(30000, "public", "f", "f", "c", extension="file_fdw"),
    ],
)
def test_other_languages_kinds_and_extensions_are_not(routine: Routine) -> None:
    assert safe(routine) == set()


def test_routines_of_pure_extensions_are_safe() -> None:
    assert all(safe(Routine(30000, "public", "f", "f", "c", extension=name)) for name in PURE_EXTENSIONS)


def test_safety_goes_through_calls() -> None:
    one, two, three = sql("SELECT two($1)", 1, "one"), sql("SELECT three($1)", 2, "two"), sql("SELECT 1", 3, "three")
    assert safe(one, two, three) == {"one", "two", "three"}
    assert safe(one, two, sql("SELECT 1", 3, "three", language="plpgsql")) == set()


def test_one_unsafe_routine_of_a_name_makes_calls_to_it_unsafe() -> None:
    caller = sql("SELECT f($1)", 1, "caller")
    good, bad = sql("SELECT 1", 2, "f"), sql("TABLE users", 3, "f")
    assert safe(caller, good) == {"caller", "f"}
    assert "caller" not in safe(caller, good, bad)


def test_a_users_routine_in_a_built_in_ones_place_counts() -> None:
    caller = sql("SELECT upper($1)", 1, "caller")
    assert safe(caller, sql("TABLE users", 2, "upper")) == set()


def test_routines_that_call_one_another_are_not_safe() -> None:
    assert safe(sql("SELECT two($1)", 1, "one"), sql("SELECT one($1)", 2, "two")) == set()


@pytest.mark.parametrize(
    ("supports", "is_safe"),
    [
        ((100,), True),
        ((17_001,), True),
        ((17_001, 100), True),
        ((17_002,), False),
        ((17_001, 17_002), False),
        ((16_384,), False),
        ((), False),
    ],
)
def test_an_aggregate_is_as_safe_as_what_it_calls(supports: tuple[int, ...], is_safe: bool) -> None:
    aggregate = Routine(30000, "public", "total", "a", "internal", supports=supports)
    good, bad = sql("SELECT 1", 17_001, "good"), sql("TABLE users", 17_002, "bad")
    assert ("total" in safe(aggregate, good, bad)) is is_safe
