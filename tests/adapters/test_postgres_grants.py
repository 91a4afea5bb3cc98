"""Taking columns away from roles of a real server."""

from collections.abc import Iterator

import psycopg
import pytest

from interlock.adapters.postgres_grants import PostgresGrants
from interlock.core.administration import ColumnPath
from interlock.core.errors import AdministrationRefused
from tests.adapters.target_parts import OneTarget, target_connections
from tests.servers.postgres import PostgresServer

DATABASE = "grants"
ROLE = "agents"
PASSWORD = "agents-password"
ROLES = ("agents", "readers", "owners")
SCHEMA = """
CREATE TABLE users (id integer PRIMARY KEY, email text, note text, "Odd ""Col" text);
INSERT INTO users VALUES (1, 'planted', 'n', 'o');
CREATE TABLE child (more text) INHERITS (users);
CREATE VIEW emails AS SELECT email FROM users;
CREATE VIEW over_emails AS SELECT * FROM emails;
CREATE MATERIALIZED VIEW copied AS SELECT u FROM users u;
CREATE VIEW others AS SELECT 1 AS one;
CREATE TABLE orders (id integer, email text);
GRANT SELECT ON users, child, emails, over_emails, copied, others, orders TO agents;
"""
EMAIL = (ColumnPath("public", "users", "email"),)


@pytest.fixture
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    for role in ROLES:
        postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    postgres.execute(f"CREATE DATABASE {DATABASE}")
    postgres.execute(SCHEMA, database=DATABASE)
    yield postgres
    postgres.execute(f"DROP DATABASE {DATABASE}")
    for role in ROLES:
        postgres.execute(f"DROP ROLE {role}")


def grants(server: PostgresServer, user: str = "postgres") -> PostgresGrants:
    endpoint = server.endpoint(user, None if user == "postgres" else PASSWORD, DATABASE)
    return PostgresGrants(target_connections(OneTarget(endpoint)))


def may_run(server: PostgresServer, statement: str, role: str = ROLE) -> bool:
    endpoint = server.endpoint(role, PASSWORD, DATABASE)
    with psycopg.connect(**endpoint.parameters()) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
    return True


async def test_columns_are_taken_away_and_nothing_else(server: PostgresServer) -> None:
    made = grants(server)
    plan = await made.plan("shop", DATABASE, ROLE, EMAIL)
    assert plan.warnings == ()
    assert plan.statements == (
        'REVOKE SELECT ON "public"."child" FROM "agents"',
        'GRANT SELECT ("id", "note", "Odd ""Col", "more") ON "public"."child" TO "agents"',
        'REVOKE SELECT ON "public"."users" FROM "agents"',
        'GRANT SELECT ("id", "note", "Odd ""Col") ON "public"."users" TO "agents"',
        'REVOKE SELECT ON "public"."copied" FROM "agents"',
        'REVOKE SELECT ON "public"."emails" FROM "agents"',
        'REVOKE SELECT ON "public"."over_emails" FROM "agents"',
    )
    await made.apply("shop", DATABASE, plan, EMAIL)
    for relation in ("users", "child", "emails", "over_emails", "copied"):
        assert not may_run(server, f"SELECT * FROM {relation}")
    assert not may_run(server, "SELECT u FROM users u")
    for statement in ('SELECT id, note, "Odd ""Col" FROM users', "SELECT * FROM others", "SELECT email FROM orders"):
        assert may_run(server, statement)
    assert (await made.plan("shop", DATABASE, ROLE, EMAIL)).statements == ()


async def test_several_columns_of_a_table(server: PostgresServer) -> None:
    columns = (*EMAIL, ColumnPath("public", "users", 'Odd "Col'), ColumnPath("public", "emails", "email"))
    plan = await grants(server).plan("shop", DATABASE, ROLE, columns)
    assert 'GRANT SELECT ("id", "note") ON "public"."users" TO "agents"' in plan.statements
    await grants(server).apply("shop", DATABASE, plan, columns)
    assert not may_run(server, "SELECT email FROM emails")


