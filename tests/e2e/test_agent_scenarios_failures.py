"""A gateway whose issuer is away, whose policy has an error, and whom thousands of clients keep waiting."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import psycopg
import pytest
from aiohttp import web
from joserfc.jwk import ECKey

from interlock.core.ledger import PolicyRefused
from interlock.runtime.listener import HALF_OPEN_MAX
from tests.e2e.forger import Forger
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import connect, wait_for
from tests.e2e.process_figures import open_files, resident_kib
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService
from tests.servers.process import free_port

POLICY = """
@id("all") permit (principal, action, resource);
@id("no-deletes") forbid (principal, action == Action::"http-delete", resource);
"""
HEAD_S = 3.0
HALF_OPEN = 2000
HALVES = (
    b"",
    b"GET /c/crm/things HTTP/1.1\r\nHost: gateway\r\n",
    b"\x16\x03\x01\x02\x00",
    b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n",
)


WRONG_POLICIES = (
    'permit (principal, action, resource);\nforbid (principal, action == Action::"http-delete"',
    '@id("all") permit (principal, action, resource);\n@id("all") permit (principal, action, resource);',
    '@id("typo") permit (principal, action == Action::"http-delet", resource);',
)


class Issuer:
    """Publishes one key, or answers nothing that helps while it is away."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256")
        self.away = False

    async def keys(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if self.away:
            return web.Response(status=503)
        key = self.key.as_dict(private=False) | {"kid": self.key.thumbprint(), "use": "sig", "alg": "ES256"}
        return web.json_response({"keys": [key]})


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def published(issuer: Issuer) -> Iterator[HttpService]:
    with HttpService(keys=issuer.keys) as running:
        yield running


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService() as running:
        yield running


@pytest.fixture(scope="module")
def gone() -> str:
    """The URL of an issuer that is nowhere."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def gateway(target: Endpoint, service: HttpService, published: HttpService, gone: str) -> Iterator[GatewayServer]:
    ours = f"http://127.0.0.1:{published.port}"
    issuers = "".join(
        f"""
[[issuers]]
url = "{url}"
audience = "interlock"
jwks_url = "{url}/keys"
allow_http_loopback = true
[[identities]]
issuer = "{url}"
when = {{ sub = "*" }}
identity = "{name}:{{sub}}"
"""
        for name, url in (("ours", ours), ("gone", gone))
    )
    options = GatewayOptions(
        http=True,
        policy=POLICY,
        http_extra=f"head_timeout_s = {HEAD_S}",
        extra=http_target("crm", service.port) + issuers,
    )
    with GatewayServer(target, options) as running:
        yield running


def client_of(gateway: GatewayServer, token: str) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=gateway.http_url("crm"), headers=headers, timeout=30)


def forger_of(gateway: GatewayServer, url: str, key: ECKey) -> Forger:
    forger = Forger(gateway)
    forger.issuer, forger.key = url, key
    return forger


def test_scenario_20_the_issuer_is_away(
    gateway: GatewayServer, service: HttpService, issuer: Issuer, published: HttpService, gone: str
) -> None:
    """Nobody new gets in by it; who is in stays in; whoever has another issuer does not notice."""
    ours = forger_of(gateway, f"http://127.0.0.1:{published.port}", issuer.key)
    with client_of(gateway, ours.sign(ours.claims(sub="early"))) as early:
        assert early.get("/things").status_code == 200
        issuer.away = True
        rolled = forger_of(gateway, ours.issuer, ECKey.generate_key("P-256"))
        nowhere = forger_of(gateway, gone, ECKey.generate_key("P-256"))
        before = len(service.received)
        for forger in (rolled, nowhere):
            token = forger.sign(forger.claims(sub="late"))
            with client_of(gateway, token) as late:
                refused = late.get("/things")
            assert refused.status_code == 401
            assert gone not in refused.text
            with pytest.raises(psycopg.OperationalError):
                connect(gateway.endpoint(token))
        assert len(service.received) == before
        assert early.get("/things").status_code == 200
    with client_of(gateway, gateway.token()) as other:
        assert other.get("/things").status_code == 200


def test_scenario_20_a_policy_with_an_error(gateway: GatewayServer, service: HttpService) -> None:
    """What was pushed is refused as a whole, on record, and what was in force stays so, also for new sessions."""
    good = gateway.policy_file.read_text()
    with client_of(gateway, gateway.token("steady")) as steady:
        for number, wrong in enumerate(WRONG_POLICIES, 1):
            gateway.policy_file.write_text(wrong)
            _wait_for_refusals(gateway, number)
            before = len(service.received)
            with client_of(gateway, gateway.token("newcomer")) as newcomer:
                for client in (steady, newcomer):
                    assert client.get("/things").status_code == 200
                    assert client.delete("/things").status_code == 403
            assert len(service.received) == before + 2
        gateway.policy_file.write_text(good)
    assert all(record.problems for record in records_of(gateway, PolicyRefused))


def _wait_for_refusals(gateway: GatewayServer, count: int) -> None:
    wait_for(lambda: len(records_of(gateway, PolicyRefused)) == count, f"policy {count} is refused")


def test_scenario_20_half_open_and_slow_clients(gateway: GatewayServer, service: HttpService) -> None:
    """They wait, or send a byte now and then; others are served meanwhile, and after a while they are gone."""
    memory, files = resident_kib(gateway), open_files(gateway)
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(HALF_OPEN)]
        for number, client in enumerate(held):
            client.connect(("127.0.0.1", (gateway.http_port, gateway.proxy_port)[number % 2]))
            client.send(HALVES[number // 2 % len(HALVES)])
        slow = [client for number, client in enumerate(held) if number // 2 % len(HALVES) == 1][-50:]
        wait_for(lambda: open_files(gateway) > files + HALF_OPEN_MAX, "many are held at the same time")
        began_s = time.monotonic()
        with client_of(gateway, gateway.token("honest")) as honest:
            for _ in range(20):
                assert honest.get("/things").status_code == 200
                _drip(slow)
        proxied = httpx2.get(f"http://127.0.0.1:{service.port}/things", proxy=gateway.proxy_url(), timeout=30)
        assert proxied.status_code == 200
        with connect(gateway.endpoint()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert open_files(gateway) < files + 2 * HALF_OPEN_MAX + 50, "by each of the two listeners"
        assert resident_kib(gateway) - memory < 60_000
        while time.monotonic() < began_s + HEAD_S + 0.5:
            _drip(slow)
            time.sleep(0.1)
        wait_for(lambda: open_files(gateway) < files + 50, "they are gone")
        assert all(_was_told(client) for client in slow), "with a word about why"
    with client_of(gateway, gateway.token("honest")) as honest:
        assert honest.get("/things").status_code == 200
    assert "session failed" not in gateway.log()


def _drip(clients: list[socket.socket]) -> None:
    for client in clients:
        try:
            client.send(b"X")
        except OSError:
            continue


def _was_told(client: socket.socket) -> bool:
    """Whether the client was answered that it was too slow."""
    client.settimeout(10)
    return client.recv(65_536).startswith(b"HTTP/1.1 408")
