"""Trying whether a target can be reached."""

import asyncio

import pytest

from interlock.adapters.credentials import RevealedCredential
from interlock.adapters.target_probe import ReachabilityProbe
from interlock.core.errors import AdministrationRefused, CredentialUnavailable
from interlock.core.settings import ConnectionSettings
from tests.servers.process import free_port


class OneCredential:
    """A vault that has one credential, or none."""

    def __init__(self, *, available: bool) -> None:
        self._available = available

    async def reveal(self, connection: str) -> RevealedCredential:
        if not self._available:
            raise CredentialUnavailable("not set")
        return RevealedCredential("gateway", "planted-secret", None, None)


def settings(port: int) -> ConnectionSettings:
    return ConnectionSettings(protocol="postgres", host="127.0.0.1", port=port, databases=("app",), user="u")


async def test_a_target_that_can_be_reached() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        text = await ReachabilityProbe(OneCredential(available=True)).probe("crm", settings(port))
    assert text.startswith(f"127.0.0.1:{port} can be reached")
    assert "planted-secret" not in text


async def test_a_target_that_cannot_be_reached() -> None:
    with pytest.raises(AdministrationRefused, match="cannot be reached"):
        await ReachabilityProbe(OneCredential(available=True)).probe("crm", settings(free_port()))


async def test_a_credential_that_cannot_be_had() -> None:
    with pytest.raises(CredentialUnavailable):
        await ReachabilityProbe(OneCredential(available=False)).probe("crm", settings(free_port()))
