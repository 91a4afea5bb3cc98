"""Agents as identities, on the wire: owners who leave, agents that change hands, what a review says of them."""

import dataclasses
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from interlock.core.access_review import Flag
from interlock.core.administration import (
    AddIdentity,
    AttestIdentity,
    ConfirmOwner,
    DisableIdentity,
    EnableIdentity,
    GenerateSecret,
    ReviewIdentities,
    TransferIdentity,
)
from interlock.core.errors import NotAllowed
from interlock.core.ledger import ConnectionRefused, IdentityReviewed, LockAdded, SessionCut
from interlock.core.settings import IdentityKind
from tests.clients import programs
from tests.clients.scratch import sleep_statement, wait_until_sleeping
from tests.e2e.breaking import table_away
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Responder, all_closed, connect, is_cut
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import client_program

AGENTS = """
[agents]
require_registration = true
require_owner = true
"""


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(extra=AGENTS)) as server:
        yield server


@pytest.fixture
def responder(gateway: GatewayServer) -> Iterator[Responder]:
    responder = Responder(gateway)
    yield responder
    responder.lift_all()


def register(responder: Responder, name: str, owner: str = "ada", **changes: object) -> None:
    responder.give(AddIdentity(name, IdentityKind.AGENT, owner, ("testers",), **changes))  # type: ignore[arg-type]


def refusal(endpoint: Endpoint) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(endpoint)
    return str(caught.value)


def test_an_owner_who_leaves_takes_the_agents_along(
    gateway: GatewayServer, responder: Responder, target: Endpoint
) -> None:
    """A statement that psql waits for is cut at the gateway and at the target, and nobody of the owner's comes back."""
    responder.give(AddIdentity("ada", IdentityKind.USER, groups=("testers",)))
    register(responder, "night-batch")
    endpoint = gateway.endpoint(gateway.token("night-batch"))
    arguments = programs.popen_arguments(endpoint)
    arguments["env"]["PGAPPNAME"] = "owner-leaves"
    words = [str(client_program("psql")), "-XAt", "-c", sleep_statement("owner-leaves")]
    bystander = connect(gateway.endpoint(gateway.token("bea", kind="user")))
    with (
        all_closed(bystander),
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **arguments) as psql,
    ):
        wait_until_sleeping(target, "owner-leaves")
        done = responder.give(DisableIdentity("ada"))
        _, errors = psql.communicate(timeout=30)
        assert not is_cut(bystander)
    assert "access is locked: identity disabled" in errors
    (receipt,) = done.sessions
    assert (receipt.principal, receipt.action, receipt.in_flight) == ("night-batch", "cut", "SELECT")
    assert receipt.gone_after_ms is not None
    assert done.warnings == ()
    lock = records_of(gateway, LockAdded)[-1]
    assert (lock.subject_kind, lock.subject, lock.cause) == ("owner", "ada", "identity disabled")
    cut = records_of(gateway, SessionCut)[-1]
    assert (cut.session, cut.lock) == (receipt.session, lock.lock)
    assert "access is locked" in refusal(endpoint)
    assert "disabled" in refusal(gateway.endpoint(gateway.token("ada", kind="user")))
    responder.give(EnableIdentity("ada"))
    connect(endpoint).close()


def test_an_agent_that_changes_hands_waits_for_a_second_person(gateway: GatewayServer, responder: Responder) -> None:
    register(responder, "handed-over")
    endpoint = gateway.endpoint(gateway.token("handed-over"))
    with connect(endpoint) as session:
        (receipt,) = responder.give(TransferIdentity("handed-over", "grace")).sessions
        assert receipt.action == "cut"
        assert is_cut(session)
    assert "which nobody has confirmed" in refusal(endpoint)
    assert records_of(gateway, ConnectionRefused)[-1].reason == "owner not confirmed"
    with pytest.raises(NotAllowed, match="cannot confirm that"):
        responder.give(ConfirmOwner("handed-over"))
    for name, status in (("ada", 403), ("grace", 200)):
        person = gateway.api(gateway.token(name, (), kind="user"))
        assert person.request("POST", "/v1/identities/handed-over/confirm", {}).status == status
    connect(endpoint).close()


def test_what_settings_demand_of_agents(gateway: GatewayServer, responder: Responder) -> None:
    assert "the agent 'unknown' is not registered" in refusal(gateway.endpoint(gateway.token("unknown")))
    assert records_of(gateway, ConnectionRefused)[-1].reason == "not registered"
    connect(gateway.endpoint(gateway.token("a-user", kind="user"))).close()
    register(responder, "elsewhere", issuers=("github",))
    assert "the token is not accepted" in refusal(gateway.endpoint(gateway.token("elsewhere")))
    reason = records_of(gateway, ConnectionRefused)[-1].reason
    assert reason == "the name is registered for tokens of other issuers"
    responder.give(
        AddIdentity("elsewhere", IdentityKind.AGENT, groups=("testers",), replace=True, issuers=("development",))
    )
    connect(gateway.endpoint(gateway.token("elsewhere"))).close()


def test_without_the_state_store_nobody_gets_in(gateway: GatewayServer, responder: Responder) -> None:
    register(responder, "with-a-secret")
    secret = responder.give(GenerateSecret("with-a-secret")).secret
    token = gateway.endpoint(gateway.token("with-a-secret"))
    by_secret = dataclasses.replace(token, user="with-a-secret", password=secret)
    connect(by_secret).close()
    with connect(token), table_away(gateway, "identities"):
        assert "cannot look identities up" in refusal(token)
        assert records_of(gateway, ConnectionRefused)[-1].reason == "state store"
        refusal(by_secret)
    connect(token).close()


def test_a_review_says_what_was_used_of_what_is_granted(gateway: GatewayServer, responder: Responder) -> None:
    responder.give(AddIdentity("carol", IdentityKind.USER))
    register(responder, "reporter", "carol", purpose="weekly numbers")
    with connect(gateway.endpoint(gateway.token("reporter"))) as session:
        session.execute("SELECT 1")
        session.execute("CREATE TEMP TABLE numbers (n int)")
        session.execute("INSERT INTO numbers VALUES (1)")
        page = responder.give(ReviewIdentities())
    (review,) = (one for one in page.items if one.name == "reporter")
    assert (review.owner, review.purpose, review.sessions) == ("carol", "weekly numbers", 1)
    (shop,) = (one for one in review.connections if one.name == "shop")
    assert {"connect", "insert"} <= set(shop.actions_used)
    assert "truncate" in set(shop.actions_granted) - set(shop.actions_used)
    assert {finding.flag for finding in review.findings} == {Flag.WIDE_RULE, Flag.BREADTH}
    responder.give(AttestIdentity("reporter", "still needed"))
    record = records_of(gateway, IdentityReviewed)[-1]
    assert (record.identity, record.note, record.findings) == ("reporter", "still needed", ("wide-rule", "breadth"))
    printed = gateway.command("identities", "review", "--csv").stdout
    (line,) = (line for line in printed.splitlines() if line.startswith("reporter,"))
    assert "still needed" in line
