"""Statements that wait for people, as clients and reviewers meet them; what ran, the target itself says."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from interlock.core.approval import ApprovalStatus
from interlock.core.ledger import AdministrationChanged, ApprovalRefused, ApprovalSettled, ApprovalVoted
from tests.e2e.held import (
    DEADLINE_S,
    OPERATOR,
    POLICY,
    HeldStatement,
    count,
    make_dba,
    newest,
    requests,
    table_of_ten,
    until,
)
from tests.e2e.ledger_files import records_of
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

PREPARING_IS_FREE = """
@id("everything") permit (principal, action, resource);

@id("deletes-need-a-dba")
@approval("dba")
forbid (principal, action == Action::"delete", resource)
unless { context has sql && context.sql.verb == "PREPARE" };
"""


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY, approval_wait_s=60)) as server:
        make_dba(server)
        yield server


@pytest.fixture
def table(postgres: PostgresServer) -> Iterator[str]:
    """A table of ten rows, of its own for each test."""
    with table_of_ten(postgres, "held_rows") as name:
        yield name


def answer(gateway: GatewayServer, verb: str, approval: str, reason: str = "looked at it") -> str:
    return gateway.command("approvals", verb, approval, "--reason", reason).stdout


def test_an_approved_delete_runs_once(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id <= %s", (3,)) as held:
        notice = held.notice()
        assert "held" in notice
        approval = newest(gateway)
        assert approval in notice
        assert held.waits
        assert count(postgres, table) == 10
        shown = gateway.command("approvals", "show", approval).stdout
        assert f"DELETE FROM {table} WHERE id <= $1" in shown
        assert "$1 = 3" in shown
        assert "approved" in answer(gateway, "approve", approval)
        assert held.finish() == "DELETE 3"
    assert count(postgres, table) == 7
    assert requests(gateway)[0].status is ApprovalStatus.SPENT
    settled = [record.status for record in records_of(gateway, ApprovalSettled) if record.approval == approval]
    assert settled == ["approved", "spent"]
    assert [r.reviewer for r in records_of(gateway, ApprovalVoted) if r.approval == approval] == [OPERATOR]
    looked = [r for r in records_of(gateway, AdministrationChanged) if r.subject == approval]
    assert [(r.actor, r.action, r.detail) for r in looked] == [(OPERATOR, "evidence.read", "approvals.show")]


def test_a_denied_delete_never_runs(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
        held.notice()
        answer(gateway, "deny", newest(gateway), "not in the freeze")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="denied it: not in the freeze"):
            held.finish()
        assert held.connection.execute("SELECT 1").fetchone() == (1,)
    assert count(postgres, table) == 10


def test_a_denied_statement_stays_denied_without_asking_again(gateway: GatewayServer, table: str) -> None:
    statement = f"DELETE FROM {table} WHERE id = 2"
    with HeldStatement(gateway.endpoint(), statement) as held:
        held.notice()
        approval = newest(gateway)
        answer(gateway, "deny", approval)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            held.finish()
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="denied it"):
            held.connection.execute(statement.encode())
    assert [request.asked for request in requests(gateway) if request.id == approval] == [2]
    assert not requests(gateway, ApprovalStatus.PENDING)


def test_a_client_that_leaves_withdraws(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 3") as held:
        held.notice()
        approval = newest(gateway)
        held.connection.pgconn.finish()
    until(lambda: not requests(gateway, ApprovalStatus.PENDING), "the request stays open")
    refused = gateway.command("approvals", "approve", approval, "--reason", "late", check=False)
    assert refused.returncode == 1
    assert "withdrawn" in refused.stderr
    assert [record.why for record in records_of(gateway, ApprovalRefused) if record.approval == approval]
    assert count(postgres, table) == 10


def test_a_cancel_request_withdraws(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 4") as held:
        held.notice()
        held.connection.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            held.finish()
        assert held.connection.execute("SELECT 1").fetchone() == (1,)
    assert not requests(gateway, ApprovalStatus.PENDING)
    assert count(postgres, table) == 10


def test_holding_in_a_transaction(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    begun = f"BEGIN; INSERT INTO {table} VALUES (11)"
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 11", before=begun) as held:
        held.notice()
        answer(gateway, "approve", newest(gateway))
        assert held.finish() == "DELETE 1"
        held.connection.execute("COMMIT")
    assert count(postgres, table) == 10


def test_a_denial_in_a_transaction_aborts_it(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    begun = f"BEGIN; INSERT INTO {table} VALUES (11)"
    with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 5", before=begun) as held:
        held.notice()
        answer(gateway, "deny", newest(gateway))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            held.finish()
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            held.connection.execute("SELECT 1")
        held.connection.execute("ROLLBACK")
    assert count(postgres, table) == 10


def test_an_approval_counts_for_the_same_values_only(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    statement = f"DELETE FROM {table} WHERE id = %s"
    with (
        HeldStatement(gateway.endpoint(), statement, (6,)) as first,
        HeldStatement(gateway.endpoint(), statement, (7,)) as second,
    ):
        asked = {first.notice(), second.notice()}
        assert len(asked) == 2
        approval = next(r for r in requests(gateway, ApprovalStatus.PENDING) if r.id in first_of(asked)).id
        shown = gateway.command("approvals", "show", approval).stdout
        approved, other = (first, second) if "$1 = 6" in shown else (second, first)
        answer(gateway, "approve", approval)
        assert approved.finish() == "DELETE 1"
        assert other.waits
        answer(gateway, "deny", newest(gateway))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.finish()
    assert count(postgres, table) == 9


def first_of(notices: set[str]) -> str:
    return " ".join(notices)


def test_equal_requests_are_one_card_and_one_execution(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    statement = f"DELETE FROM {table} WHERE id = 8"
    with HeldStatement(gateway.endpoint(), statement) as one, HeldStatement(gateway.endpoint(), statement) as other:
        one.notice()
        other.notice()
        (request,) = requests(gateway, ApprovalStatus.PENDING)
        assert request.asked == 2
        answer(gateway, "approve", request.id)
        until(lambda: not one.waits or not other.waits, "nobody went on")
        until(lambda: bool(requests(gateway, ApprovalStatus.PENDING)), "the other was not asked about")
        assert one.waits != other.waits
        answer(gateway, "deny", newest(gateway))
    assert {one.result, other.result} == {"DELETE 1", None}
    assert count(postgres, table) == 9


def test_who_comes_back_in_time_finds_the_approval(target: Endpoint, postgres: PostgresServer, table: str) -> None:
    statement = f"DELETE FROM {table} WHERE id = 9".encode()
    with GatewayServer(target, GatewayOptions(policy=POLICY, approval_wait_s=0)) as gateway:
        make_dba(gateway)
        with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs approval by dba"):
                connection.execute(statement)
            answer(gateway, "approve", newest(gateway))
        with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
            assert connection.execute(statement).statusmessage == "DELETE 1"
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs approval by dba"):
                connection.execute(statement)
    assert count(postgres, table) == 9


def test_a_gateway_killed_while_holding_has_run_nothing(target: Endpoint, postgres: PostgresServer, table: str) -> None:
    with GatewayServer(target, GatewayOptions(policy=POLICY, approval_wait_s=60)) as gateway:
        make_dba(gateway)
        with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
            held.notice()
            approval = newest(gateway)
            gateway.kill()
            with pytest.raises(psycopg.OperationalError):
                held.finish()
        gateway.start()
        assert [request.status for request in requests(gateway)] == [ApprovalStatus.WITHDRAWN]
        assert gateway.command("approvals", "approve", approval, "-r", "late", check=False).returncode == 1
    assert count(postgres, table) == 10


def test_an_approved_name_cannot_be_given_another_meaning(
    target: Endpoint, postgres: PostgresServer, table: str
) -> None:
    """EXECUTE is one text whatever was prepared: its approval is for what was prepared when it was asked about."""
    with GatewayServer(target, GatewayOptions(policy=PREPARING_IS_FREE, approval_wait_s=0)) as gateway:
        make_dba(gateway)
        with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
            connection.execute(f"PREPARE s AS DELETE FROM {table} WHERE id = 1".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs approval by dba"):
                connection.execute(b"EXECUTE s")
            approval = newest(gateway)
            shown = gateway.command("approvals", "show", approval).stdout
            assert f"By name it runs: PREPARE s AS DELETE FROM {table} WHERE id = 1" in " ".join(shown.split())
            answer(gateway, "approve", approval)
            connection.execute(b"DEALLOCATE s")
            connection.execute(f"PREPARE s AS DELETE FROM {table} WHERE id > 1".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs approval by dba"):
                connection.execute(b"EXECUTE s")
            assert count(postgres, table) == 10
            connection.execute(b"DEALLOCATE s")
            connection.execute(f"PREPARE s AS DELETE FROM {table} WHERE id = 1".encode())
            assert connection.execute(b"EXECUTE s").statusmessage == "DELETE 1"
    assert count(postgres, table) == 9


COPIES_NEED_A_DBA = """
@id("copies-need-a-dba")
@approval("dba")
forbid (principal, action == Action::"copy-in", resource);
"""


@pytest.mark.parametrize("approved", [True, False])
def test_a_copy_waits_with_its_rows(target: Endpoint, postgres: PostgresServer, table: str, approved: bool) -> None:
    with GatewayServer(target, GatewayOptions(policy=POLICY + COPIES_NEED_A_DBA, approval_wait_s=60)) as gateway:
        make_dba(gateway)
        with HeldStatement(gateway.endpoint(), f"COPY {table} FROM STDIN", rows=[(101,), (102,)]) as held:
            held.notice()
            approval = newest(gateway)
            shown = " ".join(gateway.command("approvals", "show", approval).stdout.split())
            assert "The rows that it copies in come after it" in shown
            assert count(postgres, table) == 10
            answer(gateway, "approve" if approved else "deny", approval)
            if approved:
                assert held.finish() == "COPY 2"
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="denied it"):
                    held.finish()
            assert held.connection.execute("SELECT 1").fetchone() == (1,)
    assert count(postgres, table) == (12 if approved else 10)


def test_a_pipeline_waits_for_all_of_its_statements(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    """One yes of two releases nothing; a no to the second takes the first back, as they are one transaction."""

    def send(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        with connection.pipeline():
            for one in (1, 2):
                connection.execute(f"DELETE FROM {table} WHERE id = %s".encode(), (one,))

    with (
        psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection,
        ThreadPoolExecutor(1) as threads,
    ):
        sending = threads.submit(send, connection)
        until(lambda: len(requests(gateway, ApprovalStatus.PENDING)) == 2, "not both were asked about")
        second, first = requests(gateway, ApprovalStatus.PENDING)
        answer(gateway, "approve", first.id)
        assert count(postgres, table) == 10
        answer(gateway, "deny", second.id)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="denied it"):
            sending.result(DEADLINE_S)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert count(postgres, table) == 10


def test_a_bypass_lets_a_series_pass_and_shows_in_red(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    endpoint, delete = gateway.endpoint(), f"DELETE FROM {table} /* a series */ WHERE id ="
    with HeldStatement(endpoint, f"{delete} 1") as held:
        held.notice()
        given = gateway.command("approvals", "bypass", newest(gateway), "--for", "15m", "-r", "ticket 4711", "--json")
        assert held.finish() == "DELETE 1"
    bypass = json.loads(given.stdout)["id"]
    with psycopg.connect(**endpoint.parameters(), autocommit=True) as connection:
        for number in range(2, 6):
            assert connection.execute(f"{delete} {number}".encode()).statusmessage == "DELETE 1"
    assert count(postgres, table) == 5
    listed = gateway.command("approvals", "list").stderr
    assert f"BYPASS {bypass}: nobody is asked about Agent agent on shop/shop (rules deletes-need-a-dba)" in listed
    assert f"4 passed; by {OPERATOR}: ticket 4711" in listed
    assert "4 statements had passed" in gateway.command("approvals", "end-bypass", bypass, "-r", "done").stdout
    with HeldStatement(endpoint, f"{delete} 6") as held:
        assert "held" in held.notice()
    assert count(postgres, table) == 5
