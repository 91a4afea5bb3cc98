"""Policy as clients meet it: what a refusal looks like, what it does to the session, and that nothing gets through."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import asyncpg
import django
import psycopg
import pytest
import sqlalchemy as sa
from django.db import connections
from django.db.utils import load_backend
from psycopg.types.composite import CompositeInfo
from psycopg.types.enum import EnumInfo

from interlock.core.ledger import PolicyActivated, PolicyRefused
from tests.clients import programs
from tests.clients.scenarios import with_django  # noqa: F401 - gives Django its settings
from tests.clients.scenarios.with_asyncpg import arguments as asyncpg_arguments
from tests.e2e.ledger_files import decisions, records_of, wait_for
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

READS = """
@id("reads")
permit (principal in Group::"analysts", action in Action::"read", resource in Connection::"shop");
"""
POLICY = (
    READS
    + """
@id("changes")
permit (principal in Group::"analysts", action in Action::"write", resource in Connection::"shop");

@id("changes-need-a-dba")
@approval("dba")
forbid (principal in Group::"analysts", action in Action::"write", resource in Connection::"shop");

@id("dbas-change")
permit (principal in Group::"dbas", action in [Action::"read", Action::"write"], resource in Connection::"shop");

@id("never-drop")
@message("Agents never drop objects. Propose a migration instead.")
forbid (principal is Agent, action in [Action::"drop", Action::"truncate", Action::"alter"], resource);

@id("never-all-rows")
@message("Add a WHERE clause that names the rows you mean.")
forbid (principal is Agent, action in [Action::"delete-all", Action::"update-all"], resource);

@id("no-bulk-copies")
@message("Orders are not copied out.")
forbid (principal, action == Action::"copy-out", resource == Table::"shop/shop/public/orders");
"""
)

REFUSED = [
    pytest.param("DROP TABLE customers", "42501", "never-drop", "Agents never drop objects", id="drop"),
    pytest.param("TRUNCATE customers", "42501", "never-drop", "Propose a migration", id="truncate"),
    pytest.param("DELETE FROM customers", "42501", "never-all-rows", "Add a WHERE clause", id="delete all"),
    pytest.param("UPDATE orders SET note = '' WHERE true", "42501", "never-all-rows", "WHERE clause", id="update all"),
    pytest.param("DELETE FROM orders WHERE id = 1", "42501", "changes-need-a-dba", "needs approval by dba", id="held"),
    pytest.param("COPY orders TO STDOUT", "42501", "no-bulk-copies", "Orders are not copied out", id="copy out"),
    pytest.param("GRANT ALL ON orders TO reader", "42501", "", "no rule permits it", id="no permit"),
    pytest.param("DO $$BEGIN DELETE FROM orders; END$$", "42501", "", "no rule permits it", id="block"),
    pytest.param("SELECT pg_read_file('/etc/passwd')", "42501", "", "no rule permits it", id="file"),
    pytest.param("COPY customers TO PROGRAM 'cat'", "42501", "", "no rule permits it", id="program"),
    pytest.param("SELEKT 1", "42501", "", "not understood", id="unreadable"),
    pytest.param(
        "WITH gone AS (DELETE FROM orders WHERE id = 2 RETURNING id) SELECT * FROM gone",
        "42501",
        "changes-need-a-dba",
        "needs approval",
        id="writing CTE",
    ),
    pytest.param("EXPLAIN ANALYZE DELETE FROM orders WHERE id = 2", "42501", "changes-need-a-dba", "dba", id="explain"),
]

_names = (f"policy-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY, groups=("analysts",))) as server:
        yield server


@pytest.fixture(scope="module")
def read_only(target: Endpoint) -> Iterator[Endpoint]:
    """Through a gateway whose policy has nothing but one permit to read."""
    with GatewayServer(target, GatewayOptions(policy=READS, groups=("analysts",))) as server:
        yield server.endpoint()


@pytest.fixture
def application() -> str:
    return next(_names)


@pytest.fixture
def connection(gateway: GatewayServer, application: str) -> Iterator[psycopg.Connection]:
    with connect(gateway, application) as opened:
        yield opened


def connect(gateway: GatewayServer, application: str) -> psycopg.Connection:
    parameters = gateway.endpoint().parameters()
    return psycopg.connect(**parameters, application_name=application, autocommit=True)


def refusal(connection: psycopg.Connection, statement: str) -> psycopg.errors.Diagnostic:
    """What the refusal of a statement says. Anything but a refusal fails."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement.encode())
    assert connection.closed is False, caught.value
    return caught.value.diag


