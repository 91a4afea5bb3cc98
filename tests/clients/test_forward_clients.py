"""Real clients through the forward proxy, told of it by their environment only."""

import json
import subprocess
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


def test_a_proxy_behind_tls(forward: Forward) -> None:
    """What a client on another machine does: TLS to the proxy, and inside of it TLS to whoever it believes there."""
    gateway = forward.gateway
    proxy = f"https://agent:{gateway.token()}@localhost:{gateway.proxy_port}"
    command = ["curl", "--silent", "--show-error", "--proxy", proxy, "--proxy-cacert", str(gateway.certificate_file)]
    command += ["--cacert", str(forward.authority_file), "--write-out", " %{http_code}"]
    for url in (f"https://{forward.secure_authority}/one", f"http://localhost:{forward.plain.port}/one"):
        done = subprocess.run([*command, url], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert '"path": "/one"' in done.stdout
        assert done.stdout.endswith(" 200")
    body = ["--data-binary", f"@{forward.authority_file}", "--header", "Content-Type: text/plain"]
    url = f"https://{forward.secure_authority}/two"
    done = subprocess.run([*command, *body, url], capture_output=True, text=True, timeout=60, check=True)
    assert "BEGIN CERTIFICATE" in done.stdout


@pytest.mark.skipif(PROGRAM is None or CERTUTIL is None, reason="needs Chromium and certutil: tools/system_packages.sh")
async def test_a_browser(forward: Forward, tmp_path: Path) -> None:
    token = forward.gateway.token()
    secure = f"https://{forward.secure_authority}"
    async with running_browser(tmp_path, forward.authority_file, forward.gateway.proxy_port, "agent", token) as browser:
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
