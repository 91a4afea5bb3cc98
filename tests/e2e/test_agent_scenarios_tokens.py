"""What somebody has who has stolen a caller's token, which is good for little, or a target's key, good for nothing."""

import base64
import http.client
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import psycopg
import pytest

from interlock.core.ledger import ConnectionRefused
from tests.e2e.forger import HOSTILE, Forger
from tests.e2e.ledger_files import records_of, refusals
from tests.e2e.locking import connect, wait_for
from tests.e2e.proxy_wire import ProxyWire, basic
from tests.e2e.wire import WireClient, WireError
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService
from tests.servers.postgres import PostgresServer

POLICY = """
@id("agents-have-the-crm") permit (principal in Group::"testers", action, resource in Connection::"crm");
@id("ci-has-one-address") forbid (principal == Agent::"ci", action, resource)
unless { context.client.address == "127.0.0.1" };
"""
LEAKED = "sk-live-target-key-0123456789"
SHORT_S = 2


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService() as running:
        yield running


@pytest.fixture(scope="module")
def payroll() -> Iterator[HttpService]:
    with HttpService() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(target: Endpoint, service: HttpService, payroll: HttpService) -> Iterator[GatewayServer]:
    key = "credential = { sealed = true }"
    bearer = 'credential_as = "bearer"'
    extra = http_target("crm", service.port, bearer, key) + http_target("payroll", payroll.port, bearer, key)
    with GatewayServer(target, GatewayOptions(http=True, policy=POLICY, extra=extra)) as running:
        file = running.directory / "leaked"
        file.write_text(LEAKED)
        for connection in ("crm", "payroll"):
            running.command("connections", "set-credential", connection, "--file", str(file))
        yield running


@pytest.fixture(scope="module")
def forger(gateway: GatewayServer) -> Forger:
    return Forger(gateway)


@dataclass(frozen=True)
class Told:
    """What came back: a status, and everything that was said with it."""

    status: int
    text: str


def _reverse(gateway: GatewayServer, source: str = "", **fields: str) -> Told:
    connection = http.client.HTTPConnection(
        "127.0.0.1", gateway.http_port, timeout=30, source_address=(source, 0) if source else None
    )
    connection.request("GET", "/c/crm/things", headers={name.replace("_", "-"): text for name, text in fields.items()})
    response = connection.getresponse()
    told = Told(response.status, f"{response.headers}\n{response.read().decode()}")
    connection.close()
    return told


def by_bearer(gateway: GatewayServer, service: HttpService, token: str) -> Told:
    return _reverse(gateway, Authorization=f"Bearer {_sendable(token)}")


def by_basic(gateway: GatewayServer, service: HttpService, token: str) -> Told:
    encoded = base64.b64encode(f"agent:{token}".encode()).decode()
    return _reverse(gateway, Authorization=f"Basic {encoded}")


def by_own_field(gateway: GatewayServer, service: HttpService, token: str) -> Told:
    return _reverse(gateway, Interlock_Token=_sendable(token))


def by_proxy(gateway: GatewayServer, service: HttpService, token: str) -> Told:
    with ProxyWire(gateway.proxy_port, token) as wire:
        host = f"127.0.0.1:{service.port}"
        encoded = base64.b64encode(f"agent:{token}".encode()).decode()
        answer = wire.get(f"http://{host}/things", host, f"Proxy-Authorization: Basic {encoded}")
    return Told(answer.status, f"{answer.headers}\n{answer.body.decode()}")


def by_connect(gateway: GatewayServer, service: HttpService, token: str) -> Told:
    with ProxyWire(gateway.proxy_port, None) as wire:
        encoded = base64.b64encode(f"agent:{token}".encode()).decode()
        answer = wire.connect(f"127.0.0.1:{service.port}", f"Proxy-Authorization: Basic {encoded}")
    return Told(answer.status, f"{answer.headers}\n{answer.body.decode()}")


def _sendable(token: str) -> str:
    """Bytes of UTF-8 as characters that go into a field; no control byte is a value of one."""
    return "".join(letter for letter in token.encode().decode("latin-1") if letter >= " " and letter != "\x7f")


Way = Callable[[GatewayServer, HttpService, str], Told]
WAYS: dict[str, Way] = {
    "bearer": by_bearer,
    "basic": by_basic,
    "a field of its own": by_own_field,
    "the proxy": by_proxy,
    "a tunnel": by_connect,
}


@pytest.mark.parametrize("way", WAYS)
def test_scenario_8_a_token_that_is_right_would_do(
    gateway: GatewayServer, forger: Forger, service: HttpService, way: str
) -> None:
    before = len(service.received)
    assert WAYS[way](gateway, service, forger.sign(forger.claims())).status == 200
    assert len(service.received) == before + (way != "a tunnel")


@pytest.mark.parametrize("kind", HOSTILE)
def test_scenario_8_hostile_tokens(gateway: GatewayServer, forger: Forger, service: HttpService, kind: str) -> None:
    """Changed, unsigned, foreign, expired: refused in every way that a token can be shown, and never repeated."""
    before, refused_before = len(service.received), len(records_of(gateway, ConnectionRefused))
    token = HOSTILE[kind](forger)
    for way, ask in WAYS.items():
        told = ask(gateway, service, token)
        assert told.status in ((407, 400, 431) if way in ("the proxy", "a tunnel") else (401, 400, 431)), way
        assert token not in told.text
    assert len(service.received) == before
    assert all(token not in repr(one) for one in records_of(gateway, ConnectionRefused)[refused_before:])


