"""The gateway's own connection to an SSH host: opened by the first operation that may reach it, one for each session.

A host proves itself with a key that is pinned or with a certificate of an authority that is; nothing is trusted on
first use.
"""

import asyncio
from typing import Any, Final

import asyncssh
import structlog

from interlock.core.errors import CredentialUnavailable, InterlockError
from interlock.core.ledger import HostKeyRefused
from interlock.core.session import Session
from interlock.core.settings import ConnectionSettings, SshAuthentication
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import ForwardKind, Request
from interlock.runtime.ssh.channels import ChannelDriver, Wire
from interlock.runtime.ssh.library import MAX_PACKET_BYTES, WINDOW_BYTES, target_options
from interlock.runtime.ssh.parts import SshParts
from interlock.runtime.ssh.wires import ForwardSide, TargetSession
from interlock.services.ports import TargetCredential

log = structlog.get_logger()

_CERTIFICATE_LIFETIME_S: Final = 300
_SWEEP_TIMEOUT_S: Final = 5.0
_SWEEP: Final = (
    "for p in $(ps -e -o pid= -o ppid= 2>/dev/null | while read -r p q; do"
    ' [ "$q" = "$PPID" ] && [ "$p" != "$$" ] && echo "$p"; done); do kill -s {signal} -- "-$p" 2>/dev/null; done'
)
"""Ends the process groups of whatever else the host's server process of this connection has started.

OpenSSH ends nothing when a connection is lost, and does not pass on signals for everybody.
"""


class HostUnreachable(InterlockError):
    """The host cannot be used; its text is for the client."""


class _HostKeys(asyncssh.SSHClient):
    """Notes the key that a host has shown where it is not one that was expected."""

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


