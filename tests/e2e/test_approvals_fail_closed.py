"""Statements that wait while a part of the gateway breaks: they go on waiting or are refused, and nothing runs."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from interlock.core.ledger import PolicyActivated, PolicyRefused
from tests.e2e.held import POLICY, HeldStatement, count, make_dba, newest, table_of_ten, until
from tests.e2e.ledger_files import records_of
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer


@pytest.fixture
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY, approval_wait_s=20)) as server:
        make_dba(server)
        yield server


@pytest.fixture
def table(postgres: PostgresServer) -> Iterator[str]:
    with table_of_ten(postgres, "kept_rows") as name:
        yield name


def approve(gateway: GatewayServer, approval: str) -> str:
    """What the command says, on either stream."""
    done = gateway.command("approvals", "approve", approval, "--reason", "looked at it", check=False)
    return done.stdout + done.stderr


def damage(gateway: GatewayServer, sql: str) -> None:
    with closing(sqlite3.connect(gateway.data_dir / "state.db", timeout=10)) as store, store:
        store.execute(sql)


def test_the_store_is_away_and_comes_back(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
        held.notice()
        approval = newest(gateway)
        damage(gateway, "ALTER TABLE approvals RENAME TO gone")
        assert "state store" in approve(gateway, approval)
        gateway.wait_for_log("requests for approval not looked at")
        assert held.waits
        assert count(postgres, table) == 10
        damage(gateway, "ALTER TABLE gone RENAME TO approvals")
        assert "approved" in approve(gateway, approval)
        assert held.finish() == "DELETE 1"
    assert count(postgres, table) == 9


def test_the_store_takes_no_more_when_it_is_spent(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
        held.notice()
        approval = newest(gateway)
        damage(
            gateway,
            "CREATE TRIGGER full BEFORE UPDATE ON approvals WHEN new.status = 'spent'"
            " BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
        assert "approved" in approve(gateway, approval)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="nobody can be asked now"):
            held.finish()
    assert count(postgres, table) == 10


def test_a_statement_that_cannot_be_opened_is_not_approved(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
        held.notice()
        approval = newest(gateway)
        damage(gateway, "UPDATE approvals SET sealed = zeroblob(length(sealed))")
        shown = gateway.command("approvals", "show", approval, check=False)
        assert (shown.returncode, "damaged" in shown.stderr) == (1, True)
        assert "cannot be shown" in approve(gateway, approval)
        assert held.waits
    assert count(postgres, table) == 10


def test_the_disk_is_full_while_it_is_held(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    """Neither the ledger nor the store can write: a yes cannot be recorded, and is none."""
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
        held.notice()
        approval = newest(gateway)
        hard = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (0, hard))
        assert "approved" not in approve(gateway, approval)
        assert held.waits
        assert count(postgres, table) == 10
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (hard, hard))
        held.connection.pgconn.finish()
    assert count(postgres, table) == 10


def test_a_policy_that_changes_in_between(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
        held.notice()
        approval = newest(gateway)
        gateway.policy_file.write_text(POLICY.replace('"10m"', '"11m"'))
        until(lambda: len(list(records_of(gateway, PolicyActivated))) == 2, "the policy is not put in force")
        assert "approved" in approve(gateway, approval)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy or access has changed"):
            held.finish()
    assert count(postgres, table) == 10


def test_a_policy_that_breaks_in_between_changes_nothing(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
        held.notice()
        approval = newest(gateway)
        gateway.policy_file.write_text("permit (principal, action, resource)")
        until(lambda: bool(list(records_of(gateway, PolicyRefused))), "the policy is not looked at")
        assert held.waits
        assert "approved" in approve(gateway, approval)
        assert held.finish() == "DELETE 1"
    assert count(postgres, table) == 9
