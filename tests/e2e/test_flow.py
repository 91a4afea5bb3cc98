"""Bytes in motion: back-pressure, very large values, cancellation, notifications, clients that leave, and figures."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import asyncpg
import psycopg
import pytest

from interlock.core.ledger import OperationCompleted, PolicyActivated, PolicyRefused, SessionClosed
from tests.clients import programs
from tests.clients.scenarios.with_asyncpg import arguments as asyncpg_arguments
from tests.clients.scratch import sleep_statement, wait_until_sleeping
from tests.e2e.ledger_files import records_of, session_records, wait_for
from tests.e2e.process_figures import metric, open_files, page, peak_kib, resident_kib
from tests.e2e.wire import WireClient, message, query
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayServer
from tests.servers.postgres import PostgresServer, client_program

NO_DROP = '@id("no-drop") forbid (principal, action == Action::"drop", resource);'
_BOUND_KIB = 60_000
_VALUE_BYTES = 256 << 20


@pytest.fixture
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    """A fresh one for each test: memory is measured."""
    with GatewayServer(target) as server:
        yield server


def backends(server: PostgresServer, condition: str) -> int:
    ((count,),) = server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND {condition}")
    return int(count)


def outcomes(gateway: GatewayServer, application: str) -> list[tuple[str, str]]:
    found = session_records(gateway, application)
    return [(record.status, record.code) for record in found if isinstance(record, OperationCompleted)]


# ---------------------------------------------------------------- back-pressure


def test_client_that_does_not_read(gateway: GatewayServer, postgres: PostgresServer) -> None:
    """Half a gigabyte waits at the target, not in the gateway; then all of it arrives."""
    rows, before = 500_000, resident_kib(gateway)
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(gateway.token(), application_name="lazy")
        client.send(query(f"SELECT repeat('x', 1000) FROM generate_series(1, {rows})"))
        wait_for(lambda: backends(postgres, "wait_event = 'ClientWrite'") == 1, "the target to be held up")
        assert resident_kib(gateway) - before < _BOUND_KIB
        received = 0
        while not (data := client.receive_some()).endswith(b"Z\0\0\0\5I"):
            received += len(data)
    assert received + len(data) > rows * 1011
    print(f"\npeak growth of a 500 MB answer: {peak_kib(gateway) - before} KiB")
    assert peak_kib(gateway) - before < _BOUND_KIB
    completed = next(r for r in session_records(gateway, "lazy") if isinstance(r, OperationCompleted))
    assert (completed.rows, completed.status) == (rows, "completed")


def test_target_that_does_not_read(gateway: GatewayServer, postgres: PostgresServer) -> None:
    """COPY data waits at the client while the target does something else; then all of it arrives."""
    postgres.execute("CREATE TABLE slow (line text); ALTER TABLE slow OWNER TO app", database="shop")
    before, chunk, sent = resident_kib(gateway), b"x" * 1023 + b"\n", [0]

    def copy() -> None:
        with (
            psycopg.connect(**gateway.endpoint().parameters()) as connection,
            connection.cursor().copy("COPY slow FROM STDIN") as stream,
        ):
            for _ in range(100):
                stream.write(chunk * 1024)
                sent[0] += 1

    with psycopg.connect(**postgres.endpoint(database="shop").parameters()) as holder:
        holder.execute("LOCK TABLE slow")
        client = threading.Thread(target=copy)
        client.start()
        wait_for(lambda: backends(postgres, "wait_event_type = 'Lock'") == 1, "the target to be held up")
        holder.rollback()
        client.join()
    assert sent[0] == 100
    assert postgres.execute("SELECT count(*), min(length(line)) FROM slow", database="shop") == [(102_400, 1023)]
    assert peak_kib(gateway) - before < _BOUND_KIB
    postgres.execute("DROP TABLE slow", database="shop")


def test_target_that_stops_reading_copy_data(gateway: GatewayServer, postgres: PostgresServer) -> None:
    """The target is stopped in the middle: what the client can send on is bounded, and so is the gateway."""
    before = resident_kib(gateway)
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(gateway.token(), application_name="flood")
        client.send(query("CREATE TEMPORARY TABLE flood (line text)"))
        client.receive_until(b"Z")
        client.send(query("SELECT pg_backend_pid()"))
        backend = int(client.receive_until(b"Z")[1][1][6:])
        client.send(query("COPY flood FROM STDIN"))
        client.receive_until(b"G")
        os.kill(backend, signal.SIGSTOP)
        try:
            sent = client.send_until_stuck(message(b"d", b"y" * 65_535 + b"\n"), limit_bytes=200 << 20)
            assert sent < 100 << 20
            assert resident_kib(gateway) - before < _BOUND_KIB
        finally:
            os.kill(backend, signal.SIGCONT)


def test_huge_value_out(gateway: GatewayServer) -> None:
    before = resident_kib(gateway)
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(gateway.token(), application_name="huge")
        client.send(query(f"SELECT repeat('x', {_VALUE_BYTES})"))
        received, data = 0, b""
        while not data.endswith(b"Z\0\0\0\5I"):
            data = client.receive_some()
            received += len(data)
    assert received > _VALUE_BYTES
    print(f"\npeak growth of a 256 MB value out: {peak_kib(gateway) - before} KiB")
    assert peak_kib(gateway) - before < _BOUND_KIB


def test_huge_value_in(gateway: GatewayServer) -> None:
    before = resident_kib(gateway)
    with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
        row = connection.execute("SELECT length(%b)", [b"x" * _VALUE_BYTES]).fetchone()
    assert row == (_VALUE_BYTES,)
    print(f"\npeak growth of a 256 MB value in: {peak_kib(gateway) - before} KiB")
    assert peak_kib(gateway) - before < _BOUND_KIB


# ---------------------------------------------------------------- cancellation and leaving


@pytest.mark.parametrize("way", ["cancel", "cancel_safe"])
def test_psycopg_cancels(gateway: GatewayServer, target: Endpoint, way: str) -> None:
    """Alone the statement of the right session ends; the session lives on and the ledger knows."""
    application = f"psycopg-{way}"
    parameters = gateway.endpoint().parameters() | {"application_name": application}
    with psycopg.connect(**parameters, autocommit=True) as connection:
        sleeper = threading.Thread(target=cancelled, args=(connection, application))
        sleeper.start()
        wait_until_sleeping(target, application)
        getattr(connection, way)()
        sleeper.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert outcomes(gateway, application) == [("failed", "57014"), ("completed", "")]


def cancelled(connection: psycopg.Connection, marker: str) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute(sleep_statement(marker).encode())


async def test_asyncpg_cancels(gateway: GatewayServer, target: Endpoint) -> None:
    arguments = asyncpg_arguments(await asyncio.to_thread(gateway.endpoint))
    connection = await asyncpg.connect(**arguments, server_settings={"application_name": "asyncpg-cancel"})
    sleeper = asyncio.ensure_future(connection.execute(sleep_statement("asyncpg-cancel")))
    await asyncio.to_thread(wait_until_sleeping, target, "asyncpg-cancel")
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    found = await asyncio.to_thread(outcomes, gateway, "asyncpg-cancel")
    assert found[0] == ("failed", "57014")


def test_psql_is_interrupted(gateway: GatewayServer, target: Endpoint) -> None:
    """Ctrl-C sends a cancel request in clear text on a connection of its own."""
    arguments = programs.popen_arguments(gateway.endpoint())
    arguments["env"]["PGAPPNAME"] = "psql-cancel"
    words = [str(client_program("psql")), "-XAt", "-c", sleep_statement("psql-cancel")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **arguments) as psql:
        wait_until_sleeping(target, "psql-cancel")
        psql.send_signal(signal.SIGINT)
        _, errors = psql.communicate(timeout=30)
    assert "canceling statement due to user request" in errors
    assert outcomes(gateway, "psql-cancel") == [("failed", "57014")]


def test_stranger_cannot_cancel(gateway: GatewayServer, target: Endpoint) -> None:
    """Neither the target's own key nor a guess ends anything."""
    parameters = gateway.endpoint().parameters() | {"application_name": "untouched"}
    with psycopg.connect(**parameters, autocommit=True) as connection:
        pid = connection.info.backend_pid
        for secret in (0, 1, 0xFFFFFFFF):
            with WireClient(gateway.port) as stranger:
                stranger.send(b"\0\0\0\x10\x04\xd2\x16\x2e" + pid.to_bytes(4, "big") + secret.to_bytes(4, "big"))
                assert stranger.rest() == b""
        assert connection.execute("SELECT pg_sleep(0)").rowcount == 1
    assert outcomes(gateway, "untouched") == [("completed", "")]


