"""One part of the gateway after the other breaks: nothing reaches the target, and the client is told."""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from interlock.core.ledger import OperationCompleted, OperationDecided, SessionClosed
from tests.e2e.breaking import damage, full_disk, table_away
from tests.e2e.held import make_dba, newest
from tests.e2e.hostile.talking import TIMEOUT_S, read_all, statuses
from tests.e2e.ledger_files import records_of, wait_for
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.scripted_target import ScriptedTarget, Step

POLICY = """
@id("all") permit (principal, action, resource);
@id("ask") @approval("dba") forbid (principal, action == Action::"http-delete", resource);
@id("overflows") forbid (principal, action == Action::"http-put", resource)
when { context.now * 9223372036854775807 > 1 };
@id("mask-overflows") @mask("redact")
forbid (principal in Group::"unmaskable", action == Action::"reveal", resource in Tag::"pii")
when { if context.trace == "" then 9223372036854775807 + 1 > 0 else false };
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = 100_000


@pytest.fixture(scope="module")
def target() -> Iterator[ScriptedTarget]:
    with ScriptedTarget({}, otherwise=(OK,)) as running:
        yield running


def _gateway(target: ScriptedTarget) -> GatewayServer:
    fields = "fields = { email = ['pii'] }\nhold_s = 4.0"
    extra = http_target("crm", target.port, fields)
    extra += http_target(
        "billing", target.port, "credential_as = 'bearer'", connection="credential = { file = 'billing-key' }"
    )
    server = GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=extra, approval_wait_s=20))
    (server.directory / "billing-key").write_text("planted-credential")
    return server


@pytest.fixture(scope="module")
def gateway(target: ScriptedTarget) -> Iterator[GatewayServer]:
    with _gateway(target) as running:
        make_dba(running)
        yield running


class Client:
    """One connection, with a token that was got before anything broke."""

    def __init__(self, gateway: GatewayServer, connection: str = "crm", groups: Sequence[str] | None = None) -> None:
        self._prefix = f"/c/{connection}"
        self._token = gateway.token(groups=groups)
        self.socket = socket.create_connection(("127.0.0.1", gateway.http_port), TIMEOUT_S)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, path: str, method: str = "GET", *fields: str) -> None:
        lines = (f"{method} {self._prefix}{path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {self._token}")
        self.socket.sendall("\r\n".join((*lines, *fields)).encode() + b"\r\n\r\n")

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status, and what the gateway says itself, of a request that is the last."""
        self.send(path, method, "Connection: close")
        answer = read_all(self.socket)
        body = answer.partition(b"\r\n\r\n")[2]
        (status,) = statuses(answer)
        return status, str(json.loads(body)["detail"]) if b"problem+json" in answer else ""

    def read_until(self, wanted: bytes) -> bytes:
        received = b""
        while not received.endswith(wanted):
            data = self.socket.recv(1 << 16)
            assert data, received
            received += data
        return received


@contextmanager
def nothing_reaches(target: ScriptedTarget) -> Iterator[None]:
    before = len(target.got)
    yield
    assert [got.head.target for got in target.got[before:]] == []


def works(gateway: GatewayServer) -> bool:
    with Client(gateway) as client:
        return client.ask("/works")[0] == 200


@pytest.fixture(autouse=True)
def comes_back(gateway: GatewayServer) -> Iterator[None]:
    """When it is repaired, the gateway works as before."""
    yield
    wait_for(lambda: works(gateway), "the gateway to come back")


# ---------------------------------------------------------------- what decides


