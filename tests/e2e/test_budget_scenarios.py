"""Scenarios from the field, in which amounts stop agents: clients count what they got, the target what reached it."""

import contextlib
import itertools
import json
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from interlock.core.administration import KillSession, ListLiveSessions, ListLocks, RevokeToken
from interlock.core.ledger import AlertRaised, LockAdded, LockRemoved, OperationCompleted, OperationDecided
from interlock.core.lock import LockMode, LockSubject
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Responder, connect, is_cut, wait_for
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

PAGE_ROWS = 20
ROWS = 510
"""Not a whole number of pages, so that the last one is stopped within."""
BYTES = 400_000
RUN_BYTES = 150_000
LINE_BYTES = 200
COPY_HEADER_BYTES = 5
SPENT = "53400"
POLICY = f"""
@id("everything") permit (principal, action, resource);

@id("no-paging-through") @budget("rows={ROWS} per 1h")
forbid (principal, action == Action::"select", resource == Table::"shop/shop/public/archive");

@id("no-dumps") @budget("bytes={BYTES} per 1h, bytes={RUN_BYTES} per run")
forbid (principal, action == Action::"copy-out", resource);
"""
RUNS = [f"00-{number:032x}-b7ad6b7169203331-01" for number in range(1, 4)]
ARCHIVE = f"""
CREATE TABLE archive AS SELECT n AS id, repeat('x', {LINE_BYTES}) AS body FROM generate_series(1, 5000) n;
ALTER TABLE archive OWNER TO app;
"""

STORM_DENIALS = 50
CLIENTS = 5
STORM_POLICY = """
@id("everything") permit (principal, action, resource);
@id("never-drop") forbid (principal, action == Action::"drop", resource);

@id("storms-suspend-the-run") @budget("denials=10 per run")
forbid (principal in Group::"suspended", action, resource);
"""


@pytest.fixture(scope="module")
def gateway(target: Endpoint, postgres: PostgresServer) -> Iterator[GatewayServer]:
    postgres.execute(ARCHIVE, database="shop")
    with GatewayServer(target, GatewayOptions(policy=POLICY)) as server:
        yield server
    postgres.execute("DROP TABLE archive", database="shop")


class Pager:
    """A client that reads the archive page by page, and counts every row that arrives, of broken pages as well."""

    def __init__(self, stack: ExitStack, endpoint: Endpoint) -> None:
        self.connection = stack.enter_context(connect(endpoint))
        self.rows: list[int] = []

    def read_page(self, number: int) -> str:
        """The SQLSTATE that the page ended with, empty when it came whole."""
        server = self.connection.pgconn
        page = f"SELECT id FROM archive ORDER BY id LIMIT {PAGE_ROWS} OFFSET {number * PAGE_ROWS}"
        server.send_query(page.encode())
        server.set_single_row_mode()
        state = b""
        while (result := server.get_result()) is not None:
            self.rows += [int(result.get_value(row, 0) or b"") for row in range(result.ntuples)]
            state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or state
        return state.decode()


def copied_bytes(connection: psycopg.Connection[Any]) -> int:
    """The bytes of the rows that a big COPY brings until it is stopped."""
    copied = 0
    try:
        with connection.cursor() as cursor, cursor.copy("COPY archive TO STDOUT") as copy:
            for chunk in copy:
                copied += len(chunk) + COPY_HEADER_BYTES
    except psycopg.errors.ConfigurationLimitExceeded:
        return copied
    raise AssertionError("it came whole")


def replayed_rows(gateway: GatewayServer, session: str) -> list[int]:
    replay = gateway.command("sessions", "replay", session, "--no-wait", "--json").stdout
    lines = map(json.loads, replay.splitlines())
    return [int(line["values"][0]) for line in lines if line["kind"] == "row"]


