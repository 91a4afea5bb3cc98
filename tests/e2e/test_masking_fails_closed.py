"""Masking when something is wrong: no catalogue, a table that changes under a session, a policy that begins to mask."""

import itertools
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from interlock.core.ledger import ConnectionRefused, PolicyActivated
from tests.e2e.ledger_files import records_of, refusals, wait_for
from tests.servers import sample
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port

PERMIT = '@id("everything")\npermit (principal, action, resource);\n'
HIDE = '@id("pii")\n@mask("{}")\nforbid (principal, action == Action::"reveal", resource in Tag::"pii");\n'
MASKING = PERMIT + HIDE.format("redact")
TAGS = '[policy.tags]\n"public.people*.email" = ["pii"]\n"public.people*.phone" = ["pii"]\n'
SECRETS = ("alice@example.com", "+49 731 555")
TABLE = """
    DROP TABLE IF EXISTS people;
    CREATE TABLE people (id int PRIMARY KEY, name text, email text UNIQUE, phone text);
    INSERT INTO people VALUES (1, 'Alice', 'alice@example.com', '+49 731 555');
    ALTER TABLE people OWNER TO app;
"""
_numbers = itertools.count()
CANNOT_TELL = "cannot tell what is masked for you on this connection"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A cluster with databases of which two cannot be read."""
    with PostgresServer() as server:
        sample.fill(server)
        server.execute("CREATE DATABASE closed OWNER app")
        server.execute("REVOKE SELECT ON pg_catalog.pg_class FROM PUBLIC", database="closed")
        yield server


class People:
    """A table of its own for each test: "people" and "others" in a statement stand for it and for its later name."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._name = f"people{next(_numbers)}"
        self.change(TABLE)

    def change(self, statement: str) -> None:
        """Run a statement as somebody who is not under a mask."""
        self._server.execute(self.named(statement), database="shop")

    def named(self, statement: str) -> str:
        return re.sub(r"\bothers\b", f"{self._name}_moved", re.sub(r"\bpeople\b", self._name, statement))

    def told(self, connection: psycopg.Connection[Any], statement: str) -> str:
        """Everything that a statement makes the client see; the session survives unless the second net ends it."""
        try:
            seen = repr(connection.execute(self.named(statement).encode()).fetchall())
        except psycopg.Error as error:
            diag = error.diag
            seen = f"{error.sqlstate} {error} {diag.message_detail} {diag.message_hint} {diag.context}"
        assert not any(secret in seen for secret in SECRETS), f"{statement}: {seen}"
        assert connection.closed is ("about to show a masked column" in seen), f"{statement}: {seen}"
        return seen


@pytest.fixture
def people(server: PostgresServer) -> People:
    return People(server)


def other_connections(server: PostgresServer) -> str:
    """Connections to the same server whose databases are not there, or may not be read."""
    connections = {"gone": "nowhere", "closed": "closed"}
    return "".join(
        f"""
[connections.{name}]
protocol = "postgres"
host = "127.0.0.1"
port = {server.port}
user = "app"
databases = ["{database}"]
credential = {{ file = "target-password" }}
tls = "disable"
"""
        for name, database in connections.items()
    )


@contextmanager
def run(server: PostgresServer, policy: str = MASKING, port: int = 0) -> Iterator[GatewayServer]:
    target = sample.endpoint(server)
    options = GatewayOptions(
        policy=policy,
        extra=other_connections(server) + TAGS,
        connection_extra="masking = { refresh_s = 1.0 }",
    )
    with GatewayServer(replace(target, port=port or target.port), options) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def gateway(server: PostgresServer) -> Iterator[GatewayServer]:
    with run(server) as gateway:
        yield gateway


def connect(gateway: GatewayServer, connection: str = "shop") -> psycopg.Connection[Any]:
    endpoint: Endpoint = replace(gateway.endpoint(), database=connection)
    return psycopg.connect(**endpoint.parameters(), autocommit=True)


# ---------------------------------------------------------------- no catalogue


@pytest.mark.parametrize("connection", ["gone", "closed"])
def test_without_a_catalogue_the_session_is_refused_with_a_clear_error(gateway: GatewayServer, connection: str) -> None:
    before = len(records_of(gateway, ConnectionRefused))
    with pytest.raises(psycopg.OperationalError, match=CANNOT_TELL):
        connect(gateway, connection)
    refused = refusals(gateway, before + 1)[-1]
    assert refused.reason.startswith("masking: the catalogue cannot be read")


