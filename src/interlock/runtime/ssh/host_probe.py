"""Tries whether a host can be reached, is the right one, and lets the gateway in. It runs nothing there."""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncssh

from interlock.core.errors import AdministrationRefused
from interlock.core.settings import ConnectionSettings, SshAuthentication, SshSettings
from interlock.runtime.ssh.host_login import CERTIFICATE_LIFETIME_S, HostKeys, log_in
from interlock.runtime.ssh.parts import TargetCertificates
from interlock.services.ports import CredentialVault

_STRANGE: Final = (
    asyncssh.HostKeyNotVerifiable,
    asyncssh.KeyExchangeFailed,
    asyncssh.ConnectionLost,
    ConnectionResetError,
)
"""A host that has no key of the kinds that are expected breaks off by itself."""
_WAYS: Final = {
    SshAuthentication.PASSWORD: "its password",
    SshAuthentication.KEY: "its key",
    SshAuthentication.CERTIFICATE: "a certificate of the gateway's authority",
}


class HostProbe:
    """Logs in at a host as sessions do. What it shows the host says in its name that it is a trial."""

    def __init__(
        self, settings: SshSettings, vault: CredentialVault, certificates: Callable[[], TargetCertificates]
    ) -> None:
        self._settings = settings
        self._vault = vault
        self._certificates = certificates

    async def probe(self, connection: str, settings: ConnectionSettings) -> str:
        """A sentence on what was found. Raises ``AdministrationRefused``, ``CredentialUnavailable``."""
        place = f"{settings.host}:{settings.port}"
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                return await self._log_in(connection, settings, place)
        except asyncssh.PermissionDenied:
            raise AdministrationRefused(
                f"{place} is the right host, and does not let {settings.user} in with {_shown(settings)}"
            ) from None
        except TimeoutError:
            limit_s = self._settings.connect_timeout_s
            raise AdministrationRefused(f"{place} does not answer within {limit_s:g} s") from None
        except OSError as error:
            raise AdministrationRefused(f"{place} cannot be reached: {error.strerror or error}") from None
        except asyncssh.Error as error:
            raise AdministrationRefused(f"{place} does not speak SSH as it should: {type(error).__name__}") from None

    async def _log_in(self, connection: str, settings: ConnectionSettings, place: str) -> str:
        credential = await self._vault.reveal(connection)
        if not (settings.ssh.host_keys or settings.ssh.host_authorities):
            raise await self._unknown_host(settings, place, "is not known by any key yet")
        client = HostKeys()
        try:
            opened = await log_in(
                client, settings, settings.user, credential, lambda: self._mint(connection, settings), 0
            )
        except _STRANGE:
            raise await self._unknown_host(settings, place, "is not what the gateway knows it by") from None
        except ValueError:
            raise AdministrationRefused(f"a key of {connection!r}, its own or its host's, is none") from None
        opened.abort()
        return f"{place} can be reached, is the right host, and lets {settings.user} in with {_shown(settings)}."

    async def _unknown_host(self, settings: ConnectionSettings, place: str, why: str) -> AdministrationRefused:
        """What to pin. Nothing is trusted: whoever reads it compares it with what the host's keeper says."""
        key = await asyncssh.get_server_host_key(settings.host, settings.port, client_version="Interlock", config=None)
        if key is None:
            return AdministrationRefused(f"{place} {why}, and shows no key")
        line = " ".join(key.export_public_key().decode().split()[:2])
        if any(known.startswith(line) for known in settings.ssh.host_keys):
            return AdministrationRefused(f"{place} is the right host, and breaks off")
        return AdministrationRefused(
            f"{place} {why}: it shows {key.get_fingerprint()}. Compare that with what whoever keeps the host says "
            "(ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub, on the host), and only then put it into the connection, as "
            f'--host-key "{line}" or as host_keys = ["{line}"]'
        )

    def _mint(self, connection: str, settings: ConnectionSettings) -> tuple[bytes, bytes]:
        return self._certificates().mint_for_target(
            f"test of {connection}", "interlock", settings.user, CERTIFICATE_LIFETIME_S
        )


def _shown(settings: ConnectionSettings) -> str:
    return _WAYS[settings.ssh.authenticate]
