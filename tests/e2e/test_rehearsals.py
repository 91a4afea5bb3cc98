"""Rehearsals: reviewers see what a held statement does; nothing of it stays unless it is approved."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from interlock.core.approval import ApprovalStatus
from interlock.core.ledger import OperationRehearsed
from tests.e2e.held import OPERATOR, POLICY, HeldStatement, count, make_dba, newest, requests, table_of_ten, until
from tests.e2e.ledger_files import records_of
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

UPDATES = """
@id("updates-need-a-dba")
@approval("dba")
forbid (principal, action in [Action::"update", Action::"update-all", Action::"insert"], resource);
"""


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY + UPDATES, approval_wait_s=60)) as server:
        make_dba(server)
        yield server


@pytest.fixture
def table(postgres: PostgresServer) -> Iterator[str]:
    with table_of_ten(postgres, "rehearsed_rows", "n AS id, 'row ' || n AS label") as name:
        yield name


def rehearse(gateway: GatewayServer, approval: str) -> dict[str, Any]:
    seen: dict[str, Any] = json.loads(gateway.command("approvals", "rehearse", approval, "--json").stdout)
    return seen


@pytest.mark.parametrize("values", [None, (8,)], ids=["simple", "extended"])
def test_a_rehearsed_delete_is_committed_by_its_approval(
    gateway: GatewayServer, postgres: PostgresServer, table: str, values: tuple[int, ...] | None
) -> None:
    condition = "id > 8" if values is None else "id > %s"
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE {condition}", values) as held:
        held.notice()
        approval = newest(gateway)
        seen = rehearse(gateway, approval)
        assert (seen["tag"], seen["held"], seen["problem"]) == ("DELETE 2", True, "")
        (before,) = seen["before"]
        assert sorted(before["rows"]) == [["10", "row 10"], ["9", "row 9"]]
        assert count(postgres, table) == 10
        assert held.waits
        gateway.command("approvals", "approve", approval, "--reason", "two rows, as announced")
        assert held.finish() == "DELETE 2"
        assert count(postgres, table) == 8
        assert held.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert held.connection.execute("SELECT 1").fetchone() == (1,)
    assert [r.by for r in records_of(gateway, OperationRehearsed) if r.approval == approval] == [OPERATOR]


def test_rows_are_shown_to_nobody_but_who_rehearsed(gateway: GatewayServer, table: str) -> None:
    """They were masked for that person; somebody else may see less."""
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id > 8") as held:
        held.notice()
        approval = newest(gateway)
        assert rehearse(gateway, approval)["before"]
        other = gateway.api(gateway.token("ann", ("auditors",), kind="user"))
        seen = other.get(f"/v1/approvals/{approval}").json["rehearsal"]
        assert (seen["tag"], seen["before"], seen["after"]) == ("DELETE 2", [], [])
        own = json.loads(gateway.command("approvals", "show", approval, "--json").stdout)["rehearsal"]
        assert len(own["before"][0]["rows"]) == 2
        gateway.command("approvals", "deny", approval, "--reason", "only looking")
        with pytest.raises(psycopg.Error):
            held.finish()


def test_a_rehearsed_update_that_is_denied_leaves_nothing(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    with HeldStatement(gateway.endpoint(), f"UPDATE {table} SET label = 'gone' WHERE id = 1") as held:
        held.notice()
        approval = newest(gateway)
        seen = rehearse(gateway, approval)
        assert [sample["rows"] for sample in seen["before"]] == [[["1", "row 1"]]]
        assert [sample["rows"] for sample in seen["after"]] == [[["1", "gone"]]]
        gateway.command("approvals", "deny", approval, "--reason", "no")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="denied it: no"):
            held.finish()
        assert held.connection.execute("SELECT 1").fetchone() == (1,)
    assert postgres.execute(f"SELECT label FROM {table} WHERE id = 1", database="shop") == [("row 1",)]


def test_what_the_target_refuses_is_said_and_can_still_be_denied(gateway: GatewayServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"UPDATE {table} SET id = 1 / 0 WHERE id = 1") as held:
        held.notice()
        approval = newest(gateway)
        seen = rehearse(gateway, approval)
        assert "22012" in seen["problem"]
        assert held.waits
        gateway.command("approvals", "deny", approval, "--reason", "it cannot work")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            held.finish()


def test_a_client_that_leaves_rolls_it_back(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table}") as held:
        held.notice()
        assert rehearse(gateway, newest(gateway))["tag"] == "DELETE 10"
        held.connection.pgconn.finish()
    until(lambda: not requests(gateway, ApprovalStatus.PENDING), "the request stays open")
    assert count(postgres, table) == 10
    postgres.execute(f"SET lock_timeout = '20s'; LOCK TABLE {table}", database="shop")


def test_in_a_transaction_of_the_client_nothing_is_rehearsed(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table}", before="BEGIN") as held:
        held.notice()
        approval = newest(gateway)
        assert "in a transaction" in rehearse(gateway, approval)["problem"]
        gateway.command("approvals", "approve", approval, "--reason", "all right")
        assert held.finish() == "DELETE 10"
        held.connection.execute("ROLLBACK")
    assert count(postgres, table) == 10


def test_time_is_up(target: Endpoint, postgres: PostgresServer, table: str) -> None:
    options = GatewayOptions(policy=POLICY, approval_wait_s=60, approvals_extra="rehearsal_s = 1")
    with GatewayServer(target, options) as gateway:
        make_dba(gateway)
        with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
            held.notice()
            approval = newest(gateway)
            assert rehearse(gateway, approval)["held"] is True
            until(lambda: not shown(gateway, approval)["held"], "the transaction stays open")
            postgres.execute(f"SET lock_timeout = '20s'; LOCK TABLE {table}", database="shop")
            gateway.command("approvals", "approve", approval, "--reason", "late but fine")
            assert held.finish() == "DELETE 1"
    assert count(postgres, table) == 9


def shown(gateway: GatewayServer, approval: str) -> dict[str, Any]:
    view: dict[str, Any] = json.loads(gateway.command("approvals", "show", approval, "--json").stdout)
    seen: dict[str, Any] = view["rehearsal"]
    return seen