def django_connection(endpoint: Endpoint) -> Any:
    """Django's own connection, by itself: the application around it would make tables."""
    django.setup()
    options = {name: value for name, value in endpoint.parameters().items() if name.startswith("ssl")}
    names = {"HOST": endpoint.host, "PORT": endpoint.port, "USER": endpoint.user, "PASSWORD": endpoint.password}
    settings = {"ENGINE": "django.db.backends.postgresql", "NAME": endpoint.database, "OPTIONS": options, **names}
    configured = connections.configure_settings({"default": {}, "target": settings})
    return load_backend(settings["ENGINE"]).DatabaseWrapper(configured["target"], "target")


def passed(server: PostgresServer, mark: int) -> list[str]:
    """What the target was given since the mark."""
    return [logged.text for logged in server.logged_statements(mark) if logged.user == "app"]


def status(connection: psycopg.Connection) -> str:
    """The state of the transaction, as the gateway last told."""
    return connection.info.transaction_status.name


def one(connection: psycopg.Connection, statement: str) -> object:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(("statement", "code", "rule", "text"), REFUSED)
def test_refusal_says_what_and_why_and_reaches_nothing(
    connection: psycopg.Connection, postgres: PostgresServer, statement: str, code: str, rule: str, text: str
) -> None:
    mark = postgres.log_position()
    diagnostic = refusal(connection, statement)
    assert (diagnostic.severity, diagnostic.sqlstate) == ("ERROR", code)
    assert text in (diagnostic.message_primary or "")
    detail = diagnostic.message_detail or ""
    assert detail.startswith("Refused: ")
    assert "policy " in detail
    assert rule in detail
    assert diagnostic.message_hint
    assert one(connection, "SELECT count(*) FROM customers") == 100
    assert passed(postgres, mark) == ["SELECT count(*) FROM customers"]


@pytest.mark.parametrize("statement", [parameter.values[0] for parameter in REFUSED])
def test_refusal_in_a_transaction_aborts_it(
    connection: psycopg.Connection, postgres: PostgresServer, statement: str
) -> None:
    mark = postgres.log_position()
    connection.execute("BEGIN")
    assert refusal(connection, statement).sqlstate == "42501"
    assert status(connection) == "INERROR"
    assert refusal(connection, "SELECT 1").sqlstate == "25P02"
    connection.execute("ROLLBACK")
    assert status(connection) == "IDLE"
    assert one(connection, "SELECT 1") == 1
    assert not [text for text in passed(postgres, mark) if statement in text]


def test_savepoints_survive_a_refusal(connection: psycopg.Connection) -> None:
    with connection.transaction():
        assert one(connection, "SELECT 1") == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("DROP TABLE customers")
        assert one(connection, "SELECT count(*) FROM customers") == 100


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 AS pass; DROP TABLE customers",
        "DROP TABLE customers; SELECT 1",
        "SELECT 1; SELECT 2; DELETE FROM orders; SELECT 3",
        "BEGIN; DELETE FROM orders WHERE id = 3; COMMIT",
        "SELECT $a$ ; $a$; /* ; */ TRUNCATE orders --",
    ],
)
def test_multi_statement_strings_are_refused_as_a_whole(
    connection: psycopg.Connection, postgres: PostgresServer, text: str
) -> None:
    mark = postgres.log_position()
    assert refusal(connection, text).sqlstate == "42501"
    assert status(connection) == "IDLE"
    assert passed(postgres, mark) == []


def test_pipeline_with_a_refusal_in_the_middle(connection: psycopg.Connection, postgres: PostgresServer) -> None:
    """Before it: answered. Behind it and up to the Sync: skipped. The next group works."""
    mark = postgres.log_position()
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never-drop"), connection.pipeline() as pipeline:  # noqa: PT012 - it is raised where the pipeline ends
        before = connection.execute("SELECT 'before' FROM generate_series(1, 3)")
        denied = connection.execute("DROP TABLE customers")
        behind = connection.execute("SELECT 'behind'")
        pipeline.sync()
        after = connection.execute("SELECT 'after'")
        assert after.fetchone() == ("after",)
        assert before.fetchall() == [("before",)] * 3
        with pytest.raises(psycopg.errors.PipelineAborted):
            behind.fetchone()
        denied.fetchone()
    assert one(connection, "SELECT count(*) FROM customers") == 100
    reached = passed(postgres, mark)
    assert not [text for text in reached if "DROP" in text or "behind" in text]
    assert "SELECT 'before' FROM generate_series(1, 3)" in reached


def test_prepared_statement_is_refused_when_its_text_is_handed_over(
    connection: psycopg.Connection, postgres: PostgresServer
) -> None:
    mark = postgres.log_position()
    for _ in range(7):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM orders WHERE id = %s", [1], prepare=True)
        assert connection.execute("SELECT %s::int", [5], prepare=True).fetchone() == (5,)
    assert {text for text in passed(postgres, mark) if "DELETE" in text} == set()


