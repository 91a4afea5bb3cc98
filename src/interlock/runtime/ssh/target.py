"""The gateway's connection to an SSH host: opened by the first operation that may reach it, one for each session."""

import asyncio
from typing import Any, Final

import asyncssh
import structlog

from interlock.core.errors import CredentialUnavailable, InterlockError
from interlock.core.ledger import HostKeyRefused
from interlock.core.session import Session
from interlock.core.settings import ConnectionSettings
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import ForwardKind, Request
from interlock.runtime.ssh.channels import ChannelDriver, Wire
from interlock.runtime.ssh.host_login import BREAKS_OFF, CERTIFICATE_LIFETIME_S, HostKeys, log_in, strange_key
from interlock.runtime.ssh.library import MAX_PACKET_BYTES, WINDOW_BYTES
from interlock.runtime.ssh.parts import SshParts
from interlock.runtime.ssh.remote import Come, listen_at_host
from interlock.runtime.ssh.wires import ForwardSide, TargetSession
from interlock.services.ports import TargetCredential

log = structlog.get_logger()

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


class TargetConnection:
    """The connection of one session to its host."""

    def __init__(self, parts: SshParts, session: Session, settings: ConnectionSettings, come: Come) -> None:
        """``come`` is asked about those who come to what the host listens on."""
        self._parts = parts
        self._session = session
        self._settings = settings
        self._come = come
        self._connecting: asyncio.Lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: HostKeys | None = None
        self._closed = False

    async def open(self, request: Request, driver: ChannelDriver) -> Wire:
        """A channel for what is asked for. Raises ``HostUnreachable``."""
        connection = await self._connected()
        try:
            async with asyncio.timeout(self._parts.settings.connect_timeout_s):
                if isinstance(request, events.Forward) and request.kind is ForwardKind.REMOTE:
                    return await listen_at_host(connection, request, driver, self._come)
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
        name, client = self._session.connection, HostKeys()
        self._client = client
        try:
            credential = await self._parts.vault.reveal(name)
            login, keepalive_s = self._session.database, self._parts.settings.keepalive_s
            async with asyncio.timeout(self._parts.settings.connect_timeout_s):
                return await self._log_in(client, login, credential, keepalive_s)
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

    async def _log_in(
        self, client: HostKeys, login: str, credential: TargetCredential, keepalive_s: float
    ) -> asyncssh.SSHClientConnection:
        try:
            return await log_in(client, self._settings, login, credential, self._mint, keepalive_s)
        except BREAKS_OFF:
            client.refused = await strange_key(self._settings)
            if client.refused is None:
                raise
            raise asyncssh.HostKeyNotVerifiable("no key of the kinds that are known") from None

    def _mint(self) -> tuple[bytes, bytes]:
        session, lifetime_s = self._session, CERTIFICATE_LIFETIME_S
        return self._parts.certificates.mint_for_target(
            session.id, session.principal.name, session.database, lifetime_s, forwarding=True
        )

    def _wrong_host(self, client: HostKeys) -> HostUnreachable:
        name = self._session.connection
        shown = client.refused.export_public_key().decode().strip() if client.refused is not None else ""
        fingerprint = client.refused.get_fingerprint() if client.refused is not None else "no such key"
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
        asked["command"] = _text(request.command) if isinstance(request, events.Exec) else None
        asked["request_pty"] = "force" if request.pty is not None else False
        if request.pty is not None:
            size = (request.pty.columns, request.pty.rows)
            asked |= {"term_type": request.pty.terminal, "term_size": size, "term_modes": dict(request.pty.modes)}
    channel, _ = await connection.create_session(lambda: TargetSession(driver), **asked)
    return channel


def _text(command: bytes) -> str:
    try:
        return command.decode()
    except UnicodeDecodeError:
        raise HostUnreachable("the gateway carries commands in UTF-8 only") from None


async def _forward(connection: asyncssh.SSHClientConnection, request: events.Forward, driver: ChannelDriver) -> Wire:
    channel: Wire
    side: Any = lambda: ForwardSide(driver, is_client=False)  # noqa: E731 - the same for both kinds of channels
    if request.kind is ForwardKind.UNIX:
        channel, _ = await connection.create_unix_connection(side, request.host)
    else:
        channel, _ = await connection.create_connection(side, request.host, request.port)
    return channel
