"""Sessions of every protocol watched while they go on, by who may."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from interlock.core.ledger import SessionOpened
from tests.e2e.api_callers import POLICY, ROLES, person
from tests.e2e.ledger_files import records_of, wait_for
from tests.servers.api import ApiClient
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

STATEMENTS = '@id("agents") permit (principal is Agent, action, resource);\n'


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY + STATEMENTS)) as server:
        yield server


@pytest.fixture
def session(gateway: GatewayServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
        yield connection


def newest(gateway: GatewayServer) -> str:
    return wait_for(lambda: [record.session for record in records_of(gateway, SessionOpened)], "a session")[-1]


def watched(client: ApiClient, session: str) -> Iterator[str]:
    """Lines as they come; the last one is the status."""
    after = ""
    while True:
        page = client.get(f"/v1/sessions/{session}/watch?after={after}").json
        for line in page["lines"]:
            yield " | ".join(filter(None, (line["text"], *line["values"])))
        if not (after := page["next"]):
            yield page["status"]
            return


@pytest.mark.parametrize("role", ["responder", "auditor"])
def test_a_session_over_postgresql_is_watched_to_its_end(
    gateway: GatewayServer, session: psycopg.Connection[Any], role: str
) -> None:
    session.execute("SELECT 'first answer' AS said")
    lines = watched(person(gateway, role), newest(gateway))
    assert "first answer" in lines
    session.execute("SELECT 'second answer' AS said")
    assert "second answer" in lines
    session.close()
    assert list(lines)[-1] == "closed"


def test_people_without_the_permission_watch_nothing(gateway: GatewayServer, session: psycopg.Connection[Any]) -> None:
    session.execute("SELECT 1")
    path = f"/v1/sessions/{newest(gateway)}/watch"
    for role in set(ROLES) - {"responder", "auditor"}:
        assert person(gateway, role).get(path).status == 403
    assert person(gateway, "auditor").get(f"{path}?after=zzz").status == 422
    assert person(gateway, "auditor").get(f"{path}?after={'0' * 32}-1").status == 404


def test_a_gateway_that_stops_waits_for_nobody_who_watches(target: Endpoint) -> None:
    with GatewayServer(target, GatewayOptions(policy=POLICY + STATEMENTS)) as gateway:
        auditor = person(gateway, "auditor")
        with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
            connection.execute("SELECT 1")
            lines = watched(auditor, newest(gateway))
            assert next(lines)
            reader = threading.Thread(target=_drain, args=(lines,))
            reader.start()
            began_s = time.monotonic()
            gateway.stop()
            assert time.monotonic() - began_s < 15
            reader.join(30)
            assert not reader.is_alive()


def _drain(lines: Iterator[str]) -> None:
    try:
        for _ in lines:
            pass
    except (OSError, ValueError, KeyError):  # the gateway has gone
        pass