def test_sql_level_indirection_is_refused(connection: psycopg.Connection, postgres: PostgresServer) -> None:
    mark = postgres.log_position()
    assert refusal(connection, "PREPARE wipe AS DELETE FROM orders").sqlstate == "42501"
    assert refusal(connection, "EXECUTE wipe").sqlstate == "42501"
    assert refusal(connection, "DECLARE c CURSOR FOR SELECT pg_read_file('/etc/passwd')").sqlstate == "42501"
    assert passed(postgres, mark) == []


async def test_asyncpg_is_refused_and_goes_on(gateway: GatewayServer, application: str) -> None:
    settings = {"application_name": application}
    arguments = asyncpg_arguments(await asyncio.to_thread(gateway.endpoint))
    connection = await asyncpg.connect(**arguments, server_settings=settings)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="never-drop") as caught:
            await connection.execute("DROP TABLE customers")
        assert "policy" in caught.value.detail
        assert caught.value.hint
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="needs approval"):
            await connection.fetch("UPDATE orders SET note = $1 WHERE id = $2", "x", 1)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="never-all-rows"):
            await connection.executemany("DELETE FROM orders WHERE $1 = $1", [(1,), (2,)])
        async with connection.transaction():
            assert await connection.fetchval("SELECT count(*) FROM customers") == 100
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute("INSERT INTO orders (customer_id, total) VALUES (1, 1)")
        assert await connection.fetchval("SELECT max(id) FROM orders WHERE id < $1", 11) == 10
    finally:
        await connection.close()
    found = decisions(gateway, application)
    assert ("DROP TABLE", "denied") in found
    assert ("UPDATE", "held") in found
    assert ("INSERT", "held") in found


def test_psql_shows_the_refusal_and_goes_on(gateway: GatewayServer) -> None:
    script = "DROP TABLE customers;\nSELECT 'still here';\n\\copy orders to stdout\nSELECT count(*) FROM customers;\n"
    outcome = programs.run(gateway.endpoint(), "psql", "-XAt", script=script)
    assert outcome.status == 0
    assert outcome.output.splitlines() == ["still here", "100"]
    assert "Agents never drop objects. Propose a migration instead." in outcome.errors
    assert "DETAIL:  Refused: drop on table shop/shop/public/customers; rule never-drop; policy " in outcome.errors
    assert "HINT:  " in outcome.errors
    assert "Orders are not copied out." in outcome.errors


def test_groups_decide(gateway: GatewayServer, postgres: PostgresServer) -> None:
    statement = b"UPDATE orders SET note = 'by a dba' WHERE id = 7"
    with connect(gateway, "groups-analyst") as analyst, pytest.raises(psycopg.errors.InsufficientPrivilege):
        analyst.execute(statement)
    parameters = gateway.endpoint(gateway.token("dba-agent", ["dbas"])).parameters()
    with psycopg.connect(**parameters, autocommit=True) as dba:
        assert dba.execute(statement).rowcount == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never-drop"):
            dba.execute("DROP TABLE orders")
    stranger = gateway.endpoint(gateway.token("stranger", ["visitors"])).parameters()
    with pytest.raises(psycopg.OperationalError, match="does not exist or stranger may not use it"):
        psycopg.connect(**stranger)
    assert postgres.execute("SELECT note FROM orders WHERE id = 7", database="shop") == [("by a dba",)]


def test_hot_reload_on_a_live_session(target: Endpoint) -> None:
    """A stricter policy binds the sessions that are open, a broken one leaves the last good one in force."""
    with GatewayServer(target, GatewayOptions(policy=READS, groups=("analysts",))) as gateway:
        with connect(gateway, "reload") as connection:
            assert one(connection, "SELECT count(*) FROM orders") == 1000
            connection.execute("SELECT * FROM customers WHERE id = %s", [1], prepare=True)
            stricter = (
                '@id("no-customers") forbid (principal, action, resource in Table::"shop/shop/public/customers");'
            )
            gateway.policy_file.write_text(READS + stricter)
            wait_for(lambda: len(records_of(gateway, PolicyActivated)) == 2, "the stricter policy")
            assert "no-customers" in (refusal(connection, "SELECT * FROM customers").message_detail or "")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM customers WHERE id = %s", [1], prepare=True)
            assert one(connection, "SELECT count(*) FROM orders") == 1000
            gateway.policy_file.write_text("permit (principal, action, resource")
            wait_for(lambda: records_of(gateway, PolicyRefused), "the refusal of the broken policy")
            assert refusal(connection, "SELECT * FROM customers").sqlstate == "42501"
            assert one(connection, "SELECT count(*) FROM orders") == 1000
            gateway.policy_file.write_text(READS)
            wait_for(lambda: len(records_of(gateway, PolicyActivated)) == 3, "the first policy again")
            assert one(connection, "SELECT count(*) FROM customers") == 100
        first, second, third = (record.version for record in records_of(gateway, PolicyActivated))
        assert first == third != second
        assert records_of(gateway, PolicyRefused)[0].active == second


