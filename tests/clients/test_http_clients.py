"""Real HTTP clients: what they see through the gateway is what they see without it."""

import re
import ssl
import subprocess
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.clients.http_scenarios import (
    with_aiohttp,
    with_curl,
    with_httpx,
    with_httpx2,
    with_node,
    with_requests,
    with_urllib,
)
from tests.clients.http_scenarios.httpx_kin import visit_with
from tests.servers.asgi_service import LARGE, AsgiService
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.nginx import Nginx, nginx_program

VISITS: dict[str, Callable[[str, dict[str, str]], list[object]]] = {
    "requests": with_requests.visit,
    "httpx": with_httpx.visit,
    "httpx2": with_httpx2.visit,
    "aiohttp": with_aiohttp.visit,
    "urllib": with_urllib.visit,
    "curl": with_curl.visit,
    "node": with_node.visit,
}
TEXT = "".join(f"line {number}\n" for number in range(1000)).encode()
needs_nginx = pytest.mark.skipif(nginx_program() is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def service() -> Iterator[AsgiService]:
    with AsgiService() as running:
        yield running


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    with Nginx(files={"large.bin": LARGE, "text.txt": TEXT}, http="gzip on; gzip_types text/plain;") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: AsgiService, request: pytest.FixtureRequest) -> Iterator[GatewayServer]:
    extra = http_target("app", service.port)
    if nginx_program() is not None:
        extra += http_target("files", request.getfixturevalue("nginx").port)
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, extra=extra)) as running:
        yield running


def on_the_way(seen: object, gateway: GatewayServer, service: AsgiService) -> str:
    """What was seen, with the addresses of both ways written alike."""
    text = repr(seen).replace("/c/app/", "/")
    return re.sub(rf"127\.0\.0\.1:({gateway.http_port}|{service.port})", "SERVER", text)


def assert_same(through: list[object], directly: list[object], gateway: GatewayServer, service: AsgiService) -> None:
    for number, (one, other) in enumerate(zip(through, directly, strict=True)):
        assert on_the_way(one, gateway, service) == on_the_way(other, gateway, service), number


@pytest.mark.parametrize("client", VISITS)
def test_the_same_through_the_gateway(gateway: GatewayServer, service: AsgiService, client: str) -> None:
    if client == "node" and with_node.NODE is None:
        pytest.skip("Node.js is not installed")
    headers = {"Authorization": f"Bearer {gateway.token()}", "X-Two": "2"}
    visit = VISITS[client]
    directly = visit(f"http://127.0.0.1:{service.port}", headers)
    assert_same(visit(gateway.http_url("app"), headers), directly, gateway, service)


def test_the_same_over_http2(gateway: GatewayServer, service: AsgiService) -> None:
    headers = {"Authorization": f"Bearer {gateway.token()}", "X-Two": "2"}
    context = ssl.create_default_context(cafile=str(gateway.certificate_file))
    directly = visit_with(httpx, f"http://127.0.0.1:{service.port}", headers)
    through = visit_with(httpx, gateway.http_url("app", tls=True), headers, http2=True, http1=False, verify=context)
    assert_same(through, directly, gateway, service)


RANGES = (
    "bytes=0-9",
    "bytes=-10",
    "bytes=100-",
    "bytes=0-0,10-19",
    "bytes=9999999-",
    "bytes=5-2",
    "lines=1-2",
    "bytes=",
)


@needs_nginx
@pytest.mark.parametrize("path", ["/large.bin", "/text.txt"])
def test_ranges_and_conditions_of_nginx(gateway: GatewayServer, nginx: Nginx, path: str) -> None:
    def ask(base: str, **fields: str) -> tuple[object, ...]:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        answer = httpx.get(base + path, headers={"Authorization": f"Bearer {token}", **named}, trust_env=False)
        told = {name: answer.headers.get(name) for name in ("content-range", "content-length", "etag", "last-modified")}
        body = re.sub(rb"--[0-9]{8,}", b"--boundary", answer.content)
        return answer.status_code, told, body

    token = gateway.token()
    whole = httpx.get(f"http://127.0.0.1:{nginx.port}{path}", trust_env=False, headers={"Accept-Encoding": "identity"})
    tag, changed = whole.headers["etag"], whole.headers["last-modified"]
    asked: list[dict[str, str]] = [{"Range": wanted, "Accept_Encoding": "identity"} for wanted in RANGES]
    asked += [{"Range": "bytes=0-9", "If_Range": tag}, {"Range": "bytes=0-9", "If_Range": '"other"'}]
    asked += [{"If_None_Match": tag}, {"If_None_Match": "*"}, {"If_Match": '"other"'}, {"If_Modified_Since": changed}]
    asked += [{}, {"Accept_Encoding": "gzip"}, {"Accept_Encoding": "br;q=1.0, gzip;q=0.5"}]
    for fields in asked:
        directly = ask(f"http://127.0.0.1:{nginx.port}", **fields)
        assert ask(gateway.http_url("files"), **fields) == directly, fields


@needs_nginx
def test_a_download_that_goes_on_where_it_ended(gateway: GatewayServer, tmp_path: object) -> None:
    file = f"{tmp_path}/large.bin"
    url, token = f"{gateway.http_url('files')}/large.bin", gateway.token()
    command = ["curl", "-q", "-sS", "-H", f"Authorization: Bearer {token}", "-o", file]
    subprocess.run([*command, "-r", "0-99999", url], check=True, timeout=60)
    subprocess.run([*command, "-C", "-", url], check=True, timeout=60)
    with open(file, "rb") as downloaded:  # noqa: PTH123
        assert downloaded.read() == LARGE
