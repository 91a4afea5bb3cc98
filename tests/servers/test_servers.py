"""The throw-away servers themselves: what the other tests rely on."""

import asyncio
import contextlib
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.servers import sample
from tests.servers.certificates import CertificateAuthority
from tests.servers.endpoint import Endpoint
from tests.servers.fault_proxy import Ending, FaultProxy, Faults, Flow
from tests.servers.pgbouncer import PgBouncer, PoolMode, pgbouncer_program
from tests.servers.postgres import PostgresServer, ServerTls
from tests.servers.process import free_port, worker_share

MakeProxy = Callable[..., Awaitable[FaultProxy]]


def fetch_one(endpoint: Endpoint, statement: bytes) -> object:
    with psycopg.connect(**endpoint.parameters()) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def test_workers_have_no_port_in_common_and_none_has_one_twice() -> None:
    shares = [
        worker_share({"PYTEST_XDIST_WORKER": f"gw{number}", "PYTEST_XDIST_WORKER_COUNT": "7"}) for number in range(7)
    ]
    assert len(set().union(*shares)) == sum(map(len, shares))
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100
    assert set(ports) <= set(worker_share(os.environ))


def test_sample_roles_connect_with_scram(postgres: PostgresServer) -> None:
    assert fetch_one(sample.endpoint(postgres), b"SELECT count(*) FROM customers") == 100
    wrong = replace(sample.endpoint(postgres), password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        fetch_one(wrong, b"SELECT 1")


def test_logged_statements_have_their_whole_text(postgres: PostgresServer) -> None:
    statement = "SELECT 'one\n\ttwo\n<1,a,b> LOG:  statement: three'"
    mark = postgres.log_position()
    fetch_one(sample.endpoint(postgres), statement.encode())
    logged = [s for s in postgres.logged_statements(mark) if s.user == "app"]
    assert [s.text for s in logged] == ["BEGIN", statement, "COMMIT"]
    assert {s.database for s in logged} == {"shop"}


def test_tls_is_verified_and_plain_is_refused(postgres_tls: PostgresServer) -> None:
    endpoint = sample.endpoint(postgres_tls)
    assert fetch_one(endpoint, b"SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        fetch_one(replace(endpoint, sslmode="disable"), b"SELECT 1")


@pytest.mark.parametrize(("names", "expired"), [(("elsewhere.example",), False), (("127.0.0.1",), True)])
def test_bad_server_certificates_are_refused(
    certificate_authority: CertificateAuthority,
    make_postgres: Callable[..., PostgresServer],
    names: tuple[str, ...],
    expired: bool,
) -> None:
    certificate = certificate_authority.issue_server(names, expired=expired)
    server = make_postgres(tls=ServerTls(certificate, certificate_authority.certificate_file))
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        fetch_one(server.endpoint(), b"SELECT 1")
    assert fetch_one(replace(server.endpoint(), sslmode="require", sslrootcert=None), b"SELECT 1") == 1


def test_client_certificate_logs_in(postgres_tls: PostgresServer, certificate_authority: CertificateAuthority) -> None:
    client = certificate_authority.issue_client("app")
    parameters = sample.endpoint(postgres_tls, database="warehouse").parameters()
    parameters |= {"password": "", "sslcert": str(client.certificate_file), "sslkey": str(client.key_file)}
    with psycopg.connect(**parameters) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


def test_md5_kill_and_restart(make_postgres: Callable[..., PostgresServer]) -> None:
    server = make_postgres(password_encryption="md5", durable=True)
    server.execute("CREATE TABLE kept AS SELECT 1 AS n")
    assert server.execute("SELECT rolpassword LIKE 'md5%%' FROM pg_authid WHERE rolname = %s", ["postgres"]) == [
        (True,)
    ]
    server.kill()
    with pytest.raises(psycopg.OperationalError):
        server.execute("SELECT 1")
    server.start()
    assert server.execute("SELECT n FROM kept") == [(1,)]


def test_server_ends_with_the_process_that_started_it() -> None:
    program = (
        "import signal\n"
        "from tests.servers.postgres import PostgresServer\n"
        "server = PostgresServer()\nserver.start()\nprint(server.pid, server.directory, flush=True)\nsignal.pause()"
    )
    root = Path(__file__).parents[2]
    child = subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        pid, directory = child.stdout.readline().split()
    watch = os.pidfd_open(int(pid))
    child.kill()
    child.wait()
    readable, _, _ = select.select([watch], [], [], 30)
    os.close(watch)
    shutil.rmtree(directory)
    assert readable, "the server outlived its owner"


@pytest.mark.parametrize("flow", [Flow(), Flow(single_bytes=True), Flow(delay_s=0.001)])
async def test_faithful_proxy(postgres: PostgresServer, make_fault_proxy: MakeProxy, flow: Flow) -> None:
    proxy = await make_fault_proxy(postgres.port, Faults(flow, flow))
    endpoint = replace(sample.endpoint(postgres), port=proxy.port)
    assert await asyncio.to_thread(fetch_one, endpoint, b"SELECT repeat('x', 100)") == "x" * 100


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.HALF_CLOSE])
@pytest.mark.parametrize("direction", ["to_client", "to_target"])
async def test_cut_proxy(postgres: PostgresServer, make_fault_proxy: MakeProxy, ending: Ending, direction: str) -> None:
    faults = Faults(**{direction: Flow(end_after_bytes=300, ending=ending)})
    proxy = await make_fault_proxy(postgres.port, faults)
    endpoint = replace(sample.endpoint(postgres), port=proxy.port)
    with pytest.raises(psycopg.OperationalError):
        await asyncio.to_thread(fetch_one, endpoint, b"SELECT repeat('x', 1000), '" + b"x" * 1000 + b"'")


async def test_stalled_proxy_is_silent_until_cut(postgres: PostgresServer, make_fault_proxy: MakeProxy) -> None:
    proxy = await make_fault_proxy(postgres.port, Faults(to_target=Flow(end_after_bytes=3, ending=Ending.STALL)))
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x" * 100)
    await writer.drain()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)
    await proxy.cut()
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read(1) == b""
    writer.close()


@pytest.mark.skipif(pgbouncer_program() is None, reason="only the benchmarks need PgBouncer")
@pytest.mark.parametrize("pool_mode", ["session", "transaction"])
def test_pgbouncer(
    postgres_tls: PostgresServer, certificate_authority: CertificateAuthority, pool_mode: PoolMode
) -> None:
    target = sample.endpoint(postgres_tls)
    with PgBouncer(target, pool_mode=pool_mode, certificate=certificate_authority.issue_server()) as pooler:
        assert fetch_one(pooler.endpoint(), b"SELECT current_user || '@' || current_database()") == "app@shop"
