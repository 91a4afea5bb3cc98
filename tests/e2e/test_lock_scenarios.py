"""Scenarios from the field, in which a responder stops agents: the target itself is asked what became of it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from interlock.core.administration import EndExemption, ExemptFromLock, IssueToken, ListLiveSessions, ListLocks
from interlock.core.ledger import LockExempted, LockExemptionEnded
from interlock.core.lock import LockMode, LockSubject
from interlock.core.settings import IdentityKind
from tests.clients.scratch import wait_until_sleeping
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Responder, Statement, connect, is_cut, wait_for
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayServer
from tests.servers.postgres import PostgresServer

SESSIONS = 40
RUNNING = 10
CODE_FREEZE = """
CREATE TABLE frozen_code AS SELECT n AS id, 'row ' || n AS body FROM generate_series(1, 100) n;
ALTER TABLE frozen_code OWNER TO app;
"""
CHECKSUM = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY id)) FROM frozen_code t"
WRITES = [
    "DELETE FROM frozen_code WHERE id = 1",
    "TRUNCATE frozen_code",
    "DO $$ BEGIN DELETE FROM frozen_code; END $$",
    "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM frozen_code'",
    "COPY frozen_code FROM STDIN",
    "WITH gone AS (DELETE FROM frozen_code RETURNING 1) SELECT count(*) FROM gone",
    "EXPLAIN ANALYZE DELETE FROM frozen_code",
    "SELECT id INTO frozen_copy FROM frozen_code",
    "SELECT * FROM frozen_code FOR UPDATE",
    "PREPARE wipe AS DELETE FROM frozen_code",
    "SELECT nextval('orders_id_seq')",
    "DROP TABLE frozen_code",
    "SELECT pg_terminate_backend(1)",
]
READS = [
    "SELECT * FROM frozen_code",
    "SHOW server_version",
    "SET work_mem = '8MB'",
    "BEGIN",
    "SELECT count(*) FROM frozen_code",
    "COMMIT",
    "EXPLAIN SELECT * FROM frozen_code",
    "SELECT set_config('work_mem', '8MB', false)",
]


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target) as server:
        yield server


@pytest.fixture
def responder(gateway: GatewayServer) -> Iterator[Responder]:
    responder = Responder(gateway)
    yield responder
    responder.lift_all()


@pytest.fixture
def frozen_code(postgres: PostgresServer) -> Iterator[Any]:
    """A table, and what its rows come to."""
    postgres.execute(CODE_FREEZE, database="shop")
    yield lambda: postgres.execute(CHECKSUM, database="shop")
    postgres.execute("DROP TABLE frozen_code", database="shop")


def of(gateway: GatewayServer, responder: Responder, name: str) -> Endpoint:
    return gateway.endpoint(responder.give(IssueToken(name, IdentityKind.AGENT, ("testers",))).token)


@pytest.mark.parametrize("mode", ["simple", "extended"])
def test_scenario_2_code_freeze(
    gateway: GatewayServer, responder: Responder, frozen_code: Any, mode: str, postgres: PostgresServer
) -> None:
    before = frozen_code()
    parameters: list[Any] | None = None if mode == "simple" else []
    with connect(of(gateway, responder, "replit")) as agent:
        agent.execute("SELECT 1 FROM frozen_code")
        receipt = responder.lock(LockSubject.CONNECTION, "shop", LockMode.READ_ONLY, "code freeze")
        assert [one.action for one in receipt.sessions] == ["read-only"]
        position = postgres.log_position()
        for statement in WRITES:
            if mode == "extended" and statement.startswith("COPY"):
                continue
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only reading is allowed now: code freeze"):
                agent.execute(statement.encode(), parameters)
        for statement in READS:
            agent.execute(statement.encode(), parameters)
        forwarded = [one.text for one in postgres.logged_statements(position)]
        assert not [text for text in forwarded if "DELETE" in text or "TRUNCATE" in text]
        assert frozen_code() == before
        responder.lift(receipt)
        agent.execute("DELETE FROM frozen_code WHERE id = 1")
        assert frozen_code() != before


def test_scenario_2_code_freeze_is_lifted_for_one_for_ten_minutes(
    gateway: GatewayServer, responder: Responder, frozen_code: Any
) -> None:
    with (
        connect(of(gateway, responder, "hotfix")) as exempted,
        connect(of(gateway, responder, "replit")) as other,
    ):
        lock = responder.lock(LockSubject.CONNECTION, "shop", LockMode.READ_ONLY, "code freeze").lock
        for agent in (exempted, other):
            refused(agent, "DELETE FROM frozen_code WHERE id = 1")
        responder.give(ExemptFromLock(lock.id, LockSubject.AGENT, "hotfix", 600, "row 1 breaks the shop"))
        given_at_s = time.time()
        exempted.execute("DELETE FROM frozen_code WHERE id = 1")
        refused(other, "DELETE FROM frozen_code WHERE id = 2")
        assert frozen_code()[0][0] == 99
        (record,) = records_of(gateway, LockExempted)
        assert (record.lock, record.subject_kind, record.subject) == (lock.id, "agent", "hotfix")
        assert (record.by, record.reason) == (lock.by, "row 1 breaks the shop")
        assert given_at_s - 60 < record.ends_at_s - 600 <= given_at_s
        exempted.execute("BEGIN; DELETE FROM frozen_code WHERE id = 3")
        done = responder.give(EndExemption(lock.id, LockSubject.AGENT, "hotfix", "done"))
        assert [(one.principal, one.action) for one in done.sessions] == [("hotfix", "cut")]
        assert done.warnings == ()
        with pytest.raises(psycopg.OperationalError):
            exempted.execute("COMMIT")
        assert frozen_code()[0][0] == 99
        assert records_of(gateway, LockExemptionEnded)[-1].reason == "done"


def test_scenario_2_code_freeze_is_in_force_again_at_the_end_of_an_exemption(
    gateway: GatewayServer, responder: Responder, frozen_code: Any
) -> None:
    before = len(records_of(gateway, LockExemptionEnded))
    with connect(of(gateway, responder, "briefly")) as agent:
        lock = responder.lock(LockSubject.CONNECTION, "shop", LockMode.READ_ONLY, "code freeze").lock
        responder.give(ExemptFromLock(lock.id, LockSubject.AGENT, "briefly", 1, "hotfix"))
        wait_for(lambda: len(records_of(gateway, LockExemptionEnded)) > before, "it ends by itself")
        refused(agent, "DELETE FROM frozen_code WHERE id = 1")
        ended = records_of(gateway, LockExemptionEnded)[-1]
        assert (ended.lock, ended.subject, ended.by, ended.reason) == (lock.id, "briefly", "gateway", "expired")
        assert responder.give(ListLocks()).items == (lock,)


def refused(agent: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only reading is allowed now: code freeze"):
        agent.execute(statement.encode())


def test_scenario_2_code_freeze_keeps_what_was_not_committed_from_being_so(
    gateway: GatewayServer, responder: Responder, frozen_code: Any, target: Endpoint
) -> None:
    before = frozen_code()
    endpoint = of(gateway, responder, "late")
    with ExitStack() as stack:
        written, running, copying, reading, done = (connect(endpoint) for _ in range(5))
        for connection in (written, running, copying, reading, done):
            stack.callback(connection.close)
        written.execute("BEGIN; DELETE FROM frozen_code WHERE id = 2")
        update = Statement(running, "UPDATE frozen_code SET body = body || pg_sleep(120) /* freezing over */")
        wait_until_sleeping(target, "freezing over")
        assert copying.pgconn.exec_(b"COPY frozen_code FROM STDIN").status == psycopg.pq.ExecStatus.COPY_IN
        copying.pgconn.put_copy_data(b"101\tlate\n")
        reading.execute("BEGIN; SELECT * FROM frozen_code")
        done.execute("BEGIN; UPDATE frozen_code SET body = '' WHERE id = 1; ROLLBACK; SELECT 1")
        receipt = responder.lock(LockSubject.CONNECTION, "shop", LockMode.READ_ONLY, "code freeze")
        assert sorted(one.action for one in receipt.sessions) == ["cut", "cut", "cut", "read-only", "read-only"]
        assert all(one.gone_after_ms is not None for one in receipt.sessions if one.action == "cut")
        with pytest.raises(psycopg.OperationalError):
            written.execute("COMMIT")
        assert isinstance(update.error(), psycopg.OperationalError)
        reading.execute("COMMIT")
        done.execute("SELECT 1")
        assert frozen_code() == before


def test_scenario_12_kill_in_flight(
    gateway: GatewayServer, responder: Responder, frozen_code: Any, target: Endpoint, postgres: PostgresServer
) -> None:
    before = frozen_code()
    with connect(of(gateway, responder, "in-flight"), application_name="in-flight") as agent:
        agent.execute("BEGIN")
        agent.execute("DELETE FROM frozen_code")
        running = Statement(agent, "SELECT pg_sleep(60) /* in flight */")
        wait_until_sleeping(target, "in flight")
        position = postgres.log_position()
        receipt = responder.lock(LockSubject.AGENT, "in-flight", reason="kill in flight")
        (one,) = receipt.sessions
        assert (one.action, one.in_flight, receipt.warnings) == ("cut", "SELECT", ())
        assert one.gone_after_ms is not None
        error = running.error()
        assert isinstance(error, psycopg.errors.AdminShutdown)
        assert "kill in flight" in str(error)
        query = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'in-flight'"
        assert postgres.execute(query) == []
        assert frozen_code() == before
        assert not [entry for entry in postgres.logged_statements(position) if entry.pid == agent.info.backend_pid]


def test_scenario_12_kill_in_flight_of_forty_sessions(
    gateway: GatewayServer, responder: Responder, postgres: PostgresServer
) -> None:
    endpoint = of(gateway, responder, "swarm")
    active = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'swarm' AND wait_event = 'PgSleep'"
    with ExitStack() as stack:
        open_ones = [stack.enter_context(connect(endpoint, application_name="swarm")) for _ in range(SESSIONS)]
        running = [Statement(connection, "SELECT pg_sleep(120)") for connection in open_ones[:RUNNING]]
        wait_for(lambda: postgres.execute(active) == [(RUNNING,)], "all of them run")
        receipt = responder.lock(LockSubject.AGENT, "swarm")
        position = postgres.log_position()
        assert [one.action for one in receipt.sessions] == ["cut"] * SESSIONS
        assert sum(one.in_flight == "SELECT" for one in receipt.sessions) == RUNNING
        assert all(one.gone_after_ms is not None for one in receipt.sessions)
        assert receipt.warnings == ()
        assert postgres.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'swarm'") == []
        assert all(isinstance(statement.error(), psycopg.OperationalError) for statement in running)
        assert all(is_cut(connection) for connection in open_ones)
        assert responder.give(ListLiveSessions("swarm")).items == ()
        assert not [entry for entry in postgres.logged_statements(position) if entry.text == "SELECT 1"]


def test_scenario_12_kill_in_flight_drops_what_was_not_read(gateway: GatewayServer, responder: Responder) -> None:
    """Megabytes are on their way to a client that does not read: the lock does not wait for it."""
    with psycopg.connect(**of(gateway, responder, "slow").parameters(), autocommit=True) as connection:
        connection.pgconn.send_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 200000)")
        sent = 0

        def stuck() -> bool:
            nonlocal sent
            (session,) = responder.give(ListLiveSessions("slow")).items
            before, sent = sent, session.rows
            return 0 < sent == before

        wait_for(stuck, "nothing more goes out")
        receipt = responder.lock(LockSubject.AGENT, "slow")
        (one,) = receipt.sessions
        assert (one.action, one.in_flight) == ("cut", "SELECT")
        assert one.gone_after_ms is not None
        assert 0 < one.rows < 200_000
        deadline_s = time.monotonic() + 20
        while connection.pgconn.status != psycopg.pq.ConnStatus.BAD and time.monotonic() < deadline_s:
            try:
                connection.pgconn.consume_input()
            except psycopg.OperationalError:
                break
        assert is_cut(connection)
