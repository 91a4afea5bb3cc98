"""Targets that are down, slow, garbled or cut: a proper answer for the client, and a record of what came of it."""

import itertools
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from interlock.core.ledger import OperationCompleted, OperationDecided
from tests.e2e.hostile.talking import TIMEOUT_S, read_all, statuses
from tests.e2e.ledger_files import session_records
from tests.servers.certificates import CertificateAuthority
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService
from tests.servers.process import free_port
from tests.servers.scripted_target import CUT, RESET, Script, ScriptedTarget, Step, Turns

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n"
SLOW_S = 0.5
_numbers = itertools.count(1)

BEFORE_HEAD: dict[str, Script] = {
    "closed": (CUT,),
    "reset": (RESET,),
    "closed in the head": (HEAD[:30], CUT),
    "reset in the head": (HEAD[:30], RESET),
    "closed behind an interim answer": (b"HTTP/1.1 103 Early Hints\r\n\r\n", CUT),
}
IN_BODY: dict[str, Script] = {
    "closed": (HEAD + b"only", CUT),
    "reset": (HEAD + b"only", RESET),
    "closed in chunks": (CHUNKED, CUT),
    "reset in chunks": (CHUNKED, RESET),
    "closed in the trailers": (CHUNKED + b"0\r\nX: ", CUT),
    "a bad chunk": (CHUNKED + b"zz\r\n", CUT),
}
GARBAGE: dict[str, Script] = {
    "binary": (bytes(range(256)),),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n",),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x0a",),
    "a body alone": (b'{"a": 1}',),
    "another version": (b"HTTP/2.0 200 OK\r\n\r\n",),
    "a status that is none": (b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",),
    "lines that end in LF": (OK.replace(b"\r\n", b"\n"),),
    "a folded field": (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",),
    "a NUL": (b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 2\r\n\r\nok",),
    "a length and chunks": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    "another coding": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",),
    "a head without an end": (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 70_000,),
    "very many fields": (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 300 + b"\r\n",),
    "interim answers without an end": (b"HTTP/1.1 102 Processing\r\n\r\n" * 40,),
    "a protocol that nobody asked for": (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",),
    "a body that cannot be": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",),
}


def _path(kind: str, name: str) -> bytes:
    return f"/{kind}/{name.replace(' ', '-')}".encode()


@pytest.fixture(scope="module")
def step() -> Iterator[Step]:
    """What slow answers wait for: the end of the tests."""
    waiting = Step()
    yield waiting
    waiting.go()


@pytest.fixture(scope="module")
def target(step: Step) -> Iterator[ScriptedTarget]:
    answers: dict[bytes, Script | Turns] = {b"/ok": (OK,)}
    for kind, table in (("head", BEFORE_HEAD), ("body", IN_BODY), ("garbage", GARBAGE)):
        answers.update({_path(kind, name): script for name, script in table.items()})
    answers[b"/silent"] = (step,)
    answers[b"/silent-in-the-head"] = (HEAD[:30], step)
    answers[b"/silent-in-the-body"] = (HEAD + b"only", step)
    with ScriptedTarget(answers) as running:
        yield running


@pytest.fixture(scope="module")
def tls_targets(certificate_authority: CertificateAuthority) -> Iterator[str]:
    """Settings of connections whose target cannot be trusted, and of one without TLS."""
    known = certificate_authority.certificate_file
    certificates = {
        "wrong-host": certificate_authority.issue_server(("elsewhere.test",)),
        "expired": certificate_authority.issue_server(expired=True),
        "unknown": certificate_authority.issue_server(),
    }
    with ExitStack() as stack:
        settings = _tls_target("plain", stack.enter_context(HttpService()).port, known)
        for name, certificate in certificates.items():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate_file, certificate.key_file)
            running = stack.enter_context(ScriptedTarget({b"/ok": (OK,)}, tls=context))
            settings += _tls_target(name, running.port, None if name == "unknown" else known)
        yield settings


def _tls_target(name: str, port: int, authority: Path | None) -> str:
    trust = f"ca_file = '{authority}'" if authority is not None else ""
    return http_target(name, port, connection=f"tls = 'verify-full'\n{trust}", host="localhost")


@pytest.fixture(scope="module")
def deaf() -> Iterator[int]:
    """A port at which connections are not taken: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@pytest.fixture(scope="module")
def gateway(target: ScriptedTarget, tls_targets: str, deaf: int) -> Iterator[GatewayServer]:
    extra = http_target("crm", target.port, "answer_timeout_s = 60.0\nmax_held_bytes = 65536")
    extra += http_target("slow", target.port, f"answer_timeout_s = {SLOW_S}\nmax_held_bytes = 65536")
    extra += http_target("down", free_port())
    extra += http_target("deaf", deaf)
    extra += http_target("nowhere", 80, host="no-such-host.invalid")
    extra += tls_targets
    options = GatewayOptions(http=True, http_extra="connect_timeout_s = 1.0", extra=extra)
    with GatewayServer(NO_DATABASE, options) as running:
        yield running


class Visit:
    """One connection of a client that is known by its name on record."""

    def __init__(self, gateway: GatewayServer, connection: str) -> None:
        self.name = f"visit-{next(_numbers)}"
        self._gateway = gateway
        self._prefix = f"/c/{connection}"
        self._token = gateway.token()

    def request(self, path: bytes, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
        lines = (
            f"{method} {self._prefix}{path.decode()} HTTP/1.1",
            "Host: gateway",
            f"Authorization: Bearer {self._token}",
            f"User-Agent: {self.name}",
            *([f"Content-Length: {len(body)}"] if body else []),
            *fields,
        )
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def ask(self, path: bytes, method: str = "GET", body: bytes = b"") -> bytes:
        """One request on a connection of its own: everything that comes back."""
        return self.talk(self.request(path, "Connection: close", method=method, body=body))

    def talk(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._gateway.http_port), TIMEOUT_S) as client:
            client.sendall(data)
            return read_all(client)

    def outcomes(self) -> list[tuple[str, str]]:
        """Status and tag of each operation that was decided, with nothing where its end is not on record."""
        found = session_records(self._gateway, self.name)
        ends = {
            record.number: (record.status, record.tag) for record in found if isinstance(record, OperationCompleted)
        }
        return [ends.get(record.number, ("", "")) for record in found if isinstance(record, OperationDecided)]


def problem(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    found: dict[str, object] = json.loads(body)
    return found


@pytest.mark.parametrize("connection", ["down", "nowhere", "deaf", "plain", "wrong-host", "expired", "unknown"])
def test_a_target_that_cannot_be_reached(gateway: GatewayServer, connection: str) -> None:
    visit = Visit(gateway, connection)
    answer = visit.ask(b"/ok", method="POST", body=b"x")
    assert statuses(answer) == (502,)
    assert "target" in str(problem(answer)["detail"])
    assert visit.outcomes() == [("failed", "502")]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", BEFORE_HEAD)
def test_a_target_that_breaks_off_before_its_answer(
    gateway: GatewayServer, target: ScriptedTarget, name: str, method: str
) -> None:
    visit, before = Visit(gateway, "crm"), len(target.got)
    answer = visit.ask(_path("head", name), method)
    assert statuses(answer) == (502,)
    assert ("Look before you send it again" in str(problem(answer))) is (method == "POST")
    assert visit.outcomes() == [("interrupted", "502")]
    assert len(target.got) == before + 1


@pytest.mark.parametrize("name", IN_BODY)
def test_a_target_that_breaks_off_in_its_answer(gateway: GatewayServer, name: str) -> None:
    visit = Visit(gateway, "crm")
    answer = visit.ask(_path("body", name))
    assert statuses(answer) == (200,)
    assert answer.count(b"only") <= 1
    assert not answer.endswith(b"0\r\n\r\n")
    assert visit.outcomes() == [("interrupted", "200")]


@pytest.mark.parametrize("name", GARBAGE)
def test_a_target_that_talks_nonsense(gateway: GatewayServer, name: str) -> None:
    visit = Visit(gateway, "crm")
    answer = visit.ask(_path("garbage", name))
    assert statuses(answer) == (502,)
    assert "cannot be passed on" in str(problem(answer)["detail"])
    assert visit.outcomes() == [("interrupted", "502")]


@pytest.mark.parametrize("path", [b"/silent", b"/silent-in-the-head"])
def test_a_target_that_says_nothing(gateway: GatewayServer, path: bytes) -> None:
    visit = Visit(gateway, "slow")
    answer = visit.ask(path)
    assert (statuses(answer), problem(answer)["status"]) == ((504,), 504)
    assert visit.outcomes() == [("interrupted", "504")]


def test_a_target_that_stops_in_its_answer(gateway: GatewayServer) -> None:
    visit = Visit(gateway, "slow")
    assert visit.ask(b"/silent-in-the-body").endswith(b"only")
    assert visit.outcomes() == [("interrupted", "200")]


# ---------------------------------------------------------------- connections that are kept


@pytest.mark.parametrize("ending", [CUT, RESET])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_request_on_a_connection_that_was_closed_is_sent_again(
    gateway: GatewayServer, target: ScriptedTarget, method: str, ending: str
) -> None:
    path = f"/again-{next(_numbers)}".encode()
    target.answers[path] = Turns((OK,), (ending,), (OK,))
    visit, connections, before = Visit(gateway, "crm"), target.connections, len(target.got)
    answer = visit.talk(visit.request(path) + visit.request(path, "Connection: close", method=method))
    assert statuses(answer) == (200, 200)
    assert target.connections == connections + 2
    assert len(target.got) == before + 3
    assert visit.outcomes() == [("completed", "200")] * 2


def test_it_is_sent_again_only_once(gateway: GatewayServer, target: ScriptedTarget) -> None:
    path = b"/never-again"
    target.answers[path] = Turns((OK,), (CUT,))
    visit, before = Visit(gateway, "crm"), len(target.got)
    answer = visit.talk(visit.request(path) + visit.request(path, "Connection: close"))
    assert statuses(answer) == (200, 502)
    assert len(target.got) == before + 3
    assert visit.outcomes() == [("completed", "200"), ("interrupted", "502")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PURGE"])
def test_a_request_that_may_have_done_something_is_not(
    gateway: GatewayServer, target: ScriptedTarget, method: str
) -> None:
    path = f"/once-{method}".encode()
    target.answers[path] = Turns((OK,), (CUT,), (OK,))
    visit, before = Visit(gateway, "crm"), len(target.got)
    answer = visit.talk(visit.request(path) + visit.request(path, "Connection: close", method=method))
    assert statuses(answer) == (200, 502)
    assert len(target.got) == before + 2
    assert visit.outcomes() == [("completed", "200"), ("interrupted", "502")]


def test_half_an_answer_is_not_asked_for_again(gateway: GatewayServer, target: ScriptedTarget) -> None:
    path = b"/half"
    target.answers[path] = Turns((OK,), (HEAD + b"only", CUT), (OK,))
    visit, before = Visit(gateway, "crm"), len(target.got)
    answer = visit.talk(visit.request(path) + visit.request(path) + visit.request(b"/ok"))
    assert statuses(answer) == (200, 200)
    assert len(target.got) == before + 2


def test_a_target_that_closes_every_time(gateway: GatewayServer, target: ScriptedTarget) -> None:
    target.answers[b"/closing"] = (OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), CUT)
    visit, connections = Visit(gateway, "crm"), target.connections
    requests = visit.request(b"/closing") * 5 + visit.request(b"/closing", "Connection: close")
    assert statuses(visit.talk(requests)) == (200,) * 6
    assert target.connections == connections + 6
    assert visit.outcomes() == [("completed", "200")] * 6


def test_what_a_target_says_unasked_is_for_nobody(gateway: GatewayServer, target: ScriptedTarget) -> None:
    target.answers[b"/talkative"] = (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",)
    visit, connections = Visit(gateway, "crm"), target.connections
    answer = visit.talk(visit.request(b"/talkative") * 3 + visit.request(b"/ok", "Connection: close"))
    assert statuses(answer) == (200,) * 4
    assert b"evil" not in answer
    assert target.connections == connections + 4


# ---------------------------------------------------------------- requests that are under way


UPLOAD = bytes(1 << 20)


def _upload(visit: Visit, path: bytes) -> bytes:
    return visit.request(path, "Connection: close", method="POST", body=UPLOAD)


def test_an_answer_before_the_request_is_over(gateway: GatewayServer, target: ScriptedTarget) -> None:
    """The client gets it, and nothing that it still sends is taken for another request."""
    target.early[b"/early"] = (OK.replace(b"200 OK", b"413 Too Large"), CUT)
    visit = Visit(gateway, "crm")
    answer = visit.talk(_upload(visit, b"/early")[: 1 << 18] + visit.request(b"/ok"))
    assert statuses(answer) == (413,)
    assert visit.outcomes() == [("failed", "413")]


@pytest.mark.parametrize("ending", [CUT, RESET])
def test_a_target_that_breaks_off_in_the_request(gateway: GatewayServer, target: ScriptedTarget, ending: str) -> None:
    target.early[b"/impatient"] = (ending,)
    visit = Visit(gateway, "crm")
    answer = visit.talk(_upload(visit, b"/impatient"))
    assert statuses(answer) == (502,)
    assert visit.outcomes() == [("interrupted", "502")]


def test_a_target_that_does_not_read(gateway: GatewayServer, target: ScriptedTarget, step: Step) -> None:
    target.early[b"/full"] = (step,)
    visit = Visit(gateway, "slow")
    with socket.create_connection(("127.0.0.1", gateway.http_port), TIMEOUT_S) as client:
        client.sendall(visit.request(b"/full", "Content-Length: 1000000000", method="POST"))
        client.settimeout(SLOW_S / 4)
        with suppress(TimeoutError):
            while True:
                client.sendall(UPLOAD)
        client.settimeout(TIMEOUT_S)
        assert statuses(client.recv(1 << 16)) == (504,)
    assert visit.outcomes() == [("interrupted", "504")]


def test_nothing_of_it_was_an_error_of_the_gateway(gateway: GatewayServer) -> None:
    """Runs last."""
    assert '"level": "error"' not in gateway.log()
