"""The library's callbacks for channels, on both sides, handed on to whoever drives the channel."""

from collections.abc import Callable
from typing import Any, Final

import asyncssh

from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import Output, Pty, Request
from interlock.runtime.ssh.channels import STDERR, ChannelDriver

MAX_TERMINAL_SIDE: Final = 10_000


class ClientSession(asyncssh.SSHServerSession[bytes]):
    """A client's session channel. ``start`` is called with what it is to be."""

    def __init__(self, start: Callable[["ClientSession", Request], ChannelDriver]) -> None:
        self._start = start
        self._driver: ChannelDriver | None = None
        self._request: Callable[[], Request] | None = None
        self._pty: Pty | None = None
        self.channel: Any = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.channel = chan

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        columns, rows = (min(side, MAX_TERMINAL_SIDE) for side in term_size[:2])
        self._pty = Pty(term_type[:64], columns, rows, tuple(sorted(term_modes.items())))
        return True

    def shell_requested(self) -> bool:
        self._request = lambda: events.Shell(self._environment(), self._pty)
        return True

    def exec_requested(self, command: str) -> bool:
        self._request = lambda: events.Exec(command.encode(errors="surrogateescape"), self._environment(), self._pty)
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        self._request = lambda: events.Subsystem(subsystem, self._environment())
        return True

    def session_started(self) -> None:
        assert self._request is not None
        self._driver = self._start(self, self._request())
        self.channel.get_loop().call_soon(self._driver.client_valve.settle)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._driver is not None:
            self._driver.client_data(data)

    def eof_received(self) -> bool:
        if self._driver is not None:
            self._driver.feed(events.ClientEof())
        return True

    def signal_received(self, signal: str) -> None:
        if self._driver is not None:
            self._driver.feed(events.Signalled(signal))

    def break_received(self, msec: int) -> bool:
        return False

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._driver is not None:
            self._driver.feed(events.Resized(min(width, MAX_TERMINAL_SIDE), min(height, MAX_TERMINAL_SIDE)))

    def pause_writing(self) -> None:
        if self._driver is not None:
            self._driver.client_full(True)

    def resume_writing(self) -> None:
        if self._driver is not None:
            self._driver.client_full(False)

    def client_takes_no_more(self) -> None:
        """What reads the client's output is gone, such as ``head`` in ``ssh … | head``."""
        if self._driver is not None:
            self._driver.client_takes_no_more()

    def client_closing(self) -> None:
        """The client closes the channel, although reading may be paused."""
        if self._driver is not None:
            self._driver.feed(events.ClientClosed())

    def connection_lost(self, exc: Exception | None) -> None:
        self.client_closing()

    def _environment(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.channel.get_environment().items())


class TargetSession(asyncssh.SSHClientSession[bytes]):
    """The session channel to the target."""

    def __init__(self, driver: ChannelDriver) -> None:
        self._driver = driver
        self._status: int | None = None
        self._signal = ""
        self._channel: Any = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def session_started(self) -> None:
        self._driver.attach_target(self._channel)
        self._driver.target_opened()
        self._channel.get_loop().call_soon(self._driver.target_valve.settle)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._driver.target_data(Output.STDERR if datatype == STDERR else Output.STDOUT, data)

    def eof_received(self) -> bool:
        self._driver.feed(events.TargetEof())
        return True

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._signal = signal

    def pause_writing(self) -> None:
        self._driver.target_full(True)

    def resume_writing(self) -> None:
        self._driver.target_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.feed(events.TargetClosed(self._status, self._signal))


class ForwardSide(asyncssh.SSHTCPSession[bytes]):
    """One side of a forwarding; ``is_client`` says which."""

    def __init__(self, driver: ChannelDriver, is_client: bool) -> None:
        self._driver = driver
        self._is_client = is_client
        self._channel: Any = None

    def connection_made(self, chan: Any) -> None:
        self._channel = chan
        if self._is_client:
            self._driver.attach_client(chan)
        else:
            self._driver.attach_target(chan)

    def session_started(self) -> None:
        if not self._is_client:
            self._driver.target_opened()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._is_client:
            self._driver.client_data(data)
        else:
            self._driver.target_data(Output.STDOUT, data)

    def eof_received(self) -> bool:
        self._driver.feed(events.ClientEof() if self._is_client else events.TargetEof())
        return True

    def pause_writing(self) -> None:
        self._full(True)

    def resume_writing(self) -> None:
        self._full(False)

    def _full(self, full: bool) -> None:
        if self._is_client:
            self._driver.client_full(full)
        else:
            self._driver.target_full(full)

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.feed(events.ClientClosed() if self._is_client else events.TargetClosed())
