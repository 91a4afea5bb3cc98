"""How a client of the SSH listener proves who it is, and how it asks for channels (RFC 4252, RFC 4254).

Whether a proof counts is not decided in here.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncssh

from interlock.core.errors import LoginRefused
from interlock.core.printable import printable
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import ForwardKind
from interlock.runtime.ssh.channels import ChannelDriver
from interlock.runtime.ssh.connection import ClientConnection
from interlock.runtime.ssh.driver import SshDriver
from interlock.runtime.ssh.parts import DeviceLogin, SshParts
from interlock.runtime.ssh.remote import ClientListener, HostListener
from interlock.runtime.ssh.wires import ClientSession, ForwardSide
from interlock.runtime.tasks import spawn
from interlock.services.opening import Caller, NotAdmitted

CUT_PASSWORD_BYTES: Final = 1023
"""What the command ``ssh`` leaves of a longer password or answer that it asks for."""
MAX_TRIES: Final = 8
DEVICE_LOGIN_S: Final = 600.0
"""How long a client may take once a person has been told to sign in elsewhere."""


AllowSeconds = Callable[[SshDriver, float], None]
"""Gives a client so many seconds from now on to log in; 0: it has."""


class ClientServer(asyncssh.SSHServer):
    """Implements the library's server for one connection. ``begin`` makes its driver once the address is known."""

    def __init__(
        self, begin: Callable[[str], SshDriver], parts: SshParts, allow_s: Callable[[SshDriver, float], None]
    ) -> None:
        self._begin = begin
        self._attempts = parts.attempts
        self._device_logins = parts.device_logins
        self._device_login: DeviceLogin | None = None
        self._login: asyncio.Task[bool] | None = None
        self._max_channels = parts.settings.max_channels
        self._allow_s = allow_s
        self._source = ""
        self._tries = 0
        self._connection: Any = None
        self._driver: SshDriver | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        host, port = conn.get_extra_info("peername")[:2]
        self._source = host
        self._driver = self._begin(f"{host}:{port}")
        assert isinstance(conn, ClientConnection)
        self._driver.connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up_device_login()
        self.driver.left()

    @property
    def driver(self) -> SshDriver:
        assert self._driver is not None
        return self._driver

    def writing_paused(self, paused: bool) -> None:
        self.driver.writing_paused(paused)

    # ------------------------------------------------------------ who it is

    def begin_auth(self, username: str) -> bool:
        self.driver.application = printable(str(self._connection.get_extra_info("client_version", "")))[:128]
        return True

    def password_auth_supported(self) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        return await self._admit_with_token(username, password)

    async def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """A token is asked for; whoever has none signs in elsewhere, where there is an issuer for that."""
        self._give_up_device_login()
        if self._device_logins is None or not self._attempts.may_try(self._source):
            return "", "", "", [("Token as password:", False)]
        try:
            self._device_login = await self._device_logins.begin(self._source)
        except LoginRefused as refused:
            return "", str(refused), "", [("Token as password:", False)]
        self._allow_s(self.driver, DEVICE_LOGIN_S)
        prompt = "Press Enter once you have signed in, or paste a token as password:"
        return "", self._device_login.instruction, "", [(prompt, False)]

    async def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        if len(responses) != 1:
            return False
        token = responses[0].strip()
        if token or self._device_login is None:
            self._abandon_device_login()
            return await self._admit_with_token(username, token)
        try:
            token = await self._device_login.poll()
        except LoginRefused as refused:
            self._give_up_device_login()
            await self.driver.refused(username, refused.reason)
            self._say(str(refused))
            return False
        self._device_login = None
        return await self._admit(username, token=token)

    def _give_up_device_login(self) -> None:
        """Whoever has somebody asked at the issuer, and does not wait for it, has failed to log in."""
        if self._device_login is not None:
            self._attempts.failed(self._source)
        self._abandon_device_login()

    def _abandon_device_login(self) -> None:
        if self._device_login is not None:
            self._device_login.abandon()
        self._device_login = None

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether the client is to prove that it has the key: of certificates and of registered keys."""
        return self.driver.accepts_key(key.get_fingerprint())

    def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whose certificates are looked at; whether one counts is found out when its key has signed."""
        return True

    async def prove_key(self, username: str, key_data: bytes) -> bool:
        try:
            certificate = asyncssh.import_certificate(_line(key_data))
        except (asyncssh.KeyImportError, ValueError):
            key = asyncssh.import_public_key(_line(key_data))
            return await self._admit(username, ssh_key=key.get_fingerprint())
        return await self._admit(username, ssh_certificate=certificate.export_certificate().decode().strip())

    async def _admit_with_token(self, username: str, token: str) -> bool:
        if len(token.encode()) != CUT_PASSWORD_BYTES:
            return await self._admit(username, token=token)
        self._say(
            f"Your SSH client has cut the token: it passes on {CUT_PASSWORD_BYTES} bytes of what it asks for. "
            "Get a certificate instead (interlock ssh-cert), or a shorter token."
        )
        self._attempts.failed(self._source)
        await self.driver.refused(username, "the client cut the token")
        return False

    async def _admit(self, username: str, token: str = "", ssh_key: str = "", ssh_certificate: str = "") -> bool:
        self._tries += 1
        if self._tries > MAX_TRIES or not self._attempts.may_try(self._source):
            self._say("Too many failed logins from your address: wait a minute.")
            return False
        if self.driver.opened is not None or (self._login is not None and not self._login.done()):
            return False
        caller = self.driver.caller(username, token, ssh_key, ssh_certificate)
        self._login = spawn(self._open(caller), "SSH login")
        return await asyncio.shield(self._login)

    async def _open(self, caller: Caller) -> bool:
        """Comes to its end, and to the books, also when the client leaves or asks for something else meanwhile."""
        try:
            await self.driver.open(caller)
        except NotAdmitted as refused:
            self._attempts.failed(self._source)
            self._say(f"{refused}\n{refused.hint}" if refused.hint else str(refused))
            return False
        self._allow_s(self.driver, 0)
        return True

    def _say(self, text: str) -> None:
        lines = [f"interlock: {printable(line)}\r\n" for line in text.splitlines()]
        self._connection.send_auth_banner("".join(lines))

    # ------------------------------------------------------------ what it asks for

    def session_requested(self) -> Any:
        self._refuse_too_many()
        return self._connection.create_server_channel(), ClientSession(self._start_session)

    def _start_session(self, session: ClientSession, request: events.Request) -> ChannelDriver:
        return self.driver.start(request, lambda channel: channel.attach_client(session.channel))

    def _refuse_too_many(self) -> None:
        if self._connection.channel_count >= self._max_channels:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, "interlock: this connection has as many channels as it may have"
            )

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Awaitable[Any]:
        self._refuse_too_many()
        return self._forward(events.Forward(ForwardKind.LOCAL, dest_host, dest_port))

    def unix_connection_requested(self, dest_path: str) -> Any:
        self._refuse_too_many()
        return self._forward(events.Forward(ForwardKind.UNIX, dest_path))

    async def server_requested(self, listen_host: str, listen_port: int) -> ClientListener | bool:
        """A remote forwarding. There is no place to say why it is refused; the record has it."""
        request = events.Forward(ForwardKind.REMOTE, listen_host, listen_port)
        channel = self.driver.start(request, lambda _: None)
        if await channel.settled is not None:
            return False
        assert isinstance(channel.target, HostListener)
        return ClientListener(channel, channel.target.port or listen_port)

    async def _forward(self, request: events.Forward) -> ForwardSide:
        sides: list[ForwardSide] = []
        channel = self.driver.start(request, lambda channel: sides.append(ForwardSide(channel, True)))
        refused = await channel.settled
        if refused is not None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, refused)
        return sides[0]


def _line(key_data: bytes) -> bytes:
    """A key or certificate as it comes over the wire, as a line of a file (RFC 4253, 6.6)."""
    size = int.from_bytes(key_data[:4], "big")
    return key_data[4 : 4 + size] + b" " + base64.b64encode(key_data)
