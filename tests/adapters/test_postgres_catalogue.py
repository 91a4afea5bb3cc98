"""Reading the catalogue of real servers, and what happens when one cannot be read."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from interlock.adapters import postgres_catalogue
from interlock.adapters.postgres_catalogue import (
    PostgresCatalogueReader,
    catalogue_queries,
    tags_in_comment,
    tags_in_label,
)
from interlock.adapters.postgres_connection import PostgresConnections
from interlock.core.catalogue import Catalogue, Relation, RelationKind, Routine
from interlock.core.errors import CatalogueUnavailable
from tests.adapters.target_parts import OneTarget, target_connections
from tests.servers import sample
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer
from tests.servers.process import ServerDied, free_port

DATABASE = "kinds"
EXTENSIONS = ("citext", "vector")  # each server has one of them, which makes a type of its name
SCHEMA = r"""
CREATE SCHEMA "Odd ""Name";
CREATE SCHEMA ext;
CREATE EXTENSION some_extension SCHEMA ext;
CREATE DOMAIN plain_text AS varchar(40);
CREATE DOMAIN short_text AS plain_text;
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE TABLE people (
    id integer PRIMARY KEY, name short_text, gone text, moods mood[], amount numeric(12, 2),
    upper_name text GENERATED ALWAYS AS (upper(name::text)) STORED, email text, extended ext.some_extension
);
ALTER TABLE people DROP COLUMN gone;
COMMENT ON TABLE people IS 'All of them. interlock:tags=people';
COMMENT ON COLUMN people.email IS 'Where to write (interlock:tags=pii,contact-data), and interlock:tags=mail.';
COMMENT ON COLUMN people.name IS 'says nothing';
CREATE TABLE "Odd ""Name"."T x" ("C d" text);
CREATE TABLE orders (
    id integer, person integer REFERENCES people ON DELETE CASCADE, part_a integer, part_b integer
);
CREATE TABLE parts (a integer, b integer, PRIMARY KEY (b, a));
ALTER TABLE orders ADD FOREIGN KEY (part_b, part_a) REFERENCES parts (b, a);
CREATE VIEW emails AS SELECT p.email AS address FROM people p;
CREATE MATERIALIZED VIEW counts AS SELECT count(*) FROM people;
CREATE SEQUENCE numbers;
CREATE TABLE measures (at date, value integer) PARTITION BY RANGE (at);
CREATE TABLE measures_2026 PARTITION OF measures FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE base (a integer);
CREATE TABLE derived () INHERITS (base);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER away FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE afar (a integer) SERVER away;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noted BEFORE INSERT ON measures_2026 FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER noted BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE ruled (a integer);
CREATE RULE instead AS ON INSERT TO ruled DO INSTEAD NOTHING;
CREATE FUNCTION add_one(integer, OUT sum integer) LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION step(integer, integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + $2';
CREATE FUNCTION finish(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE total(integer) (sfunc = step, stype = integer, finalfunc = finish);
CREATE PROCEDURE act() LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE OPERATOR ## (leftarg = integer, rightarg = integer, procedure = step);
CREATE FUNCTION is_fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION is_same(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR === (leftarg = text, rightarg = text, procedure = is_same);
CREATE DOMAIN checked AS text CHECK (is_fine(VALUE));
CREATE DOMAIN checked_too AS checked;
CREATE DOMAIN compared AS text CHECK (VALUE OPERATOR(public.===) 'x');
CREATE DOMAIN bounded AS text CHECK (length(VALUE) < 5);
CREATE TYPE pair AS (a text, b text);
CREATE FUNCTION as_pair(integer) RETURNS pair LANGUAGE sql AS 'SELECT $1::text, $1::text';
CREATE CAST (integer AS pair) WITH FUNCTION as_pair(integer);
"""


@pytest.fixture(scope="module", params=["installed", "newest"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """The preferred server's programs, and the newest ones that are there."""
    with contextlib.ExitStack() as stack:
        if request.param == "installed":
            server: PostgresServer = request.getfixturevalue("postgres")
        else:
            try:
                server = stack.enter_context(PostgresServer(minimum_version=17))
            except ServerDied:
                pytest.skip("there is no newer PostgreSQL server")
        server.execute(f"CREATE DATABASE {DATABASE}")
        server.execute("CREATE ROLE powerless LOGIN PASSWORD 'powerless'")
        available = [name for (name,) in server.execute("SELECT name FROM pg_available_extensions")]
        extension = next(name for name in EXTENSIONS if name in available)
        server.execute(SCHEMA.replace("some_extension", extension), database=DATABASE)
        yield server
        server.execute(f"DROP DATABASE {DATABASE}")
        server.execute("DROP ROLE powerless")


def reader(server: PostgresServer, user: str = "postgres", **options: Any) -> PostgresCatalogueReader:
    endpoint = server.endpoint(user, None if user == "postgres" else user, DATABASE)
    return PostgresCatalogueReader(target_connections(OneTarget(endpoint), **options))


@pytest.fixture(scope="module")
def catalogue(server: PostgresServer) -> Catalogue:
    return asyncio.run(reader(server).read("shop", DATABASE))


def relation(catalogue: Catalogue, name: str, schema: str = "public") -> Relation:
    (found,) = [one for one in catalogue.relations if (one.schema, one.name) == (schema, name)]
    return found


def routine(catalogue: Catalogue, name: str) -> Routine:
    (found,) = [one for one in catalogue.routines if one.name == name and one.schema == "public"]
    return found


def test_relations_of_every_kind(catalogue: Catalogue) -> None:
    kinds = {"people": "r", "measures": "p", "measures_2026": "r", "emails": "v", "counts": "m", "afar": "f"}
    for name, kind in (kinds | {"numbers": "S"}).items():
        assert relation(catalogue, name).kind is RelationKind(kind)
    assert {one.schema for one in catalogue.relations} == {"public", 'Odd "Name', "pg_catalog"}
    assert {one.name for one in catalogue.relations if one.schema == "pg_catalog"} == {
        "pg_stat_activity",
        "pg_stats",
        "pg_stats_ext",
        "pg_stats_ext_exprs",
    }
    assert relation(catalogue, "T x", 'Odd "Name').columns[0].name == "C d"


def test_columns_with_their_base_types(catalogue: Catalogue) -> None:
    columns = relation(catalogue, "people").columns
    assert [(c.number, c.name, c.type_schema, c.type_name, c.category) for c in columns[:-1]] == [
        (1, "id", "pg_catalog", "int4", "N"),
        (2, "name", "pg_catalog", "varchar", "S"),
        (4, "moods", "public", "_mood", "A"),
        (5, "amount", "pg_catalog", "numeric", "N"),
        (6, "upper_name", "pg_catalog", "text", "S"),
        (7, "email", "pg_catalog", "text", "S"),
    ]
    assert (columns[-1].name, columns[-1].type_schema, columns[-1].type_name) in [
        ("extended", "ext", name) for name in EXTENSIONS
    ]
    assert [(c.name, c.expression) for c in columns if c.generated] == [("upper_name", "upper((name)::text)")]


def test_views_have_a_qualified_definition(catalogue: Catalogue) -> None:
    definition = relation(catalogue, "emails").definition.replace("p.email", "email")  # versions differ in this
    assert definition == " SELECT email AS address\n   FROM public.people p;"
    assert "public.people" in relation(catalogue, "counts").definition
    assert relation(catalogue, "people").definition == ""


def test_parents_and_foreign_keys(catalogue: Catalogue) -> None:
    people, parts = relation(catalogue, "people"), relation(catalogue, "parts")
    assert relation(catalogue, "measures_2026").parents == (relation(catalogue, "measures").oid,)
    assert relation(catalogue, "derived").parents == (relation(catalogue, "base").oid,)
    keys = relation(catalogue, "orders").foreign_keys
    assert [(key.columns, key.target, key.target_columns) for key in keys] == [
        (("person",), people.oid, ("id",)),
        (("part_b", "part_a"), parts.oid, ("b", "a")),
    ]


def test_writing_that_runs_code(catalogue: Catalogue) -> None:
    """A partition's trigger counts for its parent, and a cascade's and a view's table for what leads there."""
    running = {one.name for one in catalogue.relations if one.runs_code}
    assert running == {"measures_2026", "measures", "orders", "people", "emails", "ruled"}
    assert [one.name for one in catalogue.relations if one.rewrites] == ["ruled"]


def test_tags_in_comments(catalogue: Catalogue) -> None:
    people = relation(catalogue, "people")
    assert people.tags == ("people",)
    assert {column.name: column.tags for column in people.columns if column.tags} == {
        "email": ("contact-data", "mail", "pii")
    }


def test_routines(catalogue: Catalogue) -> None:
    one = routine(catalogue, "add_one")
    assert (one.kind, one.language, one.extension, one.body, one.arguments) == ("f", "sql", "", "SELECT $1 + 1", 1)
    total = routine(catalogue, "total")
    assert total.kind == "a"
    assert set(total.supports) == {routine(catalogue, "step").oid, routine(catalogue, "finish").oid}
    assert (routine(catalogue, "act").kind, routine(catalogue, "act").body) == ("p", "")
    extensions = {one.extension for one in catalogue.routines if one.schema == "ext"}
    assert extensions in [{name} for name in EXTENSIONS]


def test_operators(catalogue: Catalogue) -> None:
    own = {(one.schema, one.name): one.routine for one in catalogue.operators if one.schema != "ext"}
    assert own == {
        ("public", "##"): routine(catalogue, "step").oid,
        ("public", "==="): routine(catalogue, "is_same").oid,
    }
    assert any(one.schema == "ext" for one in catalogue.operators)


def test_types_that_run_code(catalogue: Catalogue) -> None:
    names = {one.oid: one.name for one in catalogue.routines}
    own = {(one.name, names[one.routine]) for one in catalogue.type_code if one.schema == "public"}
    assert own == {
        ("checked", "is_fine"),
        ("_checked", "is_fine"),
        ("checked_too", "is_fine"),
        ("_checked_too", "is_fine"),
        ("compared", "is_same"),
        ("_compared", "is_same"),
        ("pair", "as_pair"),
        ("_pair", "as_pair"),
    }


def test_what_older_servers_do_not_know() -> None:
    assert "pg_get_function_sqlbody" in catalogue_queries(14)["routines"]
    assert "pg_get_function_sqlbody" not in str(catalogue_queries(13))


async def test_a_body_that_was_parsed_when_it_was_made(server: PostgresServer) -> None:
    definition = "CREATE FUNCTION atomic(a integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END"
    server.execute(definition, database=DATABASE)
    try:
        read = await reader(server).read("shop", DATABASE)
    finally:
        server.execute("DROP FUNCTION atomic", database=DATABASE)
    assert routine(read, "atomic").body.split() == ["BEGIN", "ATOMIC", "SELECT", "(a", "+", "1);", "END"]


async def test_labels_are_tags(server: PostgresServer) -> None:
    """No provider is loaded here, so that the label is put where SECURITY LABEL would put it."""
    place = "'public.parts'::regclass, 'pg_class'::regclass"
    label = f"INSERT INTO pg_seclabel VALUES ({place}, 1, 'interlock', 'pii, secret'), ({place}, 2, 'other', 'x')"
    server.execute(f"SET allow_system_table_mods = on; {label}", database=DATABASE)
    try:
        read = await reader(server).read("shop", DATABASE)
    finally:
        server.execute("SET allow_system_table_mods = on; DELETE FROM pg_seclabel", database=DATABASE)
    assert [column.tags for column in relation(read, "parts").columns] == [("pii", "secret"), ()]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("interlock:tags=pii", ["pii"]),
        ("a interlock:tags=pii,secret-2.b. c", ["pii", "secret-2.b"]),
        ("interlock:tags= pii", []),
        ("interlock:tags=a, b", ["a"]),
        ("", []),
    ],
)
def test_how_comments_are_read(text: str, tags: list[str]) -> None:
    assert list(tags_in_comment(text)) == tags


def test_how_labels_are_read() -> None:
    assert list(tags_in_label(" a, ,b c,")) == ["a", "b c"]


async def test_the_version_follows_the_content(server: PostgresServer, catalogue: Catalogue) -> None:
    assert (await reader(server).read("shop", DATABASE)).version == catalogue.version
    server.execute("COMMENT ON COLUMN parts.a IS 'interlock:tags=x'", database=DATABASE)
    try:
        assert (await reader(server).read("shop", DATABASE)).version != catalogue.version
    finally:
        server.execute("COMMENT ON COLUMN parts.a IS NULL", database=DATABASE)
    assert (await reader(server).read("shop", DATABASE)).version == catalogue.version


async def test_no_privilege_is_needed(server: PostgresServer, catalogue: Catalogue) -> None:
    assert (await reader(server, "powerless").read("shop", DATABASE)).version == catalogue.version


async def test_temporary_relations_are_left_out(server: PostgresServer, catalogue: Catalogue) -> None:
    connections = target_connections(OneTarget(server.endpoint(database=DATABASE)))
    async with connections.transaction("shop", DATABASE, "test", read_only=False) as opened:
        await opened.execute("CREATE TEMPORARY TABLE pg_class (a integer) ON COMMIT DROP")
        assert await opened.fetchval("SELECT count(*) > 100 FROM pg_class")
    assert (await reader(server).read("shop", DATABASE)).version == catalogue.version


async def test_too_much_is_refused(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_catalogue, "MAX_ROWS", 20)
    with pytest.raises(CatalogueUnavailable, match="has more than 20 columns"):
        await reader(server).read("shop", DATABASE)


async def test_a_long_definition_is_left_out(server: PostgresServer) -> None:
    server.execute(
        "CREATE FUNCTION long_one() RETURNS text LANGUAGE sql AS $$ SELECT '" + "x" * (1 << 20) + "' $$",
        database=DATABASE,
    )
    try:
        assert routine(await reader(server).read("shop", DATABASE), "long_one").body == ""
    finally:
        server.execute("DROP FUNCTION long_one", database=DATABASE)


async def test_the_transaction_only_reads(server: PostgresServer) -> None:
    connections = target_connections(OneTarget(server.endpoint(database=DATABASE)))
    with pytest.raises(CatalogueUnavailable, match="25006"):
        async with connections.transaction("shop", DATABASE, "test") as opened:
            await opened.execute("CREATE TABLE public.x ()")


async def test_a_statement_that_takes_too_long(server: PostgresServer) -> None:
    connections = target_connections(OneTarget(server.endpoint(database=DATABASE)), statement_timeout_s=0.05)
    with pytest.raises(CatalogueUnavailable, match="57014"):
        async with connections.transaction("shop", DATABASE, "test") as opened:
            await opened.fetch("SELECT pg_sleep(60)")


async def test_a_wrong_password_is_not_repeated(server: PostgresServer) -> None:
    target = OneTarget(dataclasses.replace(server.endpoint(database=DATABASE), password="planted-secret"))
    with pytest.raises(CatalogueUnavailable, match="28P01") as caught:
        await PostgresCatalogueReader(target_connections(target)).read("shop", DATABASE)
    assert "planted-secret" not in repr(caught.value)


async def test_a_database_that_is_not_there(server: PostgresServer) -> None:
    with pytest.raises(CatalogueUnavailable, match=r"'nowhere' of connection 'shop' cannot be used.*3D000"):
        await reader(server).read("shop", "nowhere")


async def test_a_connection_that_is_not_there(server: PostgresServer) -> None:
    with pytest.raises(CatalogueUnavailable, match="no connection 'other'"):
        await reader(server).read("other", DATABASE)


async def test_a_server_that_is_gone() -> None:
    target = OneTarget(Endpoint("127.0.0.1", free_port(), "app", "planted-secret", "x"))
    with pytest.raises(CatalogueUnavailable, match="cannot be reached") as caught:
        await PostgresCatalogueReader(target_connections(target)).read("shop", "x")
    assert "planted-secret" not in str(caught.value)


async def test_a_server_that_breaks_off(postgres: PostgresServer) -> None:
    async def use(connections: PostgresConnections) -> None:
        async with connections.transaction("shop", "shop", "to be ended") as opened:
            find = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to be ended'"
            postgres.execute(find)
            await opened.fetch("SELECT 1")

    with pytest.raises(CatalogueUnavailable):
        await use(target_connections(OneTarget(sample.endpoint(postgres))))


async def test_a_server_that_speaks_something_else() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        target = OneTarget(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1], "app", "planted-secret", "x"))
        with pytest.raises(CatalogueUnavailable):
            await PostgresCatalogueReader(target_connections(target)).read("shop", "x")


