"""Real clients through the forward proxy, told of it by their environment only."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.browser import CERTUTIL, PROGRAM, running_browser
from tests.clients.forward_clients import PYTHON_CLIENTS, environment, run_client
from tests.e2e.forward import Forward, running_forward
from tests.servers.certificates import CertificateAuthority

CLIENTS = ("curl", *PYTHON_CLIENTS)


@pytest.fixture(scope="module")
def forward(certificate_authority: CertificateAuthority) -> Iterator[Forward]:
    with running_forward(certificate_authority) as running:
        yield running


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_of_the_proxy(forward: Forward, client: str) -> None:
    variables = environment(forward.gateway.proxy_url(), forward.authority_file)
    by_tls = run_client(client, f"https://{forward.secure_authority}/hello", variables)
    plain = run_client(client, f"http://localhost:{forward.plain.port}/hello", variables)
    for done in (by_tls, plain):
        assert done.returncode == 0, done.stderr
        assert '"path": "/hello"' in done.stdout
        assert "200" in done.stdout
    assert "planted-key" in str(forward.plain.received[-1].headers)
    unknown = run_client(client, f"https://localhost:{forward.unknown.port}/hello", variables)
    assert unknown.returncode != 0
    assert "403" in unknown.stderr
    assert forward.unknown.received == []


@pytest.mark.skipif(PROGRAM is None or CERTUTIL is None, reason="needs Chromium and certutil: tools/system_packages.sh")
async def test_a_browser(forward: Forward, tmp_path: Path) -> None:
    token = forward.gateway.token()
    secure = f"https://{forward.secure_authority}"
    async with running_browser(tmp_path, forward.gateway.proxy_port, "agent", token, forward.authority_file) as browser:
        assert json.loads(await browser.visit(f"{secure}/hello?a=1"))["path"] == "/hello?a=1"
        assert browser.logins == 1
        posted = "fetch('/things', {method: 'POST', body: 'x'}).then(answer => answer.text())"
        assert json.loads(await browser.evaluate(posted))["body"] == "x"
        refused = "fetch('/volumes/1', {method: 'DELETE'}).then(answer => answer.text())"
        assert json.loads(await browser.evaluate(refused))["rules"] == ["no-delete"]
        assert "ERR_TUNNEL_CONNECTION_FAILED" in await browser.visit(f"https://localhost:{forward.unknown.port}/x")
        plain = await browser.visit(f"http://localhost:{forward.plain.port}/plain")
        assert json.loads(plain)["path"] == "/plain"
    assert forward.unknown.received == []
    assert token not in str([received.headers for received in forward.secure.received])
