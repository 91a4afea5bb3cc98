"""Broken peers, files and disks: a clear answer, a record, and nobody else is hurt."""

import asyncio
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from interlock.core.ledger import (
    AnyRecord,
    GatewayStarted,
    IncidentClosed,
    IncidentOpened,
    OperationCompleted,
    OperationDecided,
    SessionClosed,
)
from tests.e2e.ledger_files import records_of, refusals, session_records, wait_for
from tests.e2e.process_figures import metric, open_files, resident_kib
from tests.e2e.wire import GSS_REQUEST, SSL_REQUEST, WireClient, WireError, message, query, startup
from tests.servers import sample
from tests.servers.certificates import CertificateAuthority
from tests.servers.endpoint import Endpoint
from tests.servers.fault_proxy import Ending, FaultProxy, Faults, Flow
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port

MakeProxy = Callable[..., Awaitable[FaultProxy]]
BROKEN_BYTES = {
    "nothing": b"",
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
    "a greeting of SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "half a length": b"\0\0",
    "an unknown protocol": struct.pack("!II", 8, 99 << 16) + b"\0",
    "a length below the smallest": struct.pack("!II", 7, 196608),
    "a length above the largest": struct.pack("!II", 1 << 30, 196608),
    "half a startup": startup()[:17],
    "a startup without its end": struct.pack("!II", 13, 196608) + b"user\0",
    "a startup without a user": struct.pack("!II", 9, 196608) + b"\0",
    "data behind the request for TLS": SSL_REQUEST + startup(),
    "half a TLS handshake": SSL_REQUEST + b"\x16\x03\x01",
    "a hello that is none": b"\x16\x03\x01\x00\x05hello",
    "a request for Kerberos": GSS_REQUEST,
    "a cancel request of nobody": struct.pack("!IIII", 16, 80877102, 1, 2),
    "a cancel request without a key": struct.pack("!II", 8, 80877102),
}
BROKEN_MESSAGES = {
    "an unknown type": b"~\0\0\0\4",
    "a length below the smallest": b"Q\0\0\0\3",
    "a negative length": b"Q\xff\xff\xff\xff",
    "a Query without its end": message(b"Q", b"SELECT 1"),
    "a Parse that ends too early": message(b"P", b"name\0"),
    "a Bind without a portal's end": message(b"B", b"portal"),
    "an Execute with too little": message(b"E", b"\0\0"),
    "a Close of something else": message(b"C", b"X\0"),
    "a password out of turn": message(b"p", b"secret\0"),
    "a message of the other side": message(b"Z", b"I"),
}


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target) as server:
        yield server


def answer(parameters: dict[str, object], statement: str = "SELECT 1") -> object:
    with psycopg.connect(**parameters, autocommit=True) as connection:  # type: ignore[arg-type]
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def closing(found: list[AnyRecord]) -> SessionClosed:
    """The one record that says how the session ended."""
    (closed,) = (record for record in found if isinstance(record, SessionClosed))
    return closed


def still_serves(gateway: GatewayServer) -> bool:
    return answer(gateway.endpoint().parameters()) == 1


def statements(server: PostgresServer, mark: int) -> list[str]:
    return [logged.text for logged in server.logged_statements(mark) if logged.user == "app"]


# ---------------------------------------------------------------- bytes


@pytest.mark.parametrize("kind", BROKEN_BYTES)
def test_broken_beginnings(gateway: GatewayServer, postgres: PostgresServer, kind: str) -> None:
    mark = postgres.log_position()
    with WireClient(gateway.port) as client:
        client.send(BROKEN_BYTES[kind])
        client.end_input()
        rest = client.rest()
    assert b"Traceback" not in rest
    assert rest[:1] in (b"", b"E", b"S", b"N", b"\x15")
    assert postgres.log_position() == mark


@pytest.mark.parametrize("kind", BROKEN_MESSAGES)
def test_broken_messages(gateway: GatewayServer, postgres: PostgresServer, kind: str) -> None:
    """They end the session with a protocol violation, and nothing of them reaches the target."""
    mark = postgres.log_position()
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(gateway.token(), application_name=kind)
        client.send(BROKEN_MESSAGES[kind] + query("SELECT 'behind the breakage'"))
        with pytest.raises(WireError) as caught:
            client.receive()
        assert client.rest() == b""
    assert (caught.value.code, caught.value.fields["S"]) == ("08P01", "FATAL")
    closed = closing(session_records(gateway, kind))
    assert closed.reason
    assert statements(postgres, mark) == []


