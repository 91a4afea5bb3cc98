"""What HTTP targets are shown, on the wire: the gateway's own credential in every form, and never the caller's."""

import asyncio
import base64
import http.client
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.ledger_files import records
from tests.servers.certificates import CertificateAuthority
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService
from tests.servers.token_endpoint import CLIENT, SECRET, TokenEndpoint

PLANTED = "planted-credential"
SEALED = 'tls = "disable"\ncredential = { sealed = true }\n'
WAYS = {
    "bearer": ("authorization", f"Bearer {PLANTED}"),
    "basic": ("authorization", "Basic " + base64.b64encode(f"joe:{PLANTED}".encode()).decode()),
    "header:X-Api-Key": ("x-api-key", PLANTED),
}


def ask(gateway: GatewayServer, path: str, **headers: str) -> tuple[int, str]:
    """GET, on a connection of its own; status, and head and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=30)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers={"Authorization": f"Bearer {gateway.token()}"} | fields)
        answer = connection.getresponse()
        return answer.status, f"{answer.headers}{answer.read().decode()}"
    finally:
        connection.close()


def seal(gateway: GatewayServer, connection: str, secret: str) -> None:
    file = gateway.directory / "secret"
    file.write_text(secret)
    gateway.command("connections", "set-credential", connection, "--file", str(file))
    file.unlink()


def assert_nowhere(gateway: GatewayServer, *secrets: str) -> None:
    """None of the secrets is in a log, a record or a file of the data directory."""
    files = [file.read_bytes() for file in gateway.data_dir.rglob("*") if file.is_file()]
    everything = b"".join(files) + gateway.log().encode() + str(records(gateway)).encode()
    for secret in secrets:
        assert secret.encode() not in everything
        assert base64.b64encode(secret.encode()).rstrip(b"=")[:-2] not in everything


async def _repeat(request: web.Request, body: bytes) -> web.StreamResponse:
    """What careless servers do: the request's fields in the answer, and its query in a redirect."""
    fields = dict(request.headers)
    headers = {"Location": f"/elsewhere?{request.query_string}", "X-Said": str(fields)}
    return web.json_response({"fields": fields, "query": request.query_string}, headers=headers)


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService(repeat=_repeat) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    targets = [
        http_target(f"way{number}", service.port, f'credential_as = "{way}"', SEALED + 'user = "joe"')
        for number, way in enumerate(WAYS)
    ]
    targets.append(http_target("query", service.port, 'credential_as = "query:key"', SEALED))
    targets.append(http_target("unset", service.port, 'credential_as = "bearer"', SEALED))
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, extra="".join(targets))) as running:
        yield running


@pytest.mark.parametrize("number", range(len(WAYS)))
def test_a_sealed_credential_in_a_field(gateway: GatewayServer, service: HttpService, number: int) -> None:
    name, value = list(WAYS.values())[number]
    seal(gateway, f"way{number}", PLANTED)
    status, _ = ask(gateway, f"/c/way{number}/hello", X_Api_Key="mine")
    assert status == 200
    received = service.received[-1].headers
    assert received[name] == value
    assert "eyJ" not in str(received)
    assert name == "x-api-key" or received["x-api-key"] == "mine"
    assert_nowhere(gateway, PLANTED)


def test_a_credential_in_the_query(gateway: GatewayServer, service: HttpService) -> None:
    seal(gateway, "query", f"{PLANTED} &=ü")
    for query in ("", "?key=mine", "?a=1&key=mine&k%65y=mine&b=2"):
        status, _ = ask(gateway, f"/c/query/hello{query}")
        assert status == 200
        path = service.received[-1].path
        assert path.endswith("key=planted-credential%20%26%3D%C3%BC")
        assert "mine" not in path
    assert service.received[-1].path.startswith("/hello?a=1&b=2&")
    assert_nowhere(gateway, PLANTED)


@pytest.mark.parametrize("connection", ["way0", "way1", "way2", "query"])
def test_a_target_that_repeats_it(gateway: GatewayServer, service: HttpService, connection: str) -> None:
    seal(gateway, connection, PLANTED)
    status, text = ask(gateway, f"/c/{connection}/repeat", Accept_Encoding="gzip")
    assert status == 200
    assert "*" * len(PLANTED) in text
    assert PLANTED in service.received[-1].path + str(service.received[-1].headers) or connection == "way1"
    for shown in (PLANTED, base64.b64encode(f"joe:{PLANTED}".encode()).decode()):
        assert shown not in text
    assert_nowhere(gateway, PLANTED)


def test_a_credential_that_is_not_set(gateway: GatewayServer, service: HttpService) -> None:
    before = len(service.received)
    status, body = ask(gateway, "/c/unset/hello")
    assert status == 502
    assert "no credential" in body
    assert len(service.received) == before


