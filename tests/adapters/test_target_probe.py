"""Trying whether a target can be reached."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from interlock.adapters.credentials import RevealedCredential
from interlock.adapters.target_probe import ReachabilityProbe
from interlock.core.errors import AdministrationRefused, CredentialUnavailable
from interlock.core.http_credential import HttpCredential
from interlock.core.settings import ConnectionSettings, HttpTarget, TlsMode
from interlock.runtime.addresses import Trust, permitted_addresses
from interlock.runtime.dialer import target_tls_context
from tests.servers.certificates import CertificateAuthority
from tests.servers.process import free_port


class OneCredential:
    """A vault that has one credential, or none."""

    def __init__(self, *, available: bool) -> None:
        self._available = available

    async def reveal(self, connection: str) -> RevealedCredential:
        if not self._available:
            raise CredentialUnavailable("not set")
        return RevealedCredential("gateway", "planted-secret", None, None)


class OneHttpCredential:
    """Implements ``services.ports.HttpCredentials``."""

    def __init__(self, *, available: bool = True) -> None:
        self._available = available

    def peek(self, connection: str) -> HttpCredential | None:
        return None

    async def get(self, connection: str) -> HttpCredential:
        if not self._available:
            raise CredentialUnavailable("no token")
        return HttpCredential(((b"authorization", b"Bearer planted-secret"),))

    def forget(self, connection: str) -> None: ...


async def _host_is_fine(connection: str, settings: ConnectionSettings) -> str:
    return f"{connection} is fine"


def probe(*, available: bool = True, token: bool = True) -> ReachabilityProbe:
    addresses = functools.partial(permitted_addresses, trust=Trust.WRITTEN)
    http_credentials = OneHttpCredential(available=token)
    return ReachabilityProbe(
        OneCredential(available=available), http_credentials, target_tls_context, addresses, _host_is_fine
    )


def settings(port: int) -> ConnectionSettings:
    return ConnectionSettings(protocol="postgres", host="127.0.0.1", port=port, databases=("app",), user="u")


def http_settings(port: int, **changes: Any) -> ConnectionSettings:
    return ConnectionSettings(**{"protocol": "http", "host": "127.0.0.1", "port": port, **changes})


@contextlib.asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_target_that_can_be_reached() -> None:
    async with listening() as port:
        text = await probe().probe("crm", settings(port))
    assert text.startswith(f"127.0.0.1:{port} can be reached")
    assert "planted-secret" not in text


async def test_a_target_that_cannot_be_reached() -> None:
    for wanted in (settings(free_port()), http_settings(free_port(), tls=TlsMode.DISABLE)):
        with pytest.raises(AdministrationRefused, match="cannot be reached"):
            await probe().probe("crm", wanted)


async def test_a_credential_that_cannot_be_had() -> None:
    for wanted in (settings(free_port()), http_settings(free_port())):
        with pytest.raises(CredentialUnavailable):
            await probe(available=False).probe("crm", wanted)
    with pytest.raises(CredentialUnavailable, match="no token"):
        await probe(token=False).probe("crm", http_settings(free_port()))


async def test_an_http_target(certificate_authority: CertificateAuthority) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = certificate_authority.issue_server()
    tls.load_cert_chain(files.certificate_file, files.key_file)
    async with listening(tls) as port:
        trusting = http_settings(port, ca_file=str(certificate_authority.certificate_file))
        text = await probe().probe("crm", trusting)
        assert text.startswith(f"127.0.0.1:{port} can be reached over TLS")
        assert "planted" not in text
        with pytest.raises(AdministrationRefused, match="certificate that is not accepted"):
            await probe().probe("crm", http_settings(port))
    async with listening() as port:
        assert "without TLS" in await probe().probe("crm", http_settings(port, tls=TlsMode.DISABLE))
        with pytest.raises(AdministrationRefused, match="127"):
            await probe().probe("crm", http_settings(port))


async def test_an_http_target_that_may_not_be_dialled_or_has_no_host() -> None:
    with pytest.raises(ValueError, match="four decimal numbers"):
        http_settings(1, host="2130706433")
    with pytest.raises(AdministrationRefused, match=r"no-such-host\.invalid cannot be looked up"):
        await probe().probe("crm", http_settings(1, host="no-such-host.invalid"))

    async def metadata(_host: str, _port: int) -> Sequence[str]:
        return ["169.254.169.254"]

    addresses = functools.partial(permitted_addresses, trust=Trust.WRITTEN, look_up=metadata)
    elsewhere = ReachabilityProbe(
        OneCredential(available=True), OneHttpCredential(), target_tls_context, addresses, _host_is_fine
    )
    with pytest.raises(AdministrationRefused, match="a cloud's metadata service"):
        await elsewhere.probe("crm", http_settings(1, host="target.example"))
    only_tunnels = HttpTarget(tunnel=True, hosts=("*.example.com",))
    assert "tunnels only" in await probe().probe("crm", http_settings(443, host="", http=only_tunnels))