def test_client_leaves_in_the_middle_of_an_answer(gateway: GatewayServer, postgres: PostgresServer) -> None:
    """The target's session ends too, and the record says that the outcome is not known."""
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(gateway.token(), application_name="leaver")
        client.send(query("SELECT repeat('x', 1000), generate_series(1, 1000000000)"))
        client.receive()
    wait_for(lambda: backends(postgres, "query LIKE '%%1000000000%%'") == 0, "the target's session to end")
    found = session_records(gateway, "leaver")
    assert outcomes(gateway, "leaver") == [("interrupted", "")]
    assert [r.reason for r in found if isinstance(r, SessionClosed)] == ["the client closed the connection"]


def test_notifications(gateway: GatewayServer, target: Endpoint) -> None:
    """They arrive while the client waits and asks nothing."""
    with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as listener:
        listener.execute("LISTEN news")
        with psycopg.connect(**target.parameters(), autocommit=True) as sender:
            sender.execute("NOTIFY news, 'first'")
            sender.execute(b"SELECT pg_notify('news', '" + b"x" * 7000 + b"')")
        received = [note.payload for note in listener.notifies(timeout=20, stop_after=2)]
        assert received == ["first", "x" * 7000]
        assert listener.execute("SELECT 1").fetchone() == (1,)