@pytest.mark.parametrize("broken", [message(b"P", b"\0SELECT 1\0\0\1"), message(b"D")], ids=["Parse", "Describe"])
def test_messages_that_the_target_refuses(gateway: GatewayServer, broken: bytes) -> None:
    """As with a direct connection, everything up to the next Sync is passed over and the session lives on."""
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(gateway.token())
        client.send(broken + query("SELECT 'passed over'") + message(b"S"))
        with pytest.raises(WireError) as caught:
            client.receive()
        assert (caught.value.code, caught.value.fields["S"]) == ("08P01", "ERROR")
        assert client.receive() == (b"Z", b"I")
        client.send(query("SELECT 1"))
        assert [kind for kind, _ in client.receive_until(b"Z")] == [b"T", b"D", b"C", b"Z"]


def test_truncated_at_every_stage(gateway: GatewayServer) -> None:
    """A client that leaves after any number of bytes leaves nothing behind."""
    token = gateway.token()
    password = message(b"p", token.encode() + b"\0")
    whole = startup(application_name="truncated") + password + query("SELECT 1")
    ends = sorted({1, 3, 4, 8, len(startup(application_name="truncated")), len(whole) - 1, *range(0, len(whole), 97)})
    for end in ends:
        with WireClient(gateway.port, gateway.certificate_file) as client:
            client.send(whole[:end])
    assert still_serves(gateway)
    wait_for(lambda: metric(gateway, "interlock_sessions") == 0, "all sessions to end")


def test_statements_with_wrong_characters(gateway: GatewayServer, postgres: PostgresServer) -> None:
    """NUL bytes and what is not UTF-8 are refused or are the target's to refuse; the session stays usable."""
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(gateway.token())
        mark = postgres.log_position()
        for body in (b"SELECT 1\0; DROP TABLE orders\0", b"SELECT '\xff\xfe'\0", b"\xc3\x28\0"):
            client.send(message(b"Q", body))
            with pytest.raises(WireError) as caught:
                client.receive_until(b"Z")
            assert caught.value.fields["S"] == "ERROR"
            client.receive_until(b"Z")
        client.send(query("SELECT 'ok'"))
        assert client.receive_until(b"Z")[-1] == (b"Z", b"I")
    assert not [text for text in statements(postgres, mark) if "DROP" in text]


# ---------------------------------------------------------------- many and slow clients


def test_ten_thousand_half_open_connections(target: Endpoint) -> None:
    """The oldest make room for the newest, memory stays bounded, and a client that means it gets in."""
    raise_file_limit(12_000)
    wanted = 10_000
    with GatewayServer(target) as gateway, ExitStack() as stack:
        before = resident_kib(gateway)
        sockets = []
        for number in range(wanted):
            client = stack.enter_context(socket.socket())
            client.connect(("127.0.0.1", gateway.port))
            if number % 3 == 1:
                client.send(SSL_REQUEST)
            elif number % 3 == 2:
                client.send(startup()[:20])
            sockets.append(client)
        assert still_serves(gateway)
        refusals(gateway, wanted - 600)
        assert open_files(gateway) < 1000
        assert is_closed(sockets[0])
        assert resident_kib(gateway) - before < 60_000
        assert still_serves(gateway)


def test_slow_clients_are_reaped(target: Endpoint) -> None:
    """A client that sends nothing, or a byte now and then, at any stage of its login."""
    options = GatewayOptions(postgres_extra="startup_timeout_s = 1.0")
    with GatewayServer(target, options) as gateway, ExitStack() as stack:
        clients = [stack.enter_context(WireClient(gateway.port)) for _ in range(4)]
        encrypted = stack.enter_context(WireClient(gateway.port, gateway.certificate_file))
        clients[1].send(startup()[:9])
        clients[2].send(SSL_REQUEST)
        clients[3].send(SSL_REQUEST + b"\x16\x03\x01\x02\x00")
        encrypted.send(startup())
        encrypted.receive()
        with pytest.raises(WireError, match="login took longer than 1 s"):
            encrypted.receive()
        for client in clients:
            client.rest()
        assert len(refusals(gateway, 5)) == 5
        assert "session failed" not in gateway.log()
        assert still_serves(gateway)


# ---------------------------------------------------------------- targets