async def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    hung_up: asyncio.Queue[None] = asyncio.Queue()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        hung_up.put_nowait(None)

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        target = OneTarget(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1], "app", "x", "x"))
        impatient = PostgresCatalogueReader(target_connections(target, connect_timeout_s=0.05))
        with pytest.raises(CatalogueUnavailable, match="it does not answer in time"):
            await impatient.read("shop", "x")
        await hung_up.get()
        monkeypatch.setattr(postgres_catalogue, "READ_TIMEOUT_S", 0.05)
        with pytest.raises(CatalogueUnavailable, match="takes more than"):
            await PostgresCatalogueReader(target_connections(target)).read("shop", "x")
        await hung_up.get()


async def test_a_server_that_stalls(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_catalogue, "READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr(postgres_catalogue, "catalogue_queries", lambda _major: {"columns": "SELECT pg_sleep($1)"})
    with pytest.raises(CatalogueUnavailable, match="takes more than"):
        await PostgresCatalogueReader(target_connections(OneTarget(sample.endpoint(postgres)))).read("shop", "shop")


async def test_over_tls(postgres_tls: PostgresServer) -> None:
    target = OneTarget(sample.endpoint(postgres_tls))
    read = await PostgresCatalogueReader(target_connections(target)).read("shop", "shop")
    assert relation(read, "customers").column("email") is not None
