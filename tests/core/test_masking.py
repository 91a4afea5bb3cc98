"""Masks can be joined, and what the server keeps of other people's values is known by name."""

from itertools import product

import psycopg
import pytest

from interlock.core.masking import ANY_NAME, BUILTIN_MASKS, ColumnMask, MaskKind, Predicates, builtin_columns
from tests.servers.postgres import PostgresServer

MASKS = [ColumnMask(kind, predicates, (kind.word,)) for kind, predicates in product(MaskKind, Predicates)]
SINCE_17 = {"range_length_histogram", "range_bounds_histogram", "range_empty_frac"}


@pytest.mark.parametrize("one", MASKS, ids=repr)
def test_the_stronger_of_two_satisfies_both(one: ColumnMask) -> None:
    for other in MASKS:
        both = one.stronger(other)
        assert both == other.stronger(one)
        assert both.kind is max(one.kind, other.kind)
        assert both.predicates is max(one.predicates, other.predicates)
        assert set(both.rules) == {*one.rules, *other.rules}
        assert both.stronger(one) == both


@pytest.mark.parametrize(
    ("schema", "relation", "columns"),
    [
        ("pg_catalog", "pg_authid", {"rolpassword"}),
        ("pg_catalog", "pg_class", set()),
        ("public", "pg_authid", set()),
        ("public", "pg_stat_statements", {"query"}),
        ("monitoring", "pg_stat_statements", {"query"}),
        ("pg_toast", "pg_toast_16384", {"chunk_data"}),
        ("public", "pg_toast_16384", set()),
    ],
)
def test_built_in_columns(schema: str, relation: str, columns: set[str]) -> None:
    assert builtin_columns(schema, relation) == columns


def ask(server: PostgresServer, query: str) -> set[tuple[str, str, str]]:
    with psycopg.connect(**server.endpoint().parameters()) as connection:
        return {(schema, relation, column) for schema, relation, column in connection.execute(query)}


def test_built_in_names_are_those_of_the_server(postgres: PostgresServer) -> None:
    present = ask(
        postgres,
        "SELECT n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('pg_catalog', 'information_schema')",
    )
    for (schema, relation), columns in BUILTIN_MASKS.items():
        if ANY_NAME not in (schema, relation):
            missing = {column for column in columns if (schema, relation, column) not in present}
            assert missing <= SINCE_17, f"{schema}.{relation}"


def test_every_sample_of_values_is_built_in(postgres: PostgresServer) -> None:
    """What the server keeps of columns of any type is of the type anyarray."""
    samples = ask(
        postgres,
        "SELECT n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.atttypid = 'anyarray'::regtype",
    )
    assert len(samples) > 5
    for schema, relation, column in samples:
        if (relation, column) != ("pg_attribute", "attmissingval"):  # a default, which pg_attrdef shows as well
            assert column in builtin_columns(schema, relation)