def test_scenario_7_slow_exfiltration(gateway: GatewayServer) -> None:
    """Pages of 20 rows, over several sessions: together they get the budget and not a row more."""
    responder = Responder(gateway)
    with ExitStack() as stack:

        def pager_of(name: str) -> Pager:
            return Pager(stack, gateway.endpoint(gateway.token(name)))

        pagers = [pager_of("slow") for _ in range(3)]
        turns = zip(itertools.count(), itertools.cycle(pagers), strict=False)
        last, state = next((pager, state) for number, pager in turns if (state := pager.read_page(number)))
        assert state == SPENT
        assert sorted(row for one in pagers for row in one.rows) == list(range(1, ROWS + 1))
        assert [one.read_page(0) for one in (*pagers, pager_of("slow"))] == [SPENT] * 4
        assert pager_of("somebody-else").read_page(0) == ""

        (session,) = (one for one in responder.give(ListLiveSessions("slow")).items if one.rows % PAGE_ROWS)
        receipt = responder.give(KillSession(session.id, "it reads everything"))
        assert (receipt.action, receipt.rows) == ("cut", len(last.rows))
        assert is_cut(last.connection)
        assert replayed_rows(gateway, session.id) == last.rows, "the last page is kept as it was delivered"


def test_scenario_7_slow_exfiltration_by_a_big_copy(gateway: GatewayServer, postgres: PostgresServer) -> None:
    """Bytes of the rows that arrive: per run, over all sessions of the run, and over all runs of the identity."""
    message_bytes = LINE_BYTES + 20
    with ExitStack() as stack:

        def session(run: str, name: str = "dumper") -> psycopg.Connection[Any]:
            endpoint = gateway.endpoint(gateway.token(name))
            return stack.enter_context(connect(endpoint, application_name=run))

        first = session(RUNS[0])
        got = [copied_bytes(first)]
        assert RUN_BYTES - 2 * message_bytes < got[0] <= RUN_BYTES + message_bytes
        assert copied_bytes(session(RUNS[0])) == 0, "another session of the same run"
        got.append(copied_bytes(session(RUNS[1])))
        assert got[1] <= RUN_BYTES + message_bytes
        got.append(copied_bytes(session(RUNS[2])))
        assert BYTES - 10 * message_bytes < sum(got) <= BYTES + message_bytes
        assert copied_bytes(session("no run")) == 0, "the identity has used all of its own"
        assert copied_bytes(session(RUNS[0], "other-dumper")) > 0
        assert first.execute("SELECT 1").fetchone() == (1,), "the session goes on"
        active = "SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'"
        assert postgres.execute(active) == [], "what was stopped is over at the target"
        stopped = [one for one in records_of(gateway, OperationCompleted) if one.code == SPENT and one.bytes_sent]
        assert sum(one.bytes_sent for one in stopped[-4:-1]) <= BYTES + message_bytes


# ---------------------------------------------------------------- retry storms


@pytest.fixture(params=["refuse", "freeze"])
def locking(target: Endpoint, request: pytest.FixtureRequest) -> Iterator[GatewayServer]:
    extra = f'[alerts]\ndenials = {STORM_DENIALS}\nlock = "{request.param}"\nlock_s = 600'
    with GatewayServer(target, GatewayOptions(policy=STORM_POLICY, extra=extra)) as server:
        yield server


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Retrier:
    """Tries the same thing again and again, as agents do. ``denials`` counts what it was told."""

    def __init__(self, stack: ExitStack, endpoint: Endpoint, application: str) -> None:
        self.connection = stack.enter_context(connect(endpoint, application_name=application))
        self.denials = 0

    def try_again(self) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            self.connection.execute("DROP TABLE customers")
        self.denials += 1


