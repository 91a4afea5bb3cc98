"""A client's connection as the library has it, with bounds of our own where the library has none."""

from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import asyncssh
from asyncssh.channel import SSHServerChannel
from asyncssh.constants import MSG_CHANNEL_CLOSE, MSG_CHANNEL_REQUEST, MSG_GLOBAL_REQUEST, MSG_IGNORE, MSG_KEXINIT
from asyncssh.packet import SSHPacket

from interlock.runtime.ssh.library import FAST_CIPHERS, MAX_PACKET_BYTES, WINDOW_BYTES

MAX_VARIABLES: Final = 64
MAX_VARIABLE_BYTES: Final = 16 << 10
MAX_QUEUED_REQUESTS: Final = 64
"""Requests of a connection or a channel that wait for the answer to one before."""
MAX_FAILURES: Final = 32
"""Attempts to log in on one connection; public keys that are only asked about count."""
_FAST: Final = frozenset(cipher.encode() for cipher in FAST_CIPHERS)
_SIGNED_WITH_SHA1: Final = b"\0\0\0\7ssh-rsa"


class ClientServer(Protocol):
    """What the connection tells its owner besides what the library does."""

    async def prove_key(self, username: str, key_data: bytes) -> bool:
        """A client has proved that it has this key, or the key of this certificate: whether that lets it in."""

    def writing_paused(self, paused: bool) -> None:
        """The client takes data more slowly than it comes, or takes it again."""


class BoundedChannel(SSHServerChannel[bytes]):
    """A session channel that keeps a bounded environment, and says at once when its client closes it."""

    _takes_no_more = False

    def _process_env_request(self, packet: SSHPacket) -> bool:
        key, value = packet.get_string(), packet.get_string()
        packet.check_end()
        size = sum(len(name) + len(text) for name, text in self._env.items()) + len(key) + len(value)
        if len(self._env) >= MAX_VARIABLES or size > MAX_VARIABLE_BYTES:
            return False
        self._env[key] = value
        return True

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        """The library refuses commands that are not UTF-8 without a word; here they are decided as they are."""
        command = packet.get_string()
        packet.check_end()
        return self._start_session(command=command.decode(errors="surrogateescape"))

    def _process_eow_at_openssh_dot_com_request(self, packet: SSHPacket) -> bool:
        """The client takes no more output: OpenSSH's PROTOCOL, 2.1. The library does not know it.

        Nor does such a client open its window again, so that what waits for that would wait for ever.
        """
        packet.check_end()
        self._takes_no_more = True
        self._keep_unsent(lambda kind: kind is not None)
        takes_no_more = getattr(self._session, "client_takes_no_more", None)
        if takes_no_more is not None:
            takes_no_more()
        return True

    def write(self, data: bytes, datatype: int | None = None) -> None:
        if datatype is not None or not self._takes_no_more:
            super().write(data, datatype)

    def close(self) -> None:
        if self._takes_no_more:
            self._keep_unsent(lambda _: False)
        super().close()

    def _keep_unsent(self, wanted: Callable[[int | None], bool]) -> None:
        self._send_buf = [(data, kind) for data, kind in self._send_buf if wanted(kind)]
        self._send_buf_len = sum(len(data) for data, _ in self._send_buf)
        self._flush_send_buf()

    def _process_close(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """The library keeps this to itself for as long as reading is paused."""
        session = self._session
        super()._process_close(pkttype, pktid, packet)
        closing = getattr(session, "client_closing", None)
        if closing is not None:
            closing()

    def _process_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        _check_queue(len(self._request_queue))
        super()._process_request(pkttype, pktid, packet)

    _packet_handlers: Final = {  # type: ignore[misc]
        **SSHServerChannel._packet_handlers,
        MSG_CHANNEL_CLOSE: _process_close,
        MSG_CHANNEL_REQUEST: _process_request,
    }


class ClientConnection(asyncssh.SSHServerConnection):
    """``server`` is told what the library does not tell."""

    _failures = 0
    _offered = False

    async def reload_config(self) -> None:
        """There is no configuration file whose sections could depend on the user."""

    def _send_kexinit(self) -> None:
        """OpenSSH says what it can without waiting for us: what it is offered is made of that, when it is there."""
        if self._session_id or self._offered or not self._client_version.startswith(b"SSH-2.0-OpenSSH_"):
            super()._send_kexinit()

    async def _process_kexinit(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """The client would choose the cipher that it likes best, which takes several times as long in here."""
        if self._client_version.startswith(b"SSH-2.0-OpenSSH_") and not self._offered:
            self._offered = True
            known = _ciphers(packet.get_remaining_payload())
            self._enc_algs = [cipher for cipher in self._enc_algs if cipher in known & _FAST] or self._enc_algs
            super()._send_kexinit()
        await super()._process_kexinit(pkttype, pktid, packet)

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """The library sends a packet to be ignored before every other one, which helps with CBC only."""
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, handler=handler)

    def send_userauth_failure(self, partial_success: bool) -> None:
        self._failures += 1
        if self._failures > MAX_FAILURES:
            self.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "interlock: too many attempts to log in")
        else:
            super().send_userauth_failure(partial_success)

    def _process_global_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        _check_queue(len(self._global_request_queue))
        super()._process_global_request(pkttype, pktid, packet)

    _packet_handlers: Final = {  # type: ignore[misc]
        **asyncssh.SSHServerConnection._packet_handlers,
        MSG_GLOBAL_REQUEST: _process_global_request,
        MSG_KEXINIT: _process_kexinit,
    }

    def create_server_channel(self, *_: Any, **__: Any) -> BoundedChannel:
        return BoundedChannel(
            self, self._loop, True, False, False, 0, 0, None, "strict", WINDOW_BYTES, MAX_PACKET_BYTES
        )

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """A key counts once it has signed, with SHA-2 or better; whom it lets in is looked up only then."""
        if signature.startswith(_SIGNED_WITH_SHA1) or not await super().validate_public_key(
            username, key_data, msg, signature
        ):
            return False
        return not msg or await self._client_server.prove_key(username, key_data)

    def pause_writing(self) -> None:
        self._client_server.writing_paused(True)

    def resume_writing(self) -> None:
        self._client_server.writing_paused(False)

    @property
    def channel_count(self) -> int:
        """Channels that are open or being opened, whether they have been asked for anything or not."""
        return sum(one._session is None or one._recv_state != "closed" for one in self._channels.values())

    @property
    def unsent_bytes(self) -> int:
        """What has not left to the client."""
        transport = self._transport
        return transport.get_write_buffer_size() if transport is not None else 0

    @property
    def _client_server(self) -> ClientServer:
        return cast(ClientServer, self._owner)


def _ciphers(kexinit: bytes) -> frozenset[bytes]:
    """What a client's KEXINIT has in both directions (RFC 4253, 7.1), without the byte that says what it is."""
    packet = SSHPacket(kexinit)
    packet.get_bytes(16)
    _, _, upward, downward = (packet.get_namelist() for _ in range(4))
    return frozenset(upward) & frozenset(downward)


def _check_queue(waiting: int) -> None:
    if waiting >= MAX_QUEUED_REQUESTS:
        raise asyncssh.ProtocolError("interlock: too many requests at a time")