# ---------------------------------------------------------------- figures


def test_idle_sessions_take_little(gateway: GatewayServer) -> None:
    parameters, count = gateway.endpoint().parameters(), 100
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(psycopg.connect(**parameters))
        before, files = resident_kib(gateway), open_files(gateway)
        for _ in range(count):
            stack.enter_context(psycopg.connect(**parameters, autocommit=True)).execute("SELECT 1")
        each = (resident_kib(gateway) - before) / count
        print(f"\nan idle session takes {each:.0f} KiB")
        assert each < 400
        assert metric(gateway, "interlock_sessions") == count + 10
    wait_for(lambda: metric(gateway, "interlock_sessions") == 0, "all sessions to end")
    wait_for(lambda: open_files(gateway) <= files - 2 * 10, "their sockets to be closed")


def test_health_and_metrics(gateway: GatewayServer) -> None:
    assert page(gateway, "/healthz") == (200, "ok\n")
    assert page(gateway, "/readyz") == (200, "ready\n")
    assert page(gateway, "/")[0] == 404
    gateway.policy_file.write_text(gateway.options.policy + NO_DROP)
    wait_for(lambda: len(records_of(gateway, PolicyActivated)) == 2, "the stricter policy")
    with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
        connection.execute("SELECT 1")
        connection.execute("SELECT 2")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE customers")
        assert metric(gateway, "interlock_sessions") == 1
        assert metric(gateway, 'interlock_operations_total{decision="allowed"}') == 2
        assert metric(gateway, 'interlock_operations_total{decision="denied"}') == 1
    assert metric(gateway, "interlock_ledger_failing") == 0
    assert metric(gateway, "interlock_policy_refused") == 0
    gateway.policy_file.write_text("nonsense")
    wait_for(lambda: records_of(gateway, PolicyRefused), "the refusal")
    assert metric(gateway, "interlock_policy_refused") == 1
    assert page(gateway, "/readyz")[0] == 200