def test_target_down(target: Endpoint) -> None:
    with GatewayServer(replace(target, port=free_port())) as gateway:
        with pytest.raises(psycopg.OperationalError, match='target of connection "shop" cannot be reached'):
            psycopg.connect(**gateway.endpoint().parameters(), application_name="down")
        closed = closing(session_records(gateway, "down"))
        assert "cannot be reached" in closed.reason


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"database": "no-such-database"}, "does not exist"),
        ({"password": "not the password"}, "refused the gateway's login"),
        ({"user": "nobody"}, "refused the gateway's login"),
        ({"sslmode": "require"}, "TLS"),
    ],
)
def test_target_refuses(target: Endpoint, change: dict[str, str], told: str) -> None:
    """The client learns what is wrong; it does not learn the gateway's credential, nor does it come from the target."""
    with GatewayServer(replace(target, **change)) as gateway:  # type: ignore[arg-type]
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(**gateway.endpoint().parameters(), application_name="refused")
        assert told in str(caught.value)
        assert change.get("password", "app-password") not in str(caught.value)
        closed = closing(session_records(gateway, "refused"))
        assert closed.reason


async def test_target_that_stalls_at_login(target: Endpoint, make_fault_proxy: MakeProxy) -> None:
    """It is given up after its own time limit, not the client's."""
    proxy = await make_fault_proxy(target.port, Faults(to_client=Flow(end_after_bytes=9, ending=Ending.STALL)))
    options = GatewayOptions(postgres_extra="connect_timeout_s = 0.5\nstartup_timeout_s = 60.0")
    with GatewayServer(replace(target, port=proxy.port), options) as gateway:
        with pytest.raises(psycopg.OperationalError, match='target of connection "shop" cannot be reached'):
            await asyncio.to_thread(psycopg.connect, **gateway.endpoint().parameters(), application_name="stalled")
        await asyncio.to_thread(session_records, gateway, "stalled")


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
async def test_target_dies_in_the_middle_of_an_answer(
    target: Endpoint, make_fault_proxy: MakeProxy, ending: Ending
) -> None:
    """What the client has then is a part of the answer, and never words of the gateway within a row."""
    row = b"D" + struct.pack("!IHi", 1010, 1, 1000) + b"x" * 1000
    proxy = await make_fault_proxy(target.port)
    with GatewayServer(replace(target, port=proxy.port)) as gateway:
        token = await asyncio.to_thread(gateway.token)
        for size in (2_000, 5_000, 20_000):
            proxy.faults = Faults(to_client=Flow(end_after_bytes=size, ending=ending))
            rest = await asyncio.to_thread(interrupted_answer, gateway, token, f"dies-{size}")
            found = await asyncio.to_thread(session_records, gateway, f"dies-{size}")
            rows = rest[rest.index(row[:5]) :]
            while rows.startswith(row):
                rows = rows.removeprefix(row)
            assert row.startswith(rows) or rows.startswith(b"E")
            assert [record.status for record in found if isinstance(record, OperationCompleted)] == ["interrupted"]
            assert closing(found).reason == "the target closed the connection"


def interrupted_answer(gateway: GatewayServer, token: str, application: str) -> bytes:
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(token, application_name=application)
        client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 1000)"))
        return client.rest()


def test_target_crash(make_postgres: Callable[..., PostgresServer]) -> None:
    """All sessions are told, and when the target is back the gateway needs no help."""
    server = make_postgres()
    sample.fill(server)
    with GatewayServer(sample.endpoint(server)) as gateway:
        parameters = gateway.endpoint().parameters()
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute("SELECT 1")
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="cannot be reached"):
            psycopg.connect(**parameters)
        server.start()
        assert still_serves(gateway)


def test_target_with_a_wrong_certificate(postgres_tls: PostgresServer, tmp_path: Path) -> None:
    """A target that cannot prove itself gets neither the password nor a statement."""
    stranger = CertificateAuthority(tmp_path)
    endpoint = replace(sample.endpoint(postgres_tls), sslrootcert=stranger.certificate_file)
    mark = postgres_tls.log_position()
    with GatewayServer(endpoint) as gateway:
        with pytest.raises(psycopg.OperationalError, match="TLS"):
            psycopg.connect(**gateway.endpoint().parameters(), application_name="wrong-certificate")
        closed = closing(session_records(gateway, "wrong-certificate"))
        assert "certificate" in closed.reason
    assert statements(postgres_tls, mark) == []