def test_scenario_13_retry_storm(locking: GatewayServer, postgres: PostgresServer, clients: ExitStack) -> None:
    responder = Responder(locking)
    endpoint = locking.endpoint(locking.token("retrier"))
    storming = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'storm'"
    position = postgres.log_position()
    retriers = [Retrier(clients, endpoint, "storm") for _ in range(CLIENTS)]
    for retrier in itertools.islice(itertools.cycle(retriers), STORM_DENIALS - 1):
        retrier.try_again()
    assert postgres.execute(storming) == [(CLIENTS,)]
    assert responder.give(ListLocks()).items == ()
    retriers[-1].try_again()
    wait_for(lambda: records_of(locking, LockAdded), "the alert locks")

    (lock,) = responder.give(ListLocks()).items
    (alert,) = records_of(locking, AlertRaised)
    (added,) = records_of(locking, LockAdded)
    assert (lock.subject_kind, lock.subject, lock.by, lock.cause) == (
        LockSubject.AGENT,
        "retrier",
        "gateway",
        "alert denials",
    )
    assert (lock.reason, added.lock) == (alert.text, lock.id)
    assert lock.expires_at_s is not None
    with pytest.raises(psycopg.OperationalError, match=f"denied {STORM_DENIALS} times"):
        connect(endpoint)
    if lock.mode is LockMode.REFUSE:
        wait_for(lambda: postgres.execute(storming) == [(0,)], "none of its connections to the target is left")
        assert all(is_cut(retrier.connection) for retrier in retriers)
    else:
        states = {one.state for one in responder.give(ListLiveSessions("retrier")).items}
        assert states == {"frozen"}
        assert postgres.execute(storming) == [(CLIENTS,)]
    with urllib.request.urlopen(f"http://127.0.0.1:{locking.admin_port}/metrics", timeout=10) as answer:
        assert 'interlock_alerts_total{alert="denials"} 1.0' in answer.read().decode()

    denied = [one for one in records_of(locking, OperationDecided) if one.decision == "denied"]
    assert len(denied) == sum(retrier.denials for retrier in retriers) == STORM_DENIALS, "the audit is complete"
    assert len({one.session for one in denied}) == CLIENTS
    assert not [one for one in postgres.logged_statements(position) if "DROP TABLE" in one.text]

    responder.lift_all()
    (removed,) = records_of(locking, LockRemoved)
    assert (removed.lock, removed.by) != (lock.id, "gateway")
    with connect(endpoint) as resumed:
        assert resumed.execute("SELECT 1").fetchone() == (1,)
    if lock.mode is LockMode.FREEZE:
        assert retriers[0].connection.execute("SELECT 2").fetchone() == (2,)


def test_scenario_13_retry_storm_spends_a_budget_that_suspends_the_run(target: Endpoint, clients: ExitStack) -> None:
    with GatewayServer(target, GatewayOptions(policy=STORM_POLICY)) as gateway:
        responder = Responder(gateway)
        endpoint = gateway.endpoint(gateway.token("looper", ("suspended",)))
        stormy, sibling = (Retrier(clients, endpoint, RUNS[0]) for _ in range(2))
        other_run = Retrier(clients, endpoint, RUNS[1])
        for _ in range(10):
            stormy.try_again()
        for suspended in (stormy, sibling):
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="the whole run"):
                suspended.connection.execute("SELECT 1")
        assert other_run.connection.execute("SELECT 1").fetchone() == (1,)
        assert records_of(gateway, AlertRaised) == [], "fewer than an alert takes"
        (session,) = (one for one in responder.give(ListLiveSessions("looper")).items if one.trace == "0" * 31 + "2")
        receipt = responder.give(RevokeToken(session.token_id, "it loops"))
        assert len(receipt.sessions) == 3
        assert is_cut(other_run.connection)
        with pytest.raises(psycopg.OperationalError, match="access is locked: it loops"):
            connect(endpoint)


# ---------------------------------------------------------------- accidents


def kept_rows(gateway: GatewayServer) -> int:
    """What the state store has of budgets now, as somebody else reads it."""
    with contextlib.closing(sqlite3.connect(f"file:{gateway.data_dir / 'state.db'}?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT coalesce(sum(amount), 0) FROM budgets WHERE key LIKE '%rows%'").fetchone()[0])


def test_a_killed_gateway_knows_what_was_kept(target: Endpoint, postgres: PostgresServer) -> None:
    """SIGKILL loses what was counted since the store was last written, never what was kept; and never the other way."""
    policy = POLICY.replace(f"rows={ROWS}", "rows=1000").replace("archive", "orders")
    with GatewayServer(target, GatewayOptions(policy=policy)) as gateway:
        endpoint = gateway.endpoint(gateway.token("survivor"))
        with connect(endpoint) as connection:
            assert len(connection.execute("SELECT id FROM orders LIMIT 600").fetchall()) == 600
            wait_for(lambda: kept_rows(gateway) == 600, "what was counted is kept")
            gateway.kill()
        gateway.start()
        with connect(gateway.endpoint(gateway.token("survivor"))) as connection:
            got = connection.execute("SELECT id FROM orders LIMIT 400").fetchall()
            assert len(got) == 400
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="1000 were counted"):
                connection.execute("SELECT id FROM orders LIMIT 1")
        gateway.stop()
        assert kept_rows(gateway) == 1000, "an orderly end keeps everything"