def test_a_target_that_is_down_opens_no_session(server: PostgresServer) -> None:
    """The first catalogue cannot be read; once it can, sessions open."""
    with run(server, port=free_port()) as gateway, pytest.raises(psycopg.OperationalError, match=CANNOT_TELL):
        connect(gateway)


# ---------------------------------------------------------------- a table that changes under a session

CHANGES = {
    "column renamed": "ALTER TABLE people RENAME COLUMN email TO mail",
    "columns swapped": "ALTER TABLE people RENAME email TO x; ALTER TABLE people RENAME name TO email; "
    "ALTER TABLE people RENAME x TO name",
    "column dropped": "ALTER TABLE people DROP COLUMN email",
    "column added": "ALTER TABLE people ADD COLUMN age int DEFAULT 5",
    "type changed": "ALTER TABLE people ALTER COLUMN email TYPE varchar(50)",
    "table renamed": "ALTER TABLE people RENAME TO others",
    "table dropped": "DROP TABLE people",
    "table made anew": TABLE,
    "table in another place": "ALTER TABLE people RENAME TO others; "
    "CREATE TABLE people AS SELECT id, name FROM others; ALTER TABLE people OWNER TO app",
}
QUERIES = (
    "SELECT * FROM people",
    "TABLE people",
    "SELECT email FROM people",
    "SELECT mail FROM people",
    "SELECT name FROM people",
    "SELECT * FROM others",
    "SELECT name, email FROM others",
    "SELECT p FROM people p",
    "UPDATE people SET name = name RETURNING *",
    "INSERT INTO people (id, email) VALUES (2, 'alice@example' || '.com') RETURNING *",
    "SELECT count(*) FROM people WHERE email = 'alice@' || 'example.com'",
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_under_a_session_shows_nothing(gateway: GatewayServer, people: People, change: str) -> None:
    with connect(gateway) as connection:
        assert people.told(connection, "SELECT email, phone FROM people") == "[('***', '***')]"
        people.change(CHANGES[change])
        for query in (*QUERIES, *QUERIES):
            people.told(connection, query)
            if connection.closed:
                break
        assert connection.closed is (change == "columns swapped"), "the second net ends the session"


def test_a_renamed_column_stays_masked_and_comes_back(gateway: GatewayServer, people: People) -> None:
    with connect(gateway) as connection:
        assert "***" in people.told(connection, "SELECT email FROM people")
        people.change(CHANGES["column renamed"])
        wait_for(lambda: people.told(connection, "SELECT mail FROM people") == "[('***',)]", "the new name, masked")
        assert "42703" in people.told(connection, "SELECT email FROM people")
        assert people.told(connection, "SELECT id, mail, phone FROM people") == "[(1, '***', '***')]"


def test_a_renamed_table_stays_masked(gateway: GatewayServer, people: People) -> None:
    with connect(gateway) as connection:
        assert "***" in people.told(connection, "SELECT email FROM people")
        people.change(CHANGES["table renamed"])
        wait_for(lambda: people.told(connection, "SELECT email FROM others") == "[('***',)]", "the new name, masked")


def test_a_prepared_statement_on_a_table_that_changes(gateway: GatewayServer, people: People) -> None:
    with connect(gateway) as connection:
        query = people.named("SELECT * FROM people WHERE id = %s").encode()
        assert connection.execute(query, [1], prepare=True).fetchall() == [(1, "Alice", "***", "***")]
        people.change(CHANGES["columns swapped"])
        for _ in range(3):
            with suppress(psycopg.Error):
                assert not set(SECRETS) & set(*connection.execute(query, [1], prepare=True).fetchall())


def test_a_session_that_changes_the_table_itself(gateway: GatewayServer, people: People) -> None:
    with connect(gateway) as connection:
        for statement in (
            "ALTER TABLE people RENAME COLUMN email TO mail",
            "ALTER TABLE people RENAME TO others",
            "CREATE TABLE mine (id int, email text)",
            "SELECT * FROM mine",
            "DROP TABLE mine",
        ):
            people.told(connection, statement)
            for query in QUERIES:
                people.told(connection, query)


# ---------------------------------------------------------------- policy


def test_a_policy_that_begins_to_mask_binds_open_sessions_and_what_they_prepared(
    server: PostgresServer, people: People
) -> None:
    with run(server, PERMIT) as gateway, connect(gateway) as connection:
        query = people.named("SELECT email FROM people WHERE id = %s").encode()
        for _ in range(3):
            assert connection.execute(query, [1], prepare=True).fetchall() == [("alice@example.com",)]
        activate(gateway, MASKING, 2)
        assert people.told(connection, "SELECT email FROM people") == "[('***',)]"
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="prepare it again"):
            connection.execute(query, [1], prepare=True)
        assert connection.closed is False
        assert people.told(connection, "SELECT email FROM people") == "[('***',)]"
        activate(gateway, PERMIT + HIDE.format("null"), 3)
        assert people.told(connection, "SELECT email FROM people") == "[(None,)]"
        activate(gateway, PERMIT, 4)
        assert connection.execute(people.named("SELECT email FROM people").encode()).fetchall() == [
            ("alice@example.com",)
        ]