class TargetConnection:
    """The connection of one session to its host."""

    def __init__(self, parts: SshParts, session: Session, settings: ConnectionSettings) -> None:
        self._parts = parts
        self._session = session
        self._settings = settings
        self._connecting: asyncio.Lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: _HostKeys | None = None
        self._closed = False

    async def open(self, request: Request, driver: ChannelDriver) -> Wire:
        """A channel for what is asked for. Raises ``HostUnreachable``."""
        connection = await self._connected()
        try:
            async with asyncio.timeout(self._parts.settings.connect_timeout_s):
                return await _open(connection, request, driver)
        except asyncssh.ChannelOpenError as error:
            raise HostUnreachable(f"the host refuses it: {error.reason}") from error
        except (OSError, asyncssh.Error, TimeoutError) as error:
            raise HostUnreachable("the host did not answer in time") from error

    async def end(self, signal: str) -> None:
        """End what still runs there, as far as the host lets us, and close the connection. Never raises."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if signal:
            await self._sweep(connection, signal)
        connection.abort()

    async def sweep(self, signal: str) -> None:
        """The same, and the connection stays. Never raises."""
        if self._connection is not None:
            await self._sweep(self._connection, signal)

    async def _sweep(self, connection: asyncssh.SSHClientConnection, signal: str) -> None:
        try:
            async with asyncio.timeout(_SWEEP_TIMEOUT_S):
                command = _SWEEP.format(signal=signal)
                await connection.run(command, env={}, send_env=None, request_pty=False, check=False)
        except (OSError, asyncssh.Error, TimeoutError) as error:
            log.warning("processes at the host may go on", session=self._session.id, error=type(error).__name__)

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._connecting:
            if self._closed:
                raise HostUnreachable("the session has ended")
            if self._connection is None or (self._client is not None and self._client.lost):
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        name, client = self._session.connection, _HostKeys()
        self._client = client
        try:
            credential = await self._parts.vault.reveal(name)
            options = target_options(lambda: client, **self._expected(), **self._proof(credential))
            async with asyncio.timeout(self._parts.settings.connect_timeout_s):
                return await asyncssh.connect(self._settings.host, self._settings.port, **options)
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._wrong_host(client) from error
        except asyncssh.PermissionDenied as error:
            log.warning("target not reached", connection=name, error="login refused")
            raise HostUnreachable(
                f'the host of connection "{name}" does not let the gateway in; tell the gateway\'s operator'
            ) from error
        except CredentialUnavailable as error:
            log.warning("credential not revealed", connection=name, error=str(error))
            raise HostUnreachable(f'the gateway has no credential for connection "{name}" now') from error
        except (OSError, asyncssh.Error, TimeoutError, ValueError) as error:
            log.warning("target not reached", connection=name, error=type(error).__name__)
            raise HostUnreachable(f'the target of connection "{name}" cannot be reached; try again later') from error

    def _expected(self) -> dict[str, Any]:
        ssh = self._settings.ssh
        keys = [asyncssh.import_public_key(key) for key in ssh.host_keys]
        authorities = [asyncssh.import_public_key(key) for key in ssh.host_authorities]
        return {"known_hosts": (keys, authorities, [])}

    def _proof(self, credential: TargetCredential) -> dict[str, Any]:
        """How the gateway logs in; exactly one way."""
        login, way = self._session.database, self._settings.ssh.authenticate
        nothing = {"username": login, "client_keys": None, "password": None, "keepalive_interval": self._keepalive_s}
        if way is SshAuthentication.PASSWORD:
            return {**nothing, "password": credential.password, "preferred_auth": "password,keyboard-interactive"}
        if way is SshAuthentication.KEY:
            key = asyncssh.import_private_key(credential.password or "")
            return {**nothing, "client_keys": [key], "preferred_auth": "publickey"}
        private, certificate = self._parts.certificates.mint_for_target(
            self._session.id, self._session.principal.name, login, _CERTIFICATE_LIFETIME_S, forwarding=True
        )
        pair = (asyncssh.import_private_key(private), asyncssh.import_certificate(certificate))
        return {**nothing, "client_keys": [pair], "preferred_auth": "publickey"}

    @property
    def _keepalive_s(self) -> float:
        return self._parts.settings.keepalive_s

    def _wrong_host(self, client: _HostKeys) -> HostUnreachable:
        name = self._session.connection
        shown = client.refused.export_public_key().decode().strip() if client.refused is not None else ""
        fingerprint = client.refused.get_fingerprint() if client.refused is not None else "a certificate"
        log.error("host key refused", connection=name, fingerprint=fingerprint, key=shown)
        self._parts.note(HostKeyRefused(self._session.id, name, self._settings.host, fingerprint))
        return HostUnreachable(
            f'the host of connection "{name}" shows {fingerprint}, which is not what the gateway knows it by; '
            "nothing was sent to it. The gateway's operator has been told"
        )


async def _open(connection: asyncssh.SSHClientConnection, request: Request, driver: ChannelDriver) -> Wire:
    if isinstance(request, events.Forward):
        return await _forward(connection, request, driver)
    asked: dict[str, Any] = {"env": dict(request.environment), "send_env": None, "encoding": None}
    asked |= {"window": WINDOW_BYTES, "max_pktsize": MAX_PACKET_BYTES, "x11_forwarding": False}
    if isinstance(request, events.Subsystem):
        asked |= {"subsystem": request.name, "command": None, "request_pty": False}
    else:
        asked["command"] = request.command.decode() if isinstance(request, events.Exec) else None
        asked["request_pty"] = "force" if request.pty is not None else False
        if request.pty is not None:
            size = (request.pty.columns, request.pty.rows)
            asked |= {"term_type": request.pty.terminal, "term_size": size, "term_modes": dict(request.pty.modes)}
    channel, _ = await connection.create_session(lambda: TargetSession(driver), **asked)
    return channel


async def _forward(connection: asyncssh.SSHClientConnection, request: events.Forward, driver: ChannelDriver) -> Wire:
    channel: Wire
    if request.kind is ForwardKind.REMOTE:
        raise HostUnreachable("the gateway carries no remote forwarding")
    side: Any = lambda: ForwardSide(driver, is_client=False)  # noqa: E731 - the same for both kinds of channels
    if request.kind is ForwardKind.UNIX:
        channel, _ = await connection.create_unix_connection(side, request.host)
    else:
        channel, _ = await connection.create_connection(side, request.host, request.port)
    return channel
