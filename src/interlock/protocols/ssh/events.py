"""The seam of one SSH channel: what its state machine is told, and what it asks for (RFC 4254).

A library owns the transport and hands over what happens on channels, so this seam speaks of channels where
``protocols.base`` speaks of bytes. The rules are the same: events in, effects out, no I/O, no clock, and never an
exception for what a peer did. Events and effects that mean the same are those of ``protocols.base``.
"""

import enum
from collections.abc import Sequence
from typing import Protocol

import msgspec

from interlock.core.masking import Masking
from interlock.core.settings import ConnectionSettings
from interlock.protocols.base import (
    Activity,
    Authorize,
    Decided,
    Held,
    Killed,
    MaskingChanged,
    Pause,
    RecordAnswer,
    RecordRequest,
    Report,
    Resume,
    SetTimer,
    TimePassed,
)

# ---------------------------------------------------------------- values


class Pty(msgspec.Struct, frozen=True):
    """The terminal of a ``pty-req`` (RFC 4254, 6.2). ``modes`` are the library's own, handed through."""

    terminal: str
    columns: int
    rows: int
    modes: tuple[tuple[int, int], ...] = ()


class ForwardKind(enum.Enum):
    """Which way a forwarding goes, as ``ssh`` calls it."""

    LOCAL = "local"
    """``direct-tcpip``, also of a dynamic forwarding: the client goes through the host to somewhere."""
    REMOTE = "remote"
    """``tcpip-forward``: the host listens, and what comes goes to the client."""
    RETURN = "return"
    """``forwarded-tcpip``: somebody has come to what the host listens on."""
    UNIX = "unix"
    """``direct-streamlocal@openssh.com``"""


class Exec(msgspec.Struct, frozen=True):
    """A command to run."""

    command: bytes
    environment: tuple[tuple[str, str], ...] = ()
    pty: Pty | None = None


class Shell(msgspec.Struct, frozen=True):
    """A login shell."""

    environment: tuple[tuple[str, str], ...] = ()
    pty: Pty | None = None


class Subsystem(msgspec.Struct, frozen=True):
    """A subsystem by name; only ``sftp`` is known."""

    name: str
    environment: tuple[tuple[str, str], ...] = ()


class Forward(msgspec.Struct, frozen=True):
    """A forwarding: to ``host:port``, to a socket's path (``port`` is 0), or what the host is to listen on."""

    kind: ForwardKind
    host: str
    port: int = 0
    origin: str = ""
    origin_port: int = 0
    """Who has come, of a ``RETURN``."""


Request = Exec | Shell | Subsystem | Forward


class ChannelContext(msgspec.Struct, frozen=True):
    """What a channel's state machine knows of its session. ``login`` is who the gateway is at the host."""

    settings: ConnectionSettings
    login: str
    masking: Masking | None = None


def version_of(masking: Masking | None) -> str:
    """What an operation says of the masks that are applied to what comes of it."""
    return masking.version if masking is not None else ""


class Output(enum.Enum):
    """The two streams from the target to the client."""

    STDOUT = "stdout"
    STDERR = "stderr"


# ---------------------------------------------------------------- events


class Requested(msgspec.Struct, frozen=True):
    """The client asks for what the channel is to be. The first event, and only once."""

    request: Request


class ClientData(msgspec.Struct, frozen=True):
    """Bytes from the client."""

    data: bytes


class ClientEof(msgspec.Struct, frozen=True):
    """The client will send nothing more."""


class ClientClosed(msgspec.Struct, frozen=True):
    """The client has closed the channel, or has gone."""


class Resized(msgspec.Struct, frozen=True):
    """``window-change``: the client's terminal has another size."""

    columns: int
    rows: int


class Signalled(msgspec.Struct, frozen=True):
    """The client sends a signal; the name is one of RFC 4254, 6.10, without ``SIG``."""

    name: str


class TargetOpened(msgspec.Struct, frozen=True):
    """Answer to ``OpenTarget``: what was asked for runs."""


class TargetFailed(msgspec.Struct, frozen=True):
    """Answer to ``OpenTarget``: it does not; ``reason`` is a sentence for the client."""

    reason: str


class TargetData(msgspec.Struct, frozen=True):
    """Bytes from the target."""

    output: Output
    data: bytes


class TargetEof(msgspec.Struct, frozen=True):
    """The target will send nothing more on either stream."""


class TargetClosed(msgspec.Struct, frozen=True):
    """The target's channel is over, with its exit status or the signal that ended it; with neither when it is lost."""

    status: int | None = None
    signal: str = ""


Event = (
    Requested
    | ClientData
    | ClientEof
    | ClientClosed
    | Resized
    | Signalled
    | TargetOpened
    | TargetFailed
    | TargetData
    | TargetEof
    | TargetClosed
    | Decided
    | Held
    | MaskingChanged
    | TimePassed
    | Killed
)

# ---------------------------------------------------------------- effects


class OpenTarget(msgspec.Struct, frozen=True):
    """Ask the target for the same; ``request`` is what it is to be asked for. ``TargetOpened`` or ``TargetFailed``."""

    request: Request


class ToTarget(msgspec.Struct, frozen=True):
    """Write to the target."""

    data: bytes


class TargetEnds(msgspec.Struct, frozen=True):
    """Tell the target that nothing more will be sent."""


class SignalTarget(msgspec.Struct, frozen=True):
    """Send the remote process a signal."""

    name: str


class ResizeTarget(msgspec.Struct, frozen=True):
    """Tell the target the terminal's size."""

    columns: int
    rows: int


class ToClient(msgspec.Struct, frozen=True):
    """Write to the client."""

    data: bytes
    output: Output = Output.STDOUT


class ClientEnds(msgspec.Struct, frozen=True):
    """Tell the client that nothing more will be sent."""


class CloseTarget(msgspec.Struct, frozen=True):
    """End what runs at the target: ``signal`` first, when there is one, then its channel."""

    signal: str = ""


class Exit(msgspec.Struct, frozen=True):
    """End the client's channel, with an exit status, with a signal, or (neither) without a word.

    What was sent before it arrives before it.
    """

    status: int | None = None
    signal: str = ""


Effect = (
    Authorize
    | OpenTarget
    | ToTarget
    | TargetEnds
    | SignalTarget
    | ResizeTarget
    | ToClient
    | ClientEnds
    | CloseTarget
    | Exit
    | RecordAnswer
    | RecordRequest
    | Report
    | SetTimer
    | Pause
    | Resume
)


class Numbers:
    """The numbers of a session's operations, over all of its channels."""

    def __init__(self) -> None:
        self._last = 0

    @property
    def used(self) -> bool:
        """Whether there has been any operation."""
        return self._last > 0

    def next(self) -> int:
        """The number of one more operation, from 1."""
        self._last += 1
        return self._last


class ChannelSession(Protocol):
    """What happens on one channel, in one of its kinds."""

    def activity(self) -> Activity:
        """What it is at now."""

    def handle(self, event: Event) -> Sequence[Effect]:
        """Take one event, return what to do, in order. Never raises for what a peer did."""
