"""How the gateway logs in at a host, and by what it believes that it is the right one.

A host proves itself with a key that is pinned or with a certificate of an authority that is; nothing is trusted on
first use.
"""

from collections.abc import Callable
from typing import Any, Final

import asyncssh

from interlock.core.settings import ConnectionSettings, SshAuthentication
from interlock.runtime.ssh.library import send_nothing_to_ignore, target_options
from interlock.services.ports import TargetCredential

CERTIFICATE_LIFETIME_S: Final = 300
BREAKS_OFF: Final = (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError)
"""What a host does, among others, that has no key of the kinds that are expected."""

Mint = Callable[[], tuple[bytes, bytes]]
"""Makes a private key with its certificate for one login. Raises ``CredentialUnavailable``."""


class HostKeys(asyncssh.SSHClient):
    """Notes the key that a host has shown where it is not one that was expected, and that the host is gone."""

    def __init__(self) -> None:
        self.refused: asyncssh.SSHKey | None = None
        self.lost = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.refused = key
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def strange_key(settings: ConnectionSettings) -> asyncssh.SSHKey | None:
    """The key of a host that has broken off, when it is not one that is pinned. Raises ``OSError``, ``asyncssh.Error``.

    Of a host that proves itself by a certificate, its key says nothing.
    """
    if settings.ssh.host_authorities:
        return None
    key = await asyncssh.get_server_host_key(settings.host, settings.port, client_version="Interlock", config=None)
    if key is None or key in [asyncssh.import_public_key(known) for known in settings.ssh.host_keys]:
        return None
    return key


async def log_in(
    client: HostKeys,
    settings: ConnectionSettings,
    login: str,
    credential: TargetCredential,
    mint: Mint,
    keepalive_s: float,
) -> asyncssh.SSHClientConnection:
    """A connection to the host, as ``login``.

    Raises ``CredentialUnavailable``, ``OSError``, ``ValueError`` for a key that is none, and what the library does:
    ``HostKeyNotVerifiable`` for another host, ``PermissionDenied`` where it does not let us in.
    """
    proof = _proof(settings, login, credential, mint)
    options = target_options(lambda: client, keepalive_interval=keepalive_s, **_expected(settings), **proof)
    connection = await asyncssh.connect(settings.host, settings.port, **options)
    send_nothing_to_ignore(connection)
    return connection


def _expected(settings: ConnectionSettings) -> dict[str, Any]:
    keys = [asyncssh.import_public_key(key) for key in settings.ssh.host_keys]
    authorities = [asyncssh.import_public_key(key) for key in settings.ssh.host_authorities]
    return {"known_hosts": (keys, authorities, [])}


def _proof(settings: ConnectionSettings, login: str, credential: TargetCredential, mint: Mint) -> dict[str, Any]:
    """Exactly one way of logging in."""
    nothing = {"username": login, "client_keys": None, "password": None}
    if settings.ssh.authenticate is SshAuthentication.PASSWORD:
        return {**nothing, "password": credential.password, "preferred_auth": "password,keyboard-interactive"}
    if settings.ssh.authenticate is SshAuthentication.KEY:
        key = asyncssh.import_private_key(credential.password or "")
        return {**nothing, "client_keys": [key], "preferred_auth": "publickey"}
    private, certificate = mint()
    pair = (asyncssh.import_private_key(private), asyncssh.import_certificate(certificate))
    return {**nothing, "client_keys": [pair], "preferred_auth": "publickey"}