def test_a_changed_credential_counts_without_a_restart(gateway: GatewayServer, service: HttpService) -> None:
    seal(gateway, "way0", PLANTED)
    ask(gateway, "/c/way0/hello")
    seal(gateway, "way0", "another")
    ask(gateway, "/c/way0/hello")
    assert service.received[-1].headers["authorization"] == "Bearer another"


@contextmanager
def oauth_gateway(service: HttpService, endpoint: TokenEndpoint, **options: Any) -> Iterator[GatewayServer]:
    oauth = f"""credential_as = "oauth"
[connections.billing.http.oauth]
token_url = "{endpoint.url}"
client_id = "{CLIENT}"
"""
    extra = http_target("billing", service.port, oauth, SEALED)
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, extra=extra, **options)) as gateway:
        yield gateway


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    async with TokenEndpoint() as running:
        yield running


async def _revocable(request: web.Request, body: bytes) -> web.StreamResponse:
    """Takes every token but the first one."""
    if request.headers["Authorization"] == "Bearer token-1":
        challenge = 'Bearer error="invalid_token"'
        return web.json_response({"error": "revoked"}, status=401, headers={"WWW-Authenticate": challenge})
    return web.json_response({"shown": request.headers["Authorization"] == "Bearer token-2"})


async def test_oauth(service: HttpService, endpoint: TokenEndpoint) -> None:
    with oauth_gateway(service, endpoint) as gateway:
        unset = await asyncio.to_thread(gateway.command, "connections", "test", "billing", check=False)
        assert unset.returncode != 0
        assert endpoint.forms == []
        await asyncio.to_thread(seal, gateway, "billing", SECRET)
        tried = await asyncio.to_thread(gateway.command, "connections", "test", "billing")
        assert "a token was got" in tried.stdout
        for _ in range(3):
            status, _ = await asyncio.to_thread(ask, gateway, "/c/billing/hello")
            assert status == 200
            assert service.received[-1].headers["authorization"] == "Bearer token-1"
        assert len(endpoint.forms) == 1
        assert_nowhere(gateway, SECRET, "token-1")


async def test_a_token_that_the_target_no_longer_takes(endpoint: TokenEndpoint) -> None:
    with HttpService(revocable=_revocable) as service, oauth_gateway(service, endpoint) as gateway:
        await asyncio.to_thread(seal, gateway, "billing", SECRET)
        statuses: list[int] = []
        while not statuses or statuses[-1] != 200:
            status, body = await asyncio.to_thread(ask, gateway, "/c/billing/revocable")
            statuses.append(status)
            assert len(statuses) < 1000
        assert body.endswith('{"shown": true}')
        assert set(statuses) == {200, 401}
        assert len(endpoint.forms) == 2, "not for each answer, but once it is old enough"


async def test_an_endpoint_that_gives_no_token(service: HttpService, endpoint: TokenEndpoint) -> None:
    endpoint.secret = "another"
    before = len(service.received)
    with oauth_gateway(service, endpoint) as gateway:
        await asyncio.to_thread(seal, gateway, "billing", SECRET)
        for _ in range(5):
            status, body = await asyncio.to_thread(ask, gateway, "/c/billing/hello")
            assert status == 502
            assert "invalid_client" not in body
        assert len(endpoint.forms) == 1, "it waits after a failure"
        assert "invalid_client" in gateway.log()
        assert_nowhere(gateway, SECRET)
    assert len(service.received) == before


def test_mutual_tls(certificate_authority: CertificateAuthority, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files, client = certificate_authority.issue_server(), certificate_authority.issue_client("gateway")
    context.load_cert_chain(files.certificate_file, files.key_file)
    context.load_verify_locations(certificate_authority.certificate_file)
    context.verify_mode = ssl.CERT_REQUIRED
    trust = f'tls = "verify-full"\nca_file = "{certificate_authority.certificate_file}"\n'
    pair = f'client_certificate = "{client.certificate_file}"\nclient_key = "{client.key_file}"\n'
    with HttpService(context) as service:
        targets = [
            http_target("with", service.port, connection=trust + pair),
            http_target("without", service.port, connection=trust),
            http_target("untrusting", service.port, connection='tls = "verify-full"\n' + pair),
        ]
        with GatewayServer(NO_DATABASE, GatewayOptions(http=True, extra="".join(targets))) as gateway:
            assert ask(gateway, "/c/with/hello")[0] == 200
            for connection in ("without", "untrusting"):
                status, body = ask(gateway, f"/c/{connection}/hello")
                assert status == 502, body
        assert len(service.received) == 1
