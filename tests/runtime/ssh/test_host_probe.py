"""``connections test`` against real hosts: reached, known, and let in; or what to do about it."""

from pathlib import Path
from typing import Any

import pytest

from interlock.adapters.credentials import RevealedCredential
from interlock.core.errors import AdministrationRefused, CredentialUnavailable
from interlock.core.settings import ConnectionSettings, CredentialReference, SshAuthentication, SshSettings, SshTarget
from interlock.runtime.ssh.host_probe import HostProbe
from interlock.services.ports import TargetCredential
from tests.servers.openssh import OpenSshServer, new_key
from tests.servers.password_host import PasswordHost
from tests.servers.process import free_port
from tests.servers.silent_host import SilentHost

SETTINGS = SshSettings(connect_timeout_s=10)


class Vault:
    """Has one secret, or none."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret

    async def reveal(self, connection: str) -> TargetCredential:
        if self._secret is None:
            raise CredentialUnavailable("not set")
        return RevealedCredential("x", self._secret, None, None)


class NoCertificates:
    """Implements ``TargetCertificates`` without any."""

    def mint_for_target(
        self, session_id: str, principal_name: str, login: str, lifetime_s: int, *, forwarding: bool = False
    ) -> tuple[bytes, bytes]:
        raise CredentialUnavailable("no clock")


async def probe(host: Any, secret: str | None, settings: SshSettings = SETTINGS, **changes: Any) -> str:
    way = SshAuthentication(getattr(host, "authenticate", "key"))
    ssh = SshTarget(**{"authenticate": way, **changes})
    target = ConnectionSettings(
        protocol="ssh",
        host="127.0.0.1",
        port=host.port,
        user=getattr(host, "login", "deploy"),
        credential=None if ssh.authenticate is SshAuthentication.CERTIFICATE else CredentialReference(sealed=True),
        ssh=ssh,
    )
    return await HostProbe(settings, Vault(secret), NoCertificates).probe("web", target)


async def refused(host: Any, secret: str | None, settings: SshSettings = SETTINGS, **changes: Any) -> str:
    with pytest.raises(AdministrationRefused) as caught:
        await probe(host, secret, settings, **changes)
    if secret:
        assert secret not in str(caught.value)
    return str(caught.value)


async def test_a_host_that_lets_the_gateway_in(openssh: OpenSshServer) -> None:
    keys = tuple(key.public for key in openssh.host_keys)
    said = await probe(openssh, openssh.client_key.file.read_text(), host_keys=keys)
    assert said.endswith(f"can be reached, is the right host, and lets {openssh.login} in with its key.")


async def test_a_host_that_is_not_known_yet_is_described_and_not_trusted(openssh: OpenSshServer) -> None:
    said = await refused(openssh, openssh.client_key.file.read_text())
    assert "is not known by any key yet: it shows SHA256:" in said
    assert any(f'host_keys = ["{key.public}"]' in said for key in openssh.host_keys)


async def test_another_host_is_described_and_not_trusted(openssh: OpenSshServer, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other").public
    said = await refused(openssh, openssh.client_key.file.read_text(), host_keys=(other,))
    assert "is not what the gateway knows it by: it shows SHA256:" in said
    said = await refused(openssh, openssh.client_key.file.read_text(), host_authorities=(other,))
    assert "is not what the gateway knows it by: it shows SHA256:" in said


async def test_a_key_of_another_kind_than_the_host_has(openssh: OpenSshServer, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other", "rsa").public
    assert "it shows SHA256:" in await refused(openssh, openssh.client_key.file.read_text(), host_keys=(other,))


async def test_a_host_that_does_not_let_the_gateway_in(openssh: OpenSshServer, tmp_path: Path) -> None:
    keys = tuple(key.public for key in openssh.host_keys)
    stranger = new_key(tmp_path / "stranger").file.read_text()
    assert "does not let" in await refused(openssh, stranger, host_keys=keys)


async def test_a_password() -> None:
    with PasswordHost("planted secret") as host:
        assert "lets deploy in with its password" in await probe(host, "planted secret", host_keys=(host.host_key,))
        assert "does not let deploy in" in await refused(host, "another one", host_keys=(host.host_key,))


@pytest.mark.parametrize("secret", ["", "planted-secret", "-----BEGIN OPENSSH PRIVATE KEY-----\nplanted"])
async def test_a_key_that_is_none(openssh: OpenSshServer, secret: str) -> None:
    keys = tuple(key.public for key in openssh.host_keys)
    assert "is none" in await refused(openssh, secret, host_keys=keys)


async def test_what_the_gateway_itself_does_not_have(openssh: OpenSshServer) -> None:
    with pytest.raises(CredentialUnavailable, match="not set"):
        await probe(openssh, None)
    keys = tuple(key.public for key in openssh.host_keys)
    with pytest.raises(CredentialUnavailable, match="no clock"):
        await probe(openssh, "", host_keys=keys, authenticate=SshAuthentication.CERTIFICATE)


async def test_a_host_that_hangs_and_one_that_is_not_there() -> None:
    with SilentHost() as host:
        said = await refused(host, "x", SshSettings(connect_timeout_s=0.5))
        assert "does not answer within 0.5 s" in said

    class Nowhere:
        port = free_port()

    assert "cannot be reached" in await refused(Nowhere, "x")