async def test_what_a_role_has_not_it_does_not_get(server: PostgresServer) -> None:
    server.execute("REVOKE ALL ON users FROM agents; GRANT SELECT (id, email) ON users TO agents", database=DATABASE)
    plan = await grants(server).plan("shop", DATABASE, ROLE, EMAIL)
    await grants(server).apply("shop", DATABASE, plan, EMAIL)
    assert may_run(server, "SELECT id FROM ONLY users")
    assert not may_run(server, "SELECT note FROM ONLY users")
    assert not may_run(server, "SELECT email FROM ONLY users")


@pytest.mark.parametrize(
    ("grant", "undo", "warning"),
    [
        ("GRANT SELECT ON users TO PUBLIC", "", "everybody may read public.users"),
        (
            "GRANT SELECT ON users TO readers; GRANT readers TO agents",
            "",
            "agents may read public.users through readers",
        ),
        ("GRANT SELECT (email) ON users TO readers; GRANT readers TO agents", "", "through readers"),
        ("GRANT pg_read_all_data TO agents", "REVOKE pg_read_all_data FROM agents", "a member of pg_read_all_data"),
        ("ALTER ROLE agents SUPERUSER", "ALTER ROLE agents NOSUPERUSER", "agents is a superuser"),
    ],
)
async def test_grants_that_are_not_enough_change_nothing(
    grant: str, undo: str, warning: str, server: PostgresServer
) -> None:
    server.execute(grant, database=DATABASE)
    plan = await grants(server).plan("shop", DATABASE, ROLE, EMAIL)
    assert warning in " ".join(plan.warnings)
    with pytest.raises(AdministrationRefused, match=f"nothing is changed: .*{warning}"):
        await grants(server).apply("shop", DATABASE, plan, EMAIL)
    assert may_run(server, "SELECT u FROM users u")
    if undo:
        server.execute(undo)


async def test_an_owner_is_warned_of(server: PostgresServer) -> None:
    server.execute("ALTER TABLE users OWNER TO agents", database=DATABASE)
    plan = await grants(server).plan("shop", DATABASE, ROLE, EMAIL)
    assert plan.warnings == ("agents owns public.users and can give itself the right again: let another role own it",)
    server.execute("REASSIGN OWNED BY agents TO postgres", database=DATABASE)


async def test_a_membership_that_must_be_taken_up_is_warned_of(server: PostgresServer) -> None:
    changes = (
        "ALTER ROLE agents NOINHERIT; REVOKE ALL ON users, child, emails, over_emails, copied FROM agents",
        "GRANT SELECT ON users TO readers; GRANT readers TO agents",
    )
    server.execute("; ".join(changes), database=DATABASE)
    plan = await grants(server).plan("shop", DATABASE, ROLE, EMAIL)
    assert plan.statements == ()
    assert "agents may read public.users through readers" in " ".join(plan.warnings)


async def test_a_role_that_may_not_grant(server: PostgresServer) -> None:
    plan = await grants(server, ROLE).plan("shop", DATABASE, ROLE, EMAIL)
    with pytest.raises(AdministrationRefused, match="the owner of the tables"):
        await grants(server, ROLE).apply("shop", DATABASE, plan, EMAIL)
    assert may_run(server, "SELECT email FROM users")


async def test_roles_and_columns_that_are_not_there(server: PostgresServer) -> None:
    with pytest.raises(AdministrationRefused, match="there is no role 'nobody'"):
        await grants(server).plan("shop", DATABASE, "nobody", EMAIL)
    columns = (*EMAIL, ColumnPath("public", "users", "no"), ColumnPath("public", "no", "x"))
    with pytest.raises(AdministrationRefused, match=r"no column public\.users\.no, public\.no\.x in"):
        await grants(server).plan("shop", DATABASE, ROLE, columns)
