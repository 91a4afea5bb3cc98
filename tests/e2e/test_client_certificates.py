"""Workloads that log in with a client certificate and nothing else: real PostgreSQL and HTTP clients."""

import datetime
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psycopg
import pytest
from cryptography import x509

from interlock.core.ledger import SessionOpened
from interlock.core.settings import OWN_CONNECTION
from tests.adapters.identity.spire import WORKLOAD, Holder, Spire
from tests.e2e.ledger_files import records_of, refusals
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import CONNECTION, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService
from tests.servers.postgres import client_program

NAME = "spiffe:crm-reader"


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService() as running:
        yield running


@pytest.fixture(scope="module")
def spire() -> Spire:
    return Spire(time.time())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spire")


@pytest.fixture(scope="module")
def gateway(target: Endpoint, service: HttpService, spire: Spire, directory: Path) -> Iterator[GatewayServer]:
    bundle = spire.write_bundle(directory / "bundle.json")
    settings = f"""
[[trust_domains]]
name = "example.org"
bundle_file = "{bundle}"
audience = "interlock.example.org"

[[identities]]
issuer = "spiffe://example.org"
when = {{ sub = "spiffe://example.org/ns/agents/*" }}
identity = "{NAME}"
groups = ["testers"]
owner = "ada"
"""
    extra = http_target("crm", service.port)
    with GatewayServer(target, GatewayOptions(http=True, extra=extra + settings)) as running:
        yield running


@pytest.fixture(scope="module")
def files(spire: Spire, directory: Path) -> tuple[Path, Path]:
    """The workload's certificate and key."""
    return spire.holder().write(directory)


def written(directory: Path, holder: Holder) -> tuple[Path, Path]:
    return holder.write(directory, f"client-{len(list(directory.iterdir()))}")


def conninfo(gateway: GatewayServer, files: tuple[Path, Path], **more: str) -> str:
    words = {
        "host": "127.0.0.1",
        "port": str(gateway.port),
        "user": "anybody",
        "dbname": CONNECTION,
        "sslmode": "verify-full",
        "sslrootcert": str(gateway.certificate_file),
        "sslcert": str(files[0]),
        "sslkey": str(files[1]),
        "connect_timeout": "10",
        **more,
    }
    return " ".join(f"{name}={value}" for name, value in words.items())