# ---------------------------------------------------------------- the operator's mistakes


def serve(gateway: GatewayServer) -> subprocess.CompletedProcess[str]:
    """Try to start a gateway that cannot start."""
    words = [sys.executable, "-m", "interlock", "--config", str(gateway.config_file), "serve"]
    return subprocess.run(words, check=False, capture_output=True, text=True, cwd=gateway.directory, timeout=60)


@pytest.fixture
def unstarted(target: Endpoint) -> Iterator[GatewayServer]:
    """The files of a gateway that was never started."""
    gateway = GatewayServer(target)
    try:
        yield gateway
    finally:
        gateway.__exit__()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('durability = "standard"', 'durabilty = "strict"', ["gateway.durabilty", "durability"]),
        ('durability = "standard"', 'durability = "paranoid"', ["gateway.durability", "standard", "strict"]),
        ('plain = "refuse"', "plain = true", ["postgres.plain", "refuse", "scram-only"]),
        ('protocol = "postgres"', 'protocol = "mysql"', ["connections.shop.protocol", "mysql", "postgres"]),
        ("drain_timeout_s = 1.0", "drain_timeout_s = -1", ["gateway.drain_timeout_s"]),
        ("credential = {", 'password = "hunter2"\ncredential = {', ["connections.shop.password", "credential"]),
        ("[postgres]", "[postgre]", ["postgre", "postgres"]),
        ("[postgres]", "[postgres", ["not valid TOML", "line"]),
    ],
)
def test_settings_with_a_mistake(unstarted: GatewayServer, old: str, new: str, told: list[str]) -> None:
    text = unstarted.config_file.read_text().replace(old, new)
    unstarted.config_file.write_text(text)
    line = next(number for number, content in enumerate(text.splitlines(), 1) if new.splitlines()[0] in content)
    result = serve(unstarted)
    assert result.returncode == 2
    assert f"{unstarted.config_file}:{line}: " in result.stderr or "not valid TOML" in result.stderr
    for words in told:
        assert words in result.stderr
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr


def test_policy_with_a_mistake(unstarted: GatewayServer) -> None:
    unstarted.policy_file.write_text('permit (principal, action == Action::"selct", resource);')
    result = serve(unstarted)
    assert result.returncode == 2
    assert f"{unstarted.policy_file}:1" in result.stderr
    assert "selct" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_policy(unstarted: GatewayServer) -> None:
    unstarted.policy_file.unlink()
    result = serve(unstarted)
    assert result.returncode == 2
    assert "policy.cedar" in result.stderr


def test_port_in_use(unstarted: GatewayServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", unstarted.port))
        taken.listen()
        result = serve(unstarted)
    assert result.returncode == 2
    assert f"127.0.0.1:{unstarted.port}" in result.stderr or str(unstarted.port) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("broken", ["certificate", "key", "missing", "mismatch"])
def test_certificate_problems(
    unstarted: GatewayServer, certificate_authority: CertificateAuthority, broken: str
) -> None:
    good, other = certificate_authority.issue_server(), certificate_authority.issue_server()
    files = {"certificate": good.certificate_file, "key": good.key_file}
    garbage = unstarted.directory / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    files |= {
        "certificate": {"certificate": garbage},
        "key": {"key": garbage},
        "missing": {"certificate": unstarted.directory / "nowhere.pem"},
        "mismatch": {"key": other.key_file},
    }[broken]
    lines = f'tls_certificate = "{files["certificate"]}"\ntls_key = "{files["key"]}"\n'
    text = unstarted.config_file.read_text().replace("plain =", f"{lines}plain =")
    unstarted.config_file.write_text(text)
    result = serve(unstarted)
    assert result.returncode == 2
    assert str(files["certificate"]) in result.stderr
    assert "Traceback" not in result.stderr


def test_data_directory_that_cannot_be_made(unstarted: GatewayServer) -> None:
    (unstarted.directory / "data").write_text("a file where the directory should be")
    result = serve(unstarted)
    assert result.returncode == 2
    assert str(unstarted.data_dir) in result.stderr
    assert "Traceback" not in result.stderr


def test_second_gateway_on_the_same_data(gateway: GatewayServer) -> None:
    """It does not start, and the first one does not notice."""
    text = gateway.config_file.read_text()
    for port in (gateway.port, gateway.admin_port, gateway.issuer_port):
        text = text.replace(str(port), str(free_port()))
    second = gateway.directory / "second.toml"
    second.write_text(text)
    words = [sys.executable, "-m", "interlock", "--config", str(second), "serve"]
    result = subprocess.run(words, check=False, capture_output=True, text=True, cwd=gateway.directory, timeout=60)
    assert result.returncode == 2
    assert "another process has the ledger open" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(records_of(gateway, GatewayStarted)) == 1
    assert still_serves(gateway)


# ---------------------------------------------------------------- no room


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount]).returncode != 0:
        pytest.skip("mounting a small file system takes root")
    yield mount
    subprocess.run(["umount", "--lazy", mount], check=True)