def test_scenario_8_elsewhere(
    gateway: GatewayServer, postgres: PostgresServer, service: HttpService, payroll: HttpService
) -> None:
    """A genuine token, for what its owner may not use: the same answer as for what is not there."""
    mark, before, refused_before = postgres.log_position(), len(service.received), len(refusals(gateway, 0))
    token = gateway.token("ci")
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(timeout=30, headers=headers) as client:
        for connection in ("payroll", "shop", "nowhere"):
            answer = client.get(gateway.http_url(connection))
            assert answer.status_code == 403
            assert f'connection "{connection}" does not exist or ci may not use it' in answer.json()["detail"]
    with ProxyWire(gateway.proxy_port, token) as wire:
        for port in (payroll.port, postgres.port, gateway.api_port, gateway.admin_port, 9):
            host = f"127.0.0.1:{port}"
            refused = wire.get(f"http://{host}/", host, f"Proxy-Authorization: {basic(token)}")
            assert refused.status == 403
            assert "is the host of no connection that ci may use" in refused.json["detail"]
            with ProxyWire(gateway.proxy_port, token) as other:
                assert other.connect(host).status == 403
    for database in ("shop", "crm", "payroll", "shop/postgres"):
        with pytest.raises(psycopg.OperationalError, match="does not exist or ci may not use it"):
            connect(gateway.endpoint(token), dbname=database)
    api = gateway.api(token)
    for path in ("/v1/sessions/live", "/v1/connections", "/v1/identities", "/v1/policy"):
        assert api.get(path).status == 403, path
    assert api.request("POST", "/v1/locks", {"subject_kind": "agent", "subject": "x", "reason": "x"}).status == 403
    assert _reverse(gateway, source="127.0.0.2", Authorization=f"Bearer {token}").status == 403
    assert (len(service.received), payroll.received) == (before, [])
    assert postgres.log_position() == mark
    kept = refusals(gateway, refused_before + 18)[refused_before:]
    assert {(one.protocol, one.principal) for one in kept} == {("http", "ci"), ("postgres", "ci")}


@pytest.mark.parametrize("end", ["expires", "disabled"])
def test_scenario_8_later(gateway: GatewayServer, service: HttpService, end: str) -> None:
    """A connection that is open, and whoever comes anew, by every listener: nobody is let on when the token is over."""
    name = f"later-{end}"
    token = gateway.token(name, ttl_s=SHORT_S if end == "expires" else 900)
    shown = f"http://127.0.0.1:{service.port}/things"
    with (
        httpx2.Client(base_url=gateway.http_url("crm"), headers={"Authorization": f"Bearer {token}"}) as reverse,
        httpx2.Client(proxy=gateway.proxy_url(token)) as forward,
    ):
        began_s = time.monotonic()
        answers = [reverse.get("/things"), forward.get(shown)]
        if end == "disabled":
            assert [answer.status_code for answer in answers] == [200, 200]
            gateway.command("identities", "add", name, "--kind", "agent")
            gateway.command("identities", "disable", name)
        else:
            wait_for(lambda: time.monotonic() > began_s + SHORT_S, "the token's end")
        before = len(service.received)
        assert _ended(lambda: reverse.get("/things")) == 401
        assert _ended(lambda: forward.get(shown)) == 407
    for way, ask in WAYS.items():
        told = ask(gateway, service, token)
        assert told.status in (401, 407), way
        assert ("expired" if end == "expires" else "disabled") in told.text
    with pytest.raises(psycopg.OperationalError):
        connect(gateway.endpoint(token))
    assert gateway.api(token).get("/v1/whoami").status == 401
    assert len(service.received) == before


def _ended(ask: Callable[[], httpx2.Response]) -> int:
    """The status, also where the connection that was open has been cut first."""
    try:
        return ask().status_code
    except httpx2.RemoteProtocolError:
        return ask().status_code


@pytest.mark.parametrize("key", ["the API's", "the database's"])
def test_scenario_3_a_targets_key_is_no_identity(
    gateway: GatewayServer, postgres: PostgresServer, target: Endpoint, service: HttpService, key: str
) -> None:
    """What an agent found in a file opens the target, perhaps, but never the gateway; and nobody is told what it is."""
    found = target.password if key == "the database's" else LEAKED
    mark, before = postgres.log_position(), len(service.received)
    for way, ask in WAYS.items():
        told = ask(gateway, service, found)
        assert told.status in (401, 407, 400), way
        assert found not in told.text
    with WireClient(gateway.port, gateway.certificate_file) as client, pytest.raises(WireError) as caught:
        client.log_in(found)
    assert caught.value.code == "28P01"
    assert gateway.api(found).get("/v1/whoami").status == 401
    assert len(service.received) == before
    assert postgres.log_position() == mark
    said = "".join(map(repr, records_of(gateway, ConnectionRefused))) + gateway.log()
    assert found not in said


def test_scenario_3_the_key_that_is_used_is_the_gateways(gateway: GatewayServer, service: HttpService) -> None:
    """An agent that shows the leaked key beside its own token does not get it to the target."""
    other = "sk-another-key"
    token = gateway.token()
    assert _reverse(gateway, Authorization=f"Bearer {other}", Interlock_Token=token).status == 200
    assert service.received[-1].headers["authorization"] == f"Bearer {LEAKED}"
    assert not [value for value in service.received[-1].headers.values() if other in value or token in value]
