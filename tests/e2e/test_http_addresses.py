"""How targets are addressed on the reverse listener, and how they address themselves: names, redirects, cookies."""

from collections.abc import Iterator

import httpx2
import pytest
from aiohttp import web

from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService


async def _redirect(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": request.query["to"]})


async def _cookies(request: web.Request, body: bytes) -> web.StreamResponse:
    answer = web.Response()
    for cookie in request.query.getall("cookie"):
        answer.headers.add("Set-Cookie", cookie)
    return answer


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService(redirect=_redirect, cookies=_cookies) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    named = http_target("named", service.port, "server_names = ['crm.test', '*.crm.test']\nbase_path = '/v2'")
    extra = http_target("crm", service.port) + named
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, extra=extra)) as running:
        yield running


@pytest.fixture
def client(gateway: GatewayServer) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {gateway.token()}"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{gateway.http_port}", headers=headers) as client:
        yield client


@pytest.mark.parametrize("host", ["crm.test", "CRM.test:8080", "eu.crm.test"])
def test_by_host_name(client: httpx2.Client, host: str) -> None:
    answer = client.get("/customers/7", headers={"Host": host})
    assert answer.json()["path"] == "/v2/customers/7"


@pytest.mark.parametrize("host", ["other.test", "crm.test.evil.test", "evilcrm.test", "x..crm.test"])
def test_other_host_names_lead_nowhere(client: httpx2.Client, service: HttpService, host: str) -> None:
    before = len(service.received)
    assert client.get("/customers/7", headers={"Host": host}).status_code in (400, 403)
    assert len(service.received) == before


@pytest.mark.parametrize(
    ("to", "seen"),
    [
        ("/login?next=1", "/c/crm/login?next=1"),
        ("http://127.0.0.1:{port}/login", "/c/crm/login"),
        ("http://127.0.0.1:{port}", "/c/crm/"),
        ("login", "login"),
        ("//elsewhere.test/x", "//elsewhere.test/x"),
        ("http://127.0.0.1:{port}.evil.test/x", "http://127.0.0.1:{port}.evil.test/x"),
        ("https://elsewhere.test/x", "https://elsewhere.test/x"),
    ],
)
def test_redirects_to_the_target_itself_stay_behind_the_gateway(
    client: httpx2.Client, service: HttpService, to: str, seen: str
) -> None:
    answer = client.get("/c/crm/redirect", params={"to": to.format(port=service.port)})
    assert (answer.status_code, answer.headers["Location"]) == (302, seen.format(port=service.port))


@pytest.mark.parametrize(
    ("cookie", "seen"),
    [
        ("a=1; Path=/; HttpOnly", "a=1; Path=/c/crm/; HttpOnly"),
        ("a=1; path=/app; Secure", "a=1; Path=/c/crm/app; Secure"),
        ("a=1; Domain=127.0.0.1; SameSite=Lax", "a=1; SameSite=Lax"),
        ("a=1; Path=relative", "a=1"),
        ("a=1", "a=1"),
    ],
)
def test_cookies_are_for_their_connection_only(client: httpx2.Client, cookie: str, seen: str) -> None:
    assert client.get("/c/crm/cookies", params={"cookie": cookie}).headers["Set-Cookie"] == seen
