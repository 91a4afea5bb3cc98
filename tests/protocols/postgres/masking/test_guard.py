"""What is refused under a mask whether or not a masked column is named: code, files, and the server's own secrets."""

import pytest

from interlock.core.catalogue import Routine
from interlock.core.masking import MaskKind
from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.masking import guard
from interlock.protocols.postgres.masking.names import Refused, Unknown
from tests.protocols.postgres.masking.shop import INDEX, MASKS, RELATIONS, forwarded, index, mask, refused, table

ROUTINES = (
    Routine(20000, "public", "double", "f", "sql", arguments=1),
    Routine(20001, "public", "peek", "f", "plpgsql", arguments=1),
)
WITHIN = index(routines=ROUTINES, safe_routines=frozenset({20000}))


@pytest.mark.parametrize(
    "text",
    [
        "DO $$ BEGIN END $$",
        "DO LANGUAGE plpython3u 'pass'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE PROCEDURE f() LANGUAGE sql AS ''",
        "CREATE AGGREGATE a (int) (sfunc = int4pl, stype = int)",
        "CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION f()",
        "CREATE OPERATOR <<< (leftarg = int, function = int4pl)",
        "CREATE CAST (int AS text) WITH INOUT",
        "CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION f()",
        "CREATE EXTENSION dblink",
        "SELECT lo_get(1)",
        "SELECT lo_import('x')",
        "SELECT lo_export(1, 'x')",
        "SELECT loread(1, 10)",
        "SELECT pg_read_file('x')",
        "SELECT pg_read_binary_file('x')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_stat_file('x')",
        "COPY orders FROM '/tmp/x'",
        "COPY orders TO '/tmp/x'",
        "COPY orders TO PROGRAM 'cat'",
        "SELECT query_to_xml('SELECT 1', true, true, '')",
        "SELECT table_to_xml('users', true, true, '')",
        "SELECT schema_to_xml('public', true, true, '')",
        "SELECT database_to_xml(true, true, '')",
        "SELECT cursor_to_xml('c', 1, true, true, '')",
        "SELECT ts_stat('SELECT 1')",
        "SELECT * FROM dblink('x', 'y') AS t (a int)",
        "LOAD 'x'",
    ],
)
def test_what_runs_code_or_reads_elsewhere(text: str) -> None:
    assert refused(text, WITHIN)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT upper('a'), now(), 1 + 2, pg_catalog.lower('A')",
        "SELECT double(1), public.double(2)",
        "SELECT set_config('work_mem', '4MB', false), current_setting('work_mem')",
        "SELECT pg_notify('a', 'b'), nextval('s'), pg_backend_pid()",
        "SELECT pg_cancel_backend(1), pg_sleep(0)",
        "SELECT id FROM orders TABLESAMPLE bernoulli (1)",
        "SELECT count(*), sum(total), row_number() OVER () FROM orders",
        "SELECT * FROM generate_series(1, 2), unnest(ARRAY[1]) AS u",
        "SELECT 'a'::text, '1'::int4, 1::pg_catalog.numeric",
        "SELECT o.note, (o).note FROM orders o",
    ],
)
def test_what_computes_from_its_arguments(text: str) -> None:
    assert forwarded(text, WITHIN) == text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT peek(1)",
        "SELECT public.peek(1)",
        "SELECT other.peek(1)",
        "SELECT 1 FROM orders WHERE id = ANY (ARRAY[peek(1)])",
        "SELECT o.peek FROM orders o",
        "SELECT (o).peek FROM orders o",
        "SELECT (ROW(1)).peek",
    ],
)
def test_a_name_that_could_mean_unsafe_code(text: str) -> None:
    assert "peek" in refused(text, WITHIN)


@pytest.mark.parametrize("text", ["SELECT nothing(1)", "SELECT pg_catalog.nothing(1)", "SELECT tools.double(1)"])
def test_a_function_that_the_catalogue_does_not_have(text: str) -> None:
    with pytest.raises(Unknown, match="does not exist") as caught:
        guard.check_code(WITHIN, grammar.parse(text.encode()))
    assert caught.value.code == "42883"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT _interlock_1.a FROM orders _interlock_1",
        "SELECT id AS _interlock_c1 FROM orders",
        'WITH "_interlock_1" AS (SELECT 1) SELECT 1',
        "SELECT 1 FROM _interlock",
        "PREPARE _interlock AS SELECT 1",
        "DECLARE _interlock_x CURSOR FOR SELECT 1",
        "SELECT 1 FROM orders o (_interlock_a)",
        'SELECT U&"_inter\\006cock_1".id FROM orders o',
    ],
)
def test_the_gateways_own_names(text: str) -> None:
    with pytest.raises(Refused, match="the gateway's own"):
        guard.check_code(INDEX, grammar.parse(text.encode()))


# ---------------------------------------------------------------- the server's own relations

HIDDEN = [
    "SELECT * FROM pg_stats",
    "SELECT most_common_vals FROM pg_catalog.pg_stats",
    "SELECT s FROM pg_stats s",
    "SELECT stavalues1 FROM pg_statistic",
    "SELECT query FROM pg_stat_activity",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT umoptions FROM pg_user_mappings",
    "SELECT data FROM pg_largeobject",
    "TABLE pg_stats",
    "COPY pg_stats TO STDOUT",
    "SELECT 1 FROM pg_stats WHERE most_common_vals::text LIKE '%a%'",
    "SELECT 1 FROM orders WHERE EXISTS (SELECT FROM pg_stats s WHERE s.histogram_bounds IS NOT NULL)",
    "CREATE TABLE t AS SELECT * FROM pg_stats",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_columns_that_hold_values_of_others_are_refused_where_no_mask_covers_them(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT tablename, attname FROM pg_stats",
        "SELECT count(*) FROM pg_stats",
        "SELECT pid, state, usename FROM pg_stat_activity",
        "SELECT rolname FROM pg_roles",
        "SELECT * FROM pg_class",
        "SELECT column_name FROM information_schema.columns",
    ],
)
def test_the_rest_of_the_servers_relations_is_open(text: str) -> None:
    assert forwarded(text) == text


def test_a_server_relation_in_the_catalogue_is_masked_like_any_other() -> None:
    stats = table(8, "pg_stats", "tablename name, most_common_vals text", "pg_catalog")
    within = index({**MASKS, 8: {"most_common_vals": mask(MaskKind.NULL)}}, relations=(*RELATIONS, stats))
    text = forwarded("SELECT * FROM pg_stats", within)
    assert 'NULL::"pg_catalog"."text" AS "most_common_vals"' in text
