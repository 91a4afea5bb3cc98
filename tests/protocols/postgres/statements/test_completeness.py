"""Nothing of the grammar and of the server's catalogue is overlooked."""

from importlib import import_module

from interlock.protocols.postgres.statements.catalogue import BUILTIN_RELATIONS, SENSITIVE_RELATIONS
from interlock.protocols.postgres.statements.dispatch import READERS
from interlock.protocols.postgres.statements.functions import BUILTIN_FUNCTIONS, EFFECTS, EXTENSION_EFFECTS
from tests.servers.postgres import PostgresServer

NEVER_AT_THE_TOP = {"RawStmt", "SetOperationStmt", "ReturnStmt", "PLAssignStmt", "ReplicaIdentityStmt"}
"""Parts of other statements, or made after parsing."""


def test_every_statement_of_the_grammar_has_a_reader() -> None:
    pg_query_pb2 = import_module("postgast.pg_query_pb2")
    nodes = {field.message_type.name for field in pg_query_pb2.Node.DESCRIPTOR.oneofs[0].fields}
    statements = {name for name in nodes if name.endswith("Stmt")} - NEVER_AT_THE_TOP
    assert statements == set(READERS)


def test_no_function_is_both_harmless_and_not() -> None:
    assert not BUILTIN_FUNCTIONS & EFFECTS.keys()
    assert not BUILTIN_FUNCTIONS & EXTENSION_EFFECTS.keys()
    assert "set_config" not in BUILTIN_FUNCTIONS


def test_relations_of_the_server_are_known(postgres: PostgresServer) -> None:
    rows = postgres.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')"
    )
    assert {row[0] for row in rows} <= BUILTIN_RELATIONS
    assert SENSITIVE_RELATIONS <= BUILTIN_RELATIONS


def test_functions_of_the_server_are_known(postgres: PostgresServer) -> None:
    rows = postgres.execute(
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind <> 'p' "
        "AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype) "
        "AND NOT 'internal'::regtype = ANY (proargtypes) AND proname !~ '_(validator|handler|handler_in)$'"
    )
    assert {row[0] for row in rows} - BUILTIN_FUNCTIONS - EFFECTS.keys() == {"set_config"}