# ---------------------------------------------------------------- what libraries send by themselves


@pytest.fixture(scope="module")
def typed_endpoint(postgres: PostgresServer, read_only: Endpoint) -> Iterator[Endpoint]:
    """``read_only`` with a table of custom types at the target."""
    postgres.execute(
        "CREATE SCHEMA typed; GRANT ALL ON SCHEMA typed TO app; SET ROLE app;"
        "CREATE TYPE typed.mood AS ENUM ('sad', 'happy');"
        "CREATE TYPE typed.place AS (street text, number integer);"
        "CREATE TABLE typed.things (id integer PRIMARY KEY, mood typed.mood, home typed.place, tags typed.mood[]);"
        "INSERT INTO typed.things VALUES (1, 'happy', ROW('Long Street', 3), ARRAY['sad'::typed.mood])",
        database="shop",
    )
    yield read_only
    postgres.execute("DROP SCHEMA typed CASCADE", database="shop")


async def test_what_asyncpg_sends_by_itself_passes(typed_endpoint: Endpoint) -> None:
    async with asyncpg.create_pool(**asyncpg_arguments(typed_endpoint), min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection:
            row = await connection.fetchrow("SELECT mood, home, tags FROM typed.things WHERE id = $1", 1)
            assert (row["mood"], tuple(row["home"]), row["tags"]) == ("happy", ("Long Street", 3), ["sad"])
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM typed.things") == 1
            await connection.set_type_codec("mood", schema="typed", encoder=str, decoder=str)
            await connection.reload_schema_state()


def test_what_psycopg_sends_by_itself_passes(typed_endpoint: Endpoint) -> None:
    with psycopg.connect(**typed_endpoint.parameters()) as connection:
        mood = EnumInfo.fetch(connection, "typed.mood")
        assert mood is not None
        assert list(mood.labels) == ["sad", "happy"]
        assert CompositeInfo.fetch(connection, "typed.place") is not None
        assert connection.execute("").description is None
        with connection.cursor("server_side") as cursor:
            cursor.execute("SELECT id FROM orders ORDER BY id")
            assert cursor.fetchmany(2) == [(1,), (2,)]
        connection.rollback()
        connection.execute("SET TRANSACTION READ ONLY")
        assert one(connection, "SHOW transaction_read_only") == "on"


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_what_sqlalchemy_sends_by_itself_passes(typed_endpoint: Endpoint, driver: str) -> None:
    parameters = typed_endpoint.parameters()
    engine = sa.create_engine(f"postgresql+{driver}://", connect_args=parameters, pool_pre_ping=True)
    try:
        for _ in range(2):
            with engine.connect() as bind:
                assert bind.execute(sa.text("SELECT count(*) FROM orders")).scalar() == 1000
        table = sa.Table("orders", sa.MetaData(), autoload_with=engine)
        assert table.c.keys() == ["id", "customer_id", "total", "note"]
        assert "customer_totals" in sa.inspect(engine).get_view_names()
    finally:
        engine.dispose()


def test_what_django_sends_by_itself_passes(typed_endpoint: Endpoint) -> None:
    wrapper = django_connection(typed_endpoint)
    try:
        with wrapper.cursor() as cursor:
            assert "orders" in wrapper.introspection.table_names(cursor)
            names = [column.name for column in wrapper.introspection.get_table_description(cursor, "orders")]
            assert names == ["id", "customer_id", "total", "note"]
            assert wrapper.introspection.get_relations(cursor, "orders")
            assert wrapper.introspection.get_constraints(cursor, "orders")
            assert wrapper.introspection.get_sequences(cursor, "orders")
    finally:
        wrapper.close()


@pytest.mark.parametrize("command", ["\\d", "\\d orders", "\\dt *.*", "\\df", "\\dn+", "\\l", "\\du", "\\d+ customers"])
def test_what_psql_sends_by_itself_passes(typed_endpoint: Endpoint, command: str) -> None:
    outcome = programs.run(typed_endpoint, "psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", command)
    assert (outcome.status, outcome.errors) == (0, "")
    assert outcome.output


def test_pg_dump_of_one_table_passes(typed_endpoint: Endpoint) -> None:
    """It locks the table against changes of its shape, as a SELECT does."""
    outcome = programs.run(typed_endpoint, "pg_dump", "-t", "orders")
    assert (outcome.status, outcome.errors) == (0, "")
    assert "COPY public.orders" in outcome.output