def test_a_rule_that_cannot_be_evaluated(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with nothing_reaches(target), Client(gateway) as client:
        status, detail = client.ask("/x", "PUT")
    assert status == 403
    assert "could not be evaluated" in detail


def test_masks_that_cannot_be_determined(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with nothing_reaches(target), Client(gateway, groups=["unmaskable"]) as client:
        status, detail = client.ask("/x")
    assert status == 503
    assert "cannot tell what is masked" in detail


def test_identities_that_cannot_be_looked_up(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with table_away(gateway, "identities"), nothing_reaches(target), Client(gateway) as client:
        status, detail = client.ask("/x")
    assert status == 401
    assert "cannot look identities up" in detail


def test_approvals_that_cannot_be_asked_for(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with table_away(gateway, "approvals"), nothing_reaches(target), Client(gateway) as client:
        status, detail = client.ask("/x", "DELETE")
    assert status == 403
    assert "nobody can be asked now" in detail


def test_an_approval_that_cannot_be_spent(gateway: GatewayServer, target: ScriptedTarget) -> None:
    damage(
        gateway,
        "CREATE TRIGGER full BEFORE UPDATE ON approvals WHEN new.status = 'spent'"
        " BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    try:
        with nothing_reaches(target), Client(gateway) as client:
            client.send("/spent", "DELETE", "Connection: close")
            gateway.command("approvals", "approve", newest(gateway), "-r", "ok")
            assert statuses(read_all(client.socket)) == (403,)
    finally:
        damage(gateway, "DROP TRIGGER full")


# ---------------------------------------------------------------- what is needed to reach the target


def test_a_credential_that_is_gone(gateway: GatewayServer, target: ScriptedTarget) -> None:
    key = gateway.directory / "billing-key"
    with Client(gateway, "billing") as client:
        assert client.ask("/x") == (200, "")
    assert target.got[-1].fields[b"authorization"] == b"Bearer planted-credential"
    key.rename(gateway.directory / "away")
    try:
        with nothing_reaches(target), Client(gateway, "billing") as client:
            assert client.ask("/x")[0] == 502
    finally:
        (gateway.directory / "away").rename(key)


# ---------------------------------------------------------------- what records


def test_a_full_disk(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with Client(gateway) as before, Client(gateway) as new:
        before.send("/x")
        before.read_until(b"ok")
        with full_disk(gateway), nothing_reaches(target):
            for client in (before, new):
                status, detail = client.ask("/x", "POST")
                assert status == 503
                assert "cannot record" in detail


def test_a_full_disk_while_a_request_is_held(gateway: GatewayServer, target: ScriptedTarget) -> None:
    """A yes that cannot be recorded is none."""
    with Client(gateway) as client:
        client.send("/held", "DELETE", "Connection: close")
        request = newest(gateway)
        with full_disk(gateway), nothing_reaches(target):
            gateway.command("approvals", "approve", request, "-r", "ok", check=False)
            assert statuses(read_all(client.socket))[0] in (403, 503)


def test_recordings_that_cannot_be_written(gateway: GatewayServer, target: ScriptedTarget) -> None:
    """What was under way when it was noticed may end; after that nothing begins."""
    recordings = gateway.data_dir / "recordings"
    recordings.rename(gateway.data_dir / "away")
    recordings.write_text("not a directory")
    try:
        wait_for(lambda: not works(gateway), "the gateway to notice")
        with nothing_reaches(target), Client(gateway) as client:
            status, detail = client.ask("/x", "POST")
        assert status == 503
        assert "cannot record" in detail
    finally:
        recordings.unlink()
        (gateway.data_dir / "away").rename(recordings)


# ---------------------------------------------------------------- sudden ends


@pytest.fixture
def doomed(target: ScriptedTarget) -> Iterator[GatewayServer]:
    """A gateway of its own."""
    with _gateway(target) as running:
        make_dba(running)
        yield running


def test_a_sudden_end(doomed: GatewayServer, target: ScriptedTarget) -> None:
    """SIGKILL while one request is held and another in the middle of its answer."""
    step = Step()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (2 * LONG)
    target.answers[b"/long"] = (head, b"a" * LONG, step, b"b" * LONG)
    with Client(doomed) as held, Client(doomed) as reading, nothing_reaches_but(target, b"/long"):
        reading.send("/long")
        received = 0
        while received < LONG:
            received += len(reading.socket.recv(1 << 16))
        held.send("/held", "DELETE")
        request = newest(doomed)
        doomed.kill()
        assert closed(held) == b""
        assert b"b" not in closed(reading)
        step.go()
        doomed.start()
        assert works(doomed)
        doomed.command("approvals", "approve", request, "-r", "ok", check=False)
    decided = records_of(doomed, OperationDecided)
    under_way = next(record for record in decided if record.decision == "allowed")
    ends = {record.session: record.status for record in records_of(doomed, SessionClosed)}
    assert ends[under_way.session] == "interrupted"
    assert under_way.session not in {record.session for record in records_of(doomed, OperationCompleted)}
    assert {record.decision for record in decided} >= {"allowed", "held"}
    doomed.stop()
    verified = doomed.command("audit", "verify", str(doomed.data_dir), check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr


@contextmanager
def nothing_reaches_but(target: ScriptedTarget, path: bytes) -> Iterator[None]:
    before = len(target.got)
    yield
    assert {got.head.target for got in target.got[before:]} <= {path, b"/works"}


def closed(client: Client) -> bytes:
    """What still came when the gateway was gone."""
    try:
        return read_all(client.socket)
    except ConnectionError:
        return b""
