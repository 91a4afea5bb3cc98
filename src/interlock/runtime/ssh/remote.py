"""Remote forwardings (RFC 4254, 7.1): the host listens, and what comes there goes back to the client.

What listens is one operation, which lasts as long as it does; each connection that comes is another one.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh

from interlock.protocols.ssh import events
from interlock.runtime.ssh.channels import ChannelDriver

Come = Callable[[events.Forward, tuple[str, int]], Awaitable[Any]]
"""Somebody has come to what the host listens on, from an address and port: the library's session for it."""


class HostListener:
    """What the host listens on, as the target's side of its operation. Nothing is ever written to it."""

    def __init__(self, listener: asyncssh.SSHListener) -> None:
        self._listener = listener
        self._closed = False

    @property
    def port(self) -> int:
        """The port that the host has really taken."""
        return self._listener.get_port()

    def close(self) -> None:
        """Have the host listen no more."""
        self._closed = True
        self._listener.close()

    abort = close

    def is_closing(self) -> bool:
        return self._closed

    def write(self, data: bytes, datatype: int | None = None) -> None:
        """There is nobody on this side."""

    def write_eof(self) -> None:
        """There is nobody on this side."""

    def pause_reading(self) -> None:
        """Those who come are channels of their own."""

    def resume_reading(self) -> None:
        """Those who come are channels of their own."""

    def get_write_buffer_size(self) -> int:
        return 0


class ClientListener(asyncssh.SSHListener):
    """The same for the library, on the client's side: closed when the client takes its request back, or leaves."""

    def __init__(self, channel: ChannelDriver, port: int) -> None:
        super().__init__()
        self._channel = channel
        self._port = port

    def get_port(self) -> int:
        return self._port

    def close(self) -> None:
        self._channel.feed(events.ClientClosed())

    async def wait_closed(self) -> None:
        """It is closed at once."""


async def listen_at_host(
    connection: asyncssh.SSHClientConnection, request: events.Forward, channel: ChannelDriver, come: Come
) -> HostListener:
    """Have the host listen, as the target's side of a channel. Raises ``ChannelListenError``, ``OSError``."""

    def accept(orig_host: str, orig_port: int) -> Any:
        return come(request, (orig_host, orig_port))

    listener = HostListener(await connection.create_server(accept, request.host, request.port))
    channel.attach_target(listener)
    channel.target_opened()
    return listener