def test_a_policy_that_begins_to_mask_what_cannot_be_read_ends_open_sessions(server: PostgresServer) -> None:
    with run(server, PERMIT) as gateway, connect(gateway, "closed") as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        activate(gateway, MASKING, 2)
        with pytest.raises(psycopg.Error, match="can no longer tell what is masked for you") as caught:
            connection.execute("SELECT 2")
        assert caught.value.sqlstate == "58000"
        assert connection.closed


def test_a_cursor_that_was_opened_before_does_not_show_more(server: PostgresServer, people: People) -> None:
    with run(server, PERMIT) as gateway, connect(gateway) as connection:
        connection.execute("BEGIN")
        connection.execute(people.named("DECLARE c CURSOR FOR SELECT email FROM people").encode())
        activate(gateway, MASKING, 2)
        people.told(connection, "FETCH ALL FROM c")


def activate(gateway: GatewayServer, policy: str, count: int) -> None:
    """Put a policy in the place of the one before; the ``count``th that is activated."""
    gateway.policy_file.write_text(policy)
    wait_for(lambda: len(records_of(gateway, PolicyActivated)) == count, "the policy")


# ---------------------------------------------------------------- rows that do not add up


class Tampering:
    """A relay in front of the target that changes bytes of its answers. Use as a context manager."""

    def __init__(self, port: int, found: bytes, instead: bytes) -> None:
        self._target = port
        self._found, self._instead = found, instead
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stack = ExitStack()
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> "Tampering":
        self._stack.callback(self._listener.close)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._stack.close()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                target = socket.create_connection(("127.0.0.1", self._target))
                for one in (client, target):
                    self._stack.callback(one.close)
                self._start(self._carry, client, target, b"", b"")
                self._start(self._carry, target, client, self._found, self._instead)

    def _carry(self, source: socket.socket, sink: socket.socket, found: bytes, instead: bytes) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data.replace(found, instead) if found else data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("instead", [b"\0\0\xff\x11", b"\xff\xff\xff\xf0", b"\0\0\0\x12", b"\0\0\0\x10"])
def test_rows_that_do_not_add_up_end_the_session(server: PostgresServer, people: People, instead: bytes) -> None:
    """The length of the hashed value is wrong, so that nobody can tell where it ends."""
    value = b"alice@example.com"
    length = b"\0\0\0\x11"
    with (
        Tampering(server.port, length + value, instead + value) as relay,
        run(server, PERMIT + HIDE.format("hash"), relay.port) as gateway,
        connect(gateway) as connection,
    ):
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(people.named("SELECT email, id FROM people").encode()).fetchall()
        assert connection.closed
        assert "a row cannot be masked" in str(caught.value)
        assert not any(secret in f"{caught.value} {gateway.log()}" for secret in SECRETS)


def test_hashes_of_rows_that_add_up(server: PostgresServer, people: People) -> None:
    with run(server, PERMIT + HIDE.format("hash")) as gateway, connect(gateway) as connection:
        (row,) = connection.execute(people.named("SELECT email, id, email AS again FROM people").encode()).fetchall()
        assert str(row[0]).startswith("hash:")
        assert row[0] == row[2]
        people.told(connection, "SELECT * FROM people")
