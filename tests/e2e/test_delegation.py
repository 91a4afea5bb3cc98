"""An agent that acts for a person, with a token made of both of theirs: what both may, on record as both."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from interlock.core.ledger import SessionOpened
from tests.e2e.exchange import JWT, session_token
from tests.e2e.ledger_files import records_of
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import CONNECTION, GatewayOptions, GatewayServer

POLICY = """
@id("sales") permit (principal in Group::"sales", action, resource);
@id("agents-read") permit (principal in Group::"crm-agents", action in [Action::"read", Action::"execute"], resource);
@id("agents-for-sales-only") forbid (principal is Agent, action == Action::"introspect", resource)
unless { context has on_behalf_of && context.on_behalf_of.groups.contains("sales") };
"""
WRITE = "CREATE TEMPORARY TABLE kept (id int)"


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY)) as server:
        yield server


def ada(gateway: GatewayServer, *groups: str) -> str:
    return gateway.token("ada", groups or ("sales",), kind="user")


def crm(gateway: GatewayServer) -> str:
    return gateway.token("crm", ("crm-agents",), owner="lee")


def by_crm(gateway: GatewayServer, subject: str, **fields: str) -> str:
    """A session token for a subject's token, with the agent acting."""
    actor = {"actor_token": crm(gateway), "actor_token_type": JWT}
    return session_token(gateway, subject, CONNECTION, **actor, **fields)


def run(gateway: GatewayServer, token: str, statement: str) -> None:
    with psycopg.connect(**gateway.endpoint(token).parameters()) as session:
        session.execute(statement)


@pytest.mark.parametrize("fields", [{}, {"requested_token_type": JWT}], ids=["opaque", "jwt"])
def test_it_may_what_both_may(gateway: GatewayServer, fields: dict[str, str]) -> None:
    token = by_crm(gateway, ada(gateway), **fields)
    run(gateway, token, "SELECT count(*) FROM pg_catalog.pg_class")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="Agent crm, who acts for User ada, is not allowed"):
        run(gateway, token, WRITE)
    run(gateway, ada(gateway), WRITE)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="agents-for-sales-only"):
        run(gateway, crm(gateway), "SELECT count(*) FROM pg_catalog.pg_class")


def test_who_is_not_let_in_alone_is_not_let_in_through_an_agent(gateway: GatewayServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="ada, by agent crm may not use it"):
        run(gateway, by_crm(gateway, ada(gateway, "marketing")), "SELECT 1")


def test_both_are_on_record_and_it_is_found_by_either(gateway: GatewayServer) -> None:
    run(gateway, by_crm(gateway, ada(gateway)), "SELECT 1")
    opened = records_of(gateway, SessionOpened)[-1]
    (actor,) = opened.acting
    assert (opened.principal, actor.name, actor.groups, actor.owner) == ("ada", "crm", ("crm-agents",), "lee")
    for name in ("ada", "crm"):
        listed = gateway.command("sessions", "list", "--principal", name, "--json").stdout
        found = {session["session"]: session["acting"] for session in map(json.loads, listed.splitlines())}
        assert found[opened.session] == ["agent crm"]
