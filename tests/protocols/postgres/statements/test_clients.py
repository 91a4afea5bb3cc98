"""What client libraries and tools send by themselves needs no permission beyond looking at the catalogue.

The clients run against a real server that logs each statement; what it logged is interpreted here. So the
statements are those of the installed versions.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psycopg
import pytest
import sqlalchemy
from asyncpg import introspection
from psycopg.types import TypeInfo
from psycopg.types.composite import CompositeInfo
from psycopg.types.enum import EnumInfo
from psycopg.types.range import RangeInfo

from interlock.core.operation import Access, Meaning
from interlock.protocols.postgres.statements import interpret
from tests.protocols.postgres.statements.rendering import render
from tests.servers import sample
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer, client_program

TYPES = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a int, b mood);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE feelings (id int PRIMARY KEY, mood mood, n positive, span int4range);
"""


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    postgres.execute("CREATE DATABASE clients OWNER app")
    postgres.execute("SET ROLE app; " + TYPES, database="clients")
    yield postgres
    postgres.execute("DROP DATABASE clients WITH (FORCE)")


@pytest.fixture
def endpoint(server: PostgresServer) -> Endpoint:
    return sample.endpoint(server, "app", "clients")


@contextmanager
def recorded(server: PostgresServer) -> Iterator[list[Meaning]]:
    """The meanings of all statements that the database ``clients`` executes within the block."""
    meanings: list[Meaning] = []
    position = server.log_position()
    yield meanings
    texts = [entry.text for entry in server.logged_statements(position) if entry.database == "clients"]
    meanings += [interpret(text.encode()).meaning for text in texts]


def beyond_introspection(meanings: list[Meaning]) -> list[str]:
    """What is refused, or needs another action than ``introspect``."""
    assert meanings
    return [
        f"{meaning.verb}: {render(meaning)}"
        for meaning in meanings
        if meaning.refusal or any(access.action != "introspect" for access in meaning.accesses)
    ]


def accesses(meanings: list[Meaning]) -> set[tuple[str, str]]:
    found: list[Access] = [access for meaning in meanings for access in meaning.accesses]
    return {(access.action, access.path[-1]) for access in found if access.action != "introspect"}


DESCRIBE = r"""
\l+ \d+ \dn+ \dt+ \di+ \ds+ \dv+ \dm+ \df+ \da+ \do \dT+ \dD+ \dC \dx+ \du+ \dp \ddp \dew+ \des+ \det+
\dF+ \dFp+ \dy+ \db+ \dc+ \dL+ \dO+ \dP+ \dRp+ \dX \dconfig \drds \dl
"""


def test_psql_describes_everything(server: PostgresServer, endpoint: Endpoint) -> None:
    script = "\n".join([*DESCRIBE.split(), r"\d+ feelings", r"\d+ pg_class", r"\sf lower(text)"])
    with recorded(server) as meanings:
        run([str(client_program("psql")), "-X", "-q", "-f", "-"], endpoint, script)
    assert len(meanings) > 40
    assert accesses(meanings) <= {("select", "pg_largeobject_metadata")}
    assert beyond_introspection(meanings) == []


def test_pg_dump_reads_the_catalogue_and_copies_tables_out(server: PostgresServer, endpoint: Endpoint) -> None:
    with recorded(server) as meanings:
        run([str(client_program("pg_dump"))], endpoint)
    assert len(meanings) > 50
    assert not any(meaning.refusal for meaning in meanings)
    assert accesses(meanings) == {("copy-out", "feelings")}


def test_asyncpg_looks_up_types_and_resets(server: PostgresServer) -> None:
    lookups = (introspection.INTRO_LOOKUP_TYPES, introspection.INTRO_LOOKUP_TYPES_13, introspection.TYPE_BY_NAME)
    assert beyond_introspection([interpret(text.encode()).meaning for text in lookups]) == []


async def test_asyncpg_pool(server: PostgresServer, endpoint: Endpoint) -> None:
    with recorded(server) as meanings:
        parameters = {"host": endpoint.host, "port": endpoint.port, "database": "clients"}
        async with asyncpg.create_pool(
            user=endpoint.user, password=endpoint.password, min_size=1, max_size=1, **parameters
        ) as pool:
            async with pool.acquire() as connection, connection.transaction():
                await connection.fetchval("SELECT '{}'::pair[], $1::mood, $2::positive", "good", 1)
                await connection.set_type_codec("mood", encoder=str, decoder=str, format="text")
            async with pool.acquire() as connection:
                await connection.reload_schema_state()
    assert any("typeinfo_tree" in str(meaning.facts) or len(meaning.accesses) > 4 for meaning in meanings)
    assert beyond_introspection(meanings) == []


def test_psycopg_finds_types(server: PostgresServer, endpoint: Endpoint) -> None:
    with recorded(server) as meanings, psycopg.connect(**endpoint.parameters()) as connection:
        assert EnumInfo.fetch(connection, "mood")
        assert CompositeInfo.fetch(connection, "pair")
        assert TypeInfo.fetch(connection, "positive")
        assert RangeInfo.fetch(connection, "int4range")
        with connection.transaction(), connection.cursor("server_side") as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        connection.execute("")
    assert beyond_introspection(meanings) == []


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_sqlalchemy_starts_and_reflects(server: PostgresServer, endpoint: Endpoint, driver: str) -> None:
    url = sqlalchemy.URL.create(
        f"postgresql+{driver}", endpoint.user, endpoint.password, endpoint.host, endpoint.port, "clients"
    )
    engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
    metadata = sqlalchemy.MetaData()
    with recorded(server) as meanings:
        try:
            for _ in range(2):
                with engine.connect() as connection:
                    metadata.reflect(connection, views=True)
                    inspector = sqlalchemy.inspect(connection)
                    inspector.get_multi_unique_constraints()
                    inspector.get_multi_check_constraints()
                    inspector.get_multi_table_comment()
                    inspector.get_sequence_names()
        finally:
            engine.dispose()
    assert "feelings" in metadata.tables
    assert beyond_introspection(meanings) == []


def test_django_connects_and_inspects(server: PostgresServer, endpoint: Endpoint) -> None:
    with recorded(server) as meanings:
        run([sys.executable, str(Path(__file__).with_name("django_client.py"))], endpoint)
    assert len(meanings) > 5
    assert beyond_introspection(meanings) == []


def run(command: list[str], endpoint: Endpoint, stdin: str = "") -> None:
    """Run a client program against the endpoint; it must succeed."""
    environment = {"PATH": os.environ["PATH"], **endpoint.environment()}
    finished = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
