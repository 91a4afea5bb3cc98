"""Scenarios from the field, in which people are asked: the target's own log says what it was given."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from interlock.core.approval import ApprovalStatus
from interlock.core.ledger import ApprovalRefused, ApprovalVoted
from tests.e2e.held import POLICY, HeldStatement, requests, until
from tests.e2e.ledger_files import records_of
from tests.e2e.reviewer import Reviewer
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY, approval_wait_s=60)) as server:
        yield server


@pytest.fixture
def volumes(postgres: PostgresServer) -> Iterator[None]:
    postgres.execute("CREATE TABLE volumes AS SELECT n AS id FROM generate_series(1, 5) n", database="shop")
    postgres.execute("ALTER TABLE volumes OWNER TO app", database="shop")
    yield
    postgres.execute("DROP TABLE volumes", database="shop")


def left(postgres: PostgresServer) -> list[int]:
    return [int(row[0]) for row in postgres.execute("SELECT id FROM volumes ORDER BY id", database="shop")]


def given(postgres: PostgresServer, since: int, text: str) -> int:
    """How often the target was given a text since a position of its log, however it was sent."""
    with postgres.log_file.open("rb") as log:
        log.seek(since)
        return log.read().count(text.encode())


def asked_about(gateway: GatewayServer, who: Reviewer, statement: str, value: str) -> dict[str, Any]:
    """The open request about this statement with this value."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        views = [who.look(request.id) for request in requests(gateway, ApprovalStatus.PENDING)]
        found.extend(view for view in views if (view["statement"], view["parameters"]) == (statement, [value]))
        return bool(found)

    until(look, "nobody was asked")
    return found[0]


def test_scenario_4_destructive_call(gateway: GatewayServer, postgres: PostgresServer, volumes: None) -> None:
    """What was approved runs, once; nothing else does, and nobody approves what is his own."""
    since = postgres.log_position()
    statement, shown = "DELETE FROM volumes WHERE id = %s", "DELETE FROM volumes WHERE id = $1"
    endpoint = gateway.endpoint(gateway.token(owner="olga"))
    dana = Reviewer(gateway, "dana", "dba")
    own = [Reviewer(gateway, "olga", "dba"), Reviewer(gateway, "olga-admin", "dba", owner="olga")]
    with HeldStatement(endpoint, statement, (1,)) as one, HeldStatement(endpoint, statement, (2,)) as other:
        first, second = (asked_about(gateway, dana, shown, value) for value in ("1", "2"))
        approval, digest = first["request"]["id"], first["request"]["digest"]
        for somebody in own:
            status, why = somebody.answer("approve", approval)
            assert (status, "second person" in why) == (409, True)
        assert "only members of dba" in Reviewer(gateway, "nina", "others").answer("approve", approval)[1]
        assert "not the one that was looked at" in dana.answer("approve", second["request"]["id"], digest=digest)[1]
        assert left(postgres) == [1, 2, 3, 4, 5]
        assert given(postgres, since, "DELETE FROM volumes") == 0

        assert dana.answer("approve", approval, digest=digest) == (200, "approved")
        assert one.finish() == "DELETE 1"
        assert other.waits
        assert dana.answer("deny", second["request"]["id"], reason="volume 2 is in use") == (200, "denied")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="dana denied it: volume 2 is in use"):
            other.finish()

    assert dana.answer("approve", approval) == (409, "the request is spent already")
    with HeldStatement(endpoint, statement, (1,)) as again:
        asked = asked_about(gateway, dana, shown, "1")
        assert asked["request"]["id"] != approval
        assert again.waits
    assert left(postgres) == [2, 3, 4, 5]
    assert given(postgres, since, "DELETE FROM volumes") == 1
    voted = [(record.reviewer, record.verdict) for record in records_of(gateway, ApprovalVoted)]
    assert voted == [("dana", "approve"), ("dana", "deny")]
    refused = [record.reviewer for record in records_of(gateway, ApprovalRefused)]
    assert refused == ["olga", "olga-admin", "nina", "dana", "dana"]


DRIVER = """
import json, pathlib, sys
import psycopg

state_file = pathlib.Path(sys.argv[1])


def needs_approval(call):
    return call not in json.loads(state_file.read_text())["always_approve"]


def run_sql(call, statement):
    '''The tool of an agent that asks its human first, by its own state.'''
    if needs_approval(call):
        return "approval needed"
    with psycopg.connect(autocommit=True) as connection:
        connection.execute("SELECT 1")
        print("approved by the state", flush=True)
        connection.execute(statement)
        return "done"


assert run_sql("drop", "DELETE FROM volumes /* by the tool */") == "approval needed"
state_file.write_text(json.dumps({"always_approve": ["drop"]}))
for attempt in (
    lambda: run_sql("drop", "DELETE FROM volumes /* by the tool */"),
    lambda: psycopg.connect(autocommit=True).execute("DELETE FROM volumes /* without the tool */"),
):
    try:
        print(attempt(), flush=True)
    except psycopg.Error as error:
        print(error.sqlstate, error, flush=True)
"""


def test_scenario_10_human_in_the_loop_bypassed(target: Endpoint, postgres: PostgresServer, volumes: None) -> None:
    """An agent that says yes to itself, in its own state or by leaving its tool out, is held all the same."""
    since = postgres.log_position()
    with GatewayServer(target, GatewayOptions(policy=POLICY, approval_wait_s=0)) as gateway:
        state_file = gateway.directory / "run-state.json"
        state_file.write_text('{"always_approve": []}')
        said = subprocess.run(
            [sys.executable, "-c", DRIVER, state_file],
            env={"PATH": "/usr/bin:/bin"} | gateway.endpoint().environment(),
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
        assert "approved by the state" in said
        assert said.count("42501 denied: needs approval by dba") == 2
        assert "done" not in said
        assert len(requests(gateway, ApprovalStatus.PENDING)) == 2
    assert left(postgres) == [1, 2, 3, 4, 5]
    assert given(postgres, since, "by the tool") == given(postgres, since, "without the tool") == 0