def psql(gateway: GatewayServer, files: tuple[Path, Path], **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    command = [str(client_program("psql")), "-wAtX", "-c", "SELECT 1 + 1", conninfo(gateway, files, **more)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def context(gateway: GatewayServer, files: tuple[Path, Path] | None) -> ssl.SSLContext:
    trusting = ssl.create_default_context(cafile=str(gateway.certificate_file))
    if files is not None:
        trusting.load_cert_chain(*files)
    return trusting


def get(gateway: GatewayServer, files: tuple[Path, Path] | None, path: str = "crm", **headers: str) -> httpx.Response:
    with httpx.Client(verify=context(gateway, files)) as client:
        return client.get(gateway.http_url(path, tls=True) + "/hello", headers=headers)


def test_psql_is_not_asked_for_a_password(gateway: GatewayServer, files: tuple[Path, Path]) -> None:
    done = psql(gateway, files)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    opened = records_of(gateway, SessionOpened)[-1]
    assert (opened.principal, opened.owner, opened.groups) == (NAME, "ada", ("testers",))
    assert (opened.issuer, opened.subject) == ("spiffe://example.org", WORKLOAD)
    assert opened.token_id.startswith("x509:")


def test_psycopg_and_direct_tls(gateway: GatewayServer, files: tuple[Path, Path]) -> None:
    ways = [{}, {"sslnegotiation": "direct"}] if psycopg.pq.version() >= 170000 else [{}]
    for way in ways:
        with psycopg.connect(conninfo(gateway, files, **way)) as connection:
            rows = connection.execute("SELECT repeat('x', 3000000)").fetchall()
            assert len(rows[0][0]) == 3_000_000


def test_a_client_without_a_certificate_brings_a_token(gateway: GatewayServer) -> None:
    nothing = (Path("none"), Path("none"))
    refused = psql(gateway, nothing)
    assert refused.returncode == 2
    assert "password" in refused.stderr
    assert psql(gateway, nothing, password=gateway.token()).stdout == "2\n"
    assert psql(gateway, nothing, password=gateway.token(), ssl_max_protocol_version="TLSv1.2").stdout == "2\n"


def test_tls_1_2(gateway: GatewayServer, files: tuple[Path, Path]) -> None:
    assert psql(gateway, files, ssl_max_protocol_version="TLSv1.2").stdout == "2\n"


WRONG: dict[str, str] = {
    "expired": "not valid at validation time",
    "foreign": "not a certificate of spiffe://example.org",
    "two URIs": "2 URIs in subjectAltName",
    "another trust domain": "unknown trust domain 'example.com'",
    "nobody": "no identity rule applies",
    "authority": "cA must not be asserted",
    "for servers": "required EKU not found",
}


def wrong(spire: Spire, kind: str) -> Holder:
    uri = x509.UniformResourceIdentifier
    holders = {
        "expired": lambda: spire.holder(begins=datetime.timedelta(hours=-2)),
        "foreign": lambda: Spire(time.time()).holder(),
        "two URIs": lambda: spire.holder([uri(WORKLOAD), uri("spiffe://example.org/admin")]),
        "another trust domain": lambda: Spire(time.time(), "example.com").holder([uri("spiffe://example.com/x")]),
        "nobody": lambda: spire.holder([uri("spiffe://example.org/ns/agents-x/sa/y")]),
        "authority": lambda: spire.holder(constraints=x509.BasicConstraints(ca=True, path_length=None)),
        "for servers": lambda: spire.holder(purposes=[x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]),
    }
    return holders[kind]()


@pytest.mark.parametrize(("kind", "reason"), WRONG.items(), ids=WRONG.keys())
def test_certificates_that_are_refused(
    gateway: GatewayServer, spire: Spire, directory: Path, service: HttpService, kind: str, reason: str
) -> None:
    files, before, reached = written(directory, wrong(spire, kind)), len(refusals(gateway, 0)), len(service.received)
    done = psql(gateway, files)
    assert done.returncode == 2
    assert "FATAL" in done.stderr
    assert reason not in done.stderr
    answer = get(gateway, files)
    assert answer.status_code == 401
    assert reason not in answer.text
    for refused in refusals(gateway, before + 2)[before:]:
        assert reason in refused.reason
    assert len(service.received) == reached


def test_over_http_the_certificate_is_the_proof(
    gateway: GatewayServer, files: tuple[Path, Path], service: HttpService
) -> None:
    answer = get(gateway, files, accept="application/json")
    assert (answer.status_code, answer.json()["path"]) == (200, "/hello")
    assert service.received[-1].headers["accept"] == "application/json"
    assert records_of(gateway, SessionOpened)[-1].principal == NAME
    assert get(gateway, None).status_code == 401


def test_a_token_goes_before_the_certificate(gateway: GatewayServer, files: tuple[Path, Path]) -> None:
    assert get(gateway, files, authorization=f"Bearer {gateway.token('bot')}").status_code == 200
    assert records_of(gateway, SessionOpened)[-1].principal == "bot"
    assert get(gateway, files, authorization="Bearer x.y.z").status_code == 401


@pytest.mark.parametrize("name", ["origin", "sec-fetch-site", "referer"])
def test_a_page_does_not_use_a_persons_certificate(
    gateway: GatewayServer, files: tuple[Path, Path], service: HttpService, name: str
) -> None:
    before = len(service.received)
    assert get(gateway, files, **{name: "https://evil.example"}).status_code == 401
    assert len(service.received) == before


def test_a_certificate_is_not_passed_on_as_a_token(gateway: GatewayServer, files: tuple[Path, Path]) -> None:
    with httpx.Client(verify=context(gateway, files)) as client:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        accepted = {"accept": "application/json, text/event-stream"}
        answer = client.post(gateway.http_url(OWN_CONNECTION, tls=True) + "/mcp", json=asked, headers=accepted)
    assert answer.status_code == 401
    assert "a certificate cannot be passed on" in answer.text


async def test_http2_and_the_forward_proxy(
    gateway: GatewayServer, files: tuple[Path, Path], service: HttpService
) -> None:
    async with httpx.AsyncClient(verify=context(gateway, files), http2=True) as client:
        for _ in range(3):
            answer = await client.get(gateway.http_url("crm", tls=True) + "/hello")
            assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    proxied = f"http://127.0.0.1:{service.port}/by-proxy"
    proxy = f"https://127.0.0.1:{gateway.proxy_port}"
    with httpx.Client(proxy=httpx.Proxy(proxy, ssl_context=context(gateway, files))) as by_proxy:
        assert by_proxy.get(proxied).status_code == 200
    assert service.received[-1].path == "/by-proxy"


def test_revoked_authorities_and_locks(
    gateway: GatewayServer, spire: Spire, files: tuple[Path, Path], directory: Path
) -> None:
    gateway.command("identities", "add", NAME, "--owner", "ada")
    gateway.command("identities", "disable", NAME)
    assert "this identity is disabled" in psql(gateway, files).stderr
    gateway.command("identities", "enable", NAME)
    assert psql(gateway, files).stdout == "2\n"