@pytest.mark.parametrize("durability", ["standard", "strict"])
def test_full_disk(target: Endpoint, postgres: PostgresServer, small_disk: Path, durability: str) -> None:
    """Nothing is forwarded that cannot be recorded. With room again, the service is there again."""
    with GatewayServer(target, GatewayOptions(durability=durability)) as gateway:
        gateway.stop()
        shutil.move(gateway.data_dir, small_disk / "data")
        gateway.data_dir.symlink_to(small_disk / "data")
        gateway.start()
        ballast = small_disk / "ballast"
        with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            fill(ballast)
            mark = postgres.log_position()
            refused = wait_for(lambda: refused_for_want_of_room(connection), "the refusal")
            assert refused.sqlstate == "58030"
            assert "cannot record" in str(refused)
            after = len(statements(postgres, mark))
            for _ in range(5):
                with pytest.raises(psycopg.Error):
                    connection.execute("UPDATE orders SET note = 'unrecorded' WHERE id = 1")
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(**gateway.endpoint().parameters())
            assert len(statements(postgres, mark)) == after
            ballast.unlink()
            wait_for(lambda: works(connection), "the service to come back")
        assert still_serves(gateway)
        gateway.stop()
        decided = records_of(gateway, OperationDecided)
        reached = statements(postgres, mark)
        assert len([text for text in reached if text]) <= len(decided)
        assert not [text for text in reached if "unrecorded" in text]


def test_a_full_disk_stops_the_responder_and_says_so(target: Endpoint, small_disk: Path) -> None:
    """What cannot be recorded is not done: no incident, no lock, no report, no bundle."""
    with GatewayServer(target) as gateway:
        gateway.stop()
        shutil.move(gateway.data_dir, small_disk / "data")
        gateway.data_dir.symlink_to(small_disk / "data")
        gateway.start()
        incident = gateway.command("incident", "open", "--agent", "first", "--reason", "room").stdout.split()[1]
        fill(small_disk / "ballast")

        def refused(*words: str) -> str:
            result = gateway.command("incident", *words, check=False)
            return result.stderr if result.returncode else ""

        opening = ("open", "--agent", "second", "--reason", "no room", "--no-lock")
        assert "error:" in wait_for(lambda: refused(*opening), "the refusal")
        fill(small_disk / "more-ballast")  # what was refused may have left some room
        assert "error:" in wait_for(lambda: refused(*opening), "the refusal")
        opened = len(records_of(gateway, IncidentOpened))
        bundle = gateway.directory / "incident.tar"
        for words in (opening, ("report", incident), ("bundle", incident, "--out", str(bundle)), ("show", incident)):
            assert "error:" in wait_for(lambda words=words: refused(*words), f"the refusal of {words}")  # type: ignore[misc]
        assert "error:" in refused("close", incident, "--reason", "no room", "--lift-locks")
        assert not bundle.exists()
        assert len(records_of(gateway, IncidentOpened)) == opened
        (small_disk / "ballast").unlink()
        (small_disk / "more-ballast").unlink()
        wait_for(lambda: not refused("report", incident), "the report")
        assert [lock["subject"] for lock in json.loads(gateway.command("lock", "list", "--json").stdout)] == ["first"]
        assert not records_of(gateway, IncidentClosed)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            return


def refused_for_want_of_room(connection: psycopg.Connection) -> psycopg.Error | None:
    """The last page of the ledger's file may have room for a few more entries."""
    try:
        connection.execute("SELECT 'room'")
    except psycopg.Error as error:
        return error
    return None


def works(connection: psycopg.Connection) -> bool:
    try:
        return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        assert not connection.closed, "the session should live on"
        return False


# ---------------------------------------------------------------- looking at the process


def raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} open files, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def is_closed(client: socket.socket) -> bool:
    client.settimeout(10)
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        pass
    return True
