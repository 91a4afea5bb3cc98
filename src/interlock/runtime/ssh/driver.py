"""Drives one client's SSH connection: one session, whose channels share a guard, a recorder and one target connection.

The one boundary that catches everything: whatever goes wrong in here ends this session, is logged without details that
could hold data, and touches no other session.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncssh
import msgspec
import structlog

from interlock.core.approval import ApprovalRequest
from interlock.core.errors import InterlockError, MaskingUnavailable
from interlock.core.operation import Operation
from interlock.core.run import run_in
from interlock.core.session import SessionStatus
from interlock.protocols import base
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import ChannelContext, ForwardKind, Numbers, Request
from interlock.runtime.ssh.channels import ChannelDriver, Wire
from interlock.runtime.ssh.connection import ClientConnection
from interlock.runtime.ssh.parts import SshParts
from interlock.runtime.ssh.target import TargetConnection
from interlock.runtime.ssh.wires import ForwardSide
from interlock.runtime.tasks import spawn
from interlock.services.enforcement import SessionGuard
from interlock.services.opening import Caller, NotAdmitted, OpenSession
from interlock.services.ports import SessionRecorder

log = structlog.get_logger()

RUN_VARIABLES: Final = ("INTERLOCK_RUN", "TRACEPARENT")
"""Environment variables in which a client may say which run it belongs to."""


class SshDriver:
    """Implements ``live_sessions.Driven`` and ``channels.ChannelOwner`` for one connection."""

    def __init__(self, parts: SshParts, address: str, on_end: Callable[["SshDriver"], None]) -> None:
        self._parts = parts
        self._address = address
        self._on_end = on_end
        self.connection: ClientConnection | None = None
        self.application = ""
        self._opened: OpenSession | None = None
        self._caller: Caller | None = None
        self._target: TargetConnection | None = None
        self._numbers = Numbers()
        self._channels: dict[ChannelDriver, set[int]] = {}
        self._changing = asyncio.Lock()
        """Held while the session is closed and opened again."""
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._freezes = 0
        self._received = 0
        self._sent = 0
        self._left_running = False
        """Whether something may still run at the host that nobody hears of."""
        self._ended = False
        self.letting_go: asyncio.Task[Any] | None = None
        """What is still to be done after the end, at the host above all."""

    # ------------------------------------------------------------ for the list of live sessions

    @property
    def opened(self) -> OpenSession | None:
        return self._opened

    @property
    def frozen(self) -> bool:
        return not self._thawed.is_set()

    @property
    def freezes(self) -> int:
        return self._freezes

    @property
    def backend(self) -> tuple[int, int] | None:
        return None

    @property
    def sent_bytes(self) -> int:
        return self._sent

    @property
    def unsent_bytes(self) -> int:
        own = self.connection.unsent_bytes if self.connection is not None else 0
        return own + sum(channel.unsent_bytes for channel in self._channels)

    def activity(self) -> base.Activity:
        """Of all channels together."""
        found = [channel.activity() for channel in self._channels]
        return base.Activity(any(one.busy for one in found), any(one.deciding for one in found))

    def kill(self, code: str, reason: str) -> None:
        """End the session, tell the client why, and end at the target what is still running."""
        self._end(SessionStatus.KILLED, code, reason)

    cut = kill

    def freeze(self) -> None:
        """Let nothing through either way until ``thaw``; what runs at the host waits as soon as its output is full."""
        self._thawed.clear()
        self._freezes += 1
        for channel in self._channels:
            channel.freeze()

    def thaw(self) -> None:
        """Go on with what has come meanwhile, in its order."""
        self._thawed.set()
        for channel in list(self._channels):
            channel.thaw()

    def notice_leaving(self) -> None:
        """The library notices by itself when a client leaves."""

    # ------------------------------------------------------------ logging in

    async def open(self, caller: Caller) -> None:
        """Open the session. Raises ``NotAdmitted``, which is on record by then."""
        opened = await self._parts.reception.open(caller)
        self._opened, self._caller = opened, caller
        opened.guard.tell = self._tell_held
        self._target = TargetConnection(self._parts, opened.session, opened.settings, self._come)
        if self._ended:
            self._close_record(SessionStatus.CLOSED, "the client left while it was logged in")
            return
        self._parts.live.opened(self)

    async def refused(self, username: str, reason: str) -> None:
        """Keep on record that a client did not get as far as showing a proof."""
        target = self.caller(username).target
        await self._parts.reception.refused("ssh", self._address, target, "", reason)

    def accepts_key(self, fingerprint: str) -> bool:
        """Whether it is worth asking a client to prove that it has this key."""
        return self._parts.reception.accepts_ssh_key(fingerprint)

    def caller(self, username: str, token: str = "", ssh_key: str = "", ssh_certificate: str = "") -> Caller:
        """Whoever the client says it is, with its proof. User names are ``CONNECTION`` or ``LOGIN+CONNECTION``."""
        login, _, connection = username.rpartition("+")
        return Caller(
            protocol="ssh",
            target=f"{connection}/{login}" if login else connection,
            client_address=self._address,
            application=self.application,
            token=token,
            ssh_key=ssh_key,
            ssh_certificate=ssh_certificate,
        )

    # ------------------------------------------------------------ channels

    def start(self, request: Request, attach: Callable[[ChannelDriver], None]) -> ChannelDriver:
        """A channel for what the client asks for; ``attach`` gives it its client's side."""
        channel = ChannelDriver(self)
        self._channels[channel] = set()
        attach(channel)
        if self.frozen:
            channel.freeze()
        run, opened = _run_of(request), self._opened
        if self._changing.locked() or opened is None or (run and run_in(run) != opened.session.trace):
            spawn(self._begin_in_run(request, run, channel), "begin channel")
        else:
            self._begin(request, channel)
        return channel

    def _begin(self, request: Request, channel: ChannelDriver) -> None:
        self.before_data()
        opened = self._opened
        assert opened is not None
        if channel.ended:
            return
        request = self._permitted_environment(request)
        context = ChannelContext(opened.settings, opened.session.database, opened.guard.masking)
        if not self._parts.reception.still_admits(opened):
            channel.refuse("what you logged in with has expired: log in again")
            return
        try:
            session = self._parts.new_channel(request, context, self._numbers)
        except ValueError as error:
            channel.refuse(str(error))
            return
        channel.begin(session, request)

    async def _begin_in_run(self, request: Request, run: str, channel: ChannelDriver) -> None:
        """The client says only now which run it belongs to: a session that has done nothing begins again in it."""
        try:
            async with self._changing:
                if self._ended:
                    return
                assert self._opened is not None
                trace = self._opened.session.trace
                if run and run_in(run) != trace and self._numbers.used:
                    channel.refuse(f"this connection belongs to another run ({trace or 'none'}): open one of its own")
                    return
                if run and run_in(run) != trace:
                    await self._reopen(run)
            self._begin(request, channel)
        except NotAdmitted as refused:
            self.kill(refused.code, str(refused))
        except Exception as error:  # noqa: BLE001 - the boundary: an error ends this session and nothing else
            self.failed(error)

    async def _reopen(self, run: str) -> None:
        opened, caller = self._opened, self._caller
        assert opened is not None
        assert caller is not None
        self._parts.live.ended(self)
        self._close_record(SessionStatus.CLOSED, "the client went on as part of a run")
        self._opened = None
        await self.open(msgspec.structs.replace(caller, application=f"{self.application} {run}"))

    def _permitted_environment(self, request: Request) -> Request:
        if isinstance(request, events.Forward):
            return request
        assert self._opened is not None
        patterns = self._opened.settings.ssh.environment
        kept = tuple(pair for pair in request.environment if _matches(pair[0], patterns))
        return msgspec.structs.replace(request, environment=kept)

    @property
    def guard(self) -> SessionGuard:
        assert self._opened is not None
        return self._opened.guard

    @property
    def recorder(self) -> SessionRecorder:
        assert self._opened is not None
        return self._opened.recorder

    async def thawed(self) -> None:
        await self._thawed.wait()

    def note_received(self, size: int) -> None:
        self._received += size

    def note_sent(self, size: int) -> None:
        self._sent += size

    def before_data(self) -> None:
        """What comes from here on is under the masks that are in force now."""
        if self._opened is None or not self._opened.guard.masking_is_stale:
            return
        try:
            masking = self._opened.guard.renew_masking()
        except MaskingUnavailable as error:
            log.warning("session ended", session=self._opened.session.id, error=str(error))
            self.kill("58000", "the gateway can no longer tell what is masked for you, so it ends this session")
            return
        for channel in list(self._channels):
            channel.feed(base.MaskingChanged(masking))

    async def open_target(self, request: Request, channel: ChannelDriver) -> Wire:
        if isinstance(request, events.Forward) and request.kind is ForwardKind.RETURN:
            return await self._open_to_client(request, channel)
        assert self._target is not None
        return await self._target.open(request, channel)

    async def _come(self, listened: events.Forward, origin: tuple[str, int]) -> ForwardSide:
        """Somebody has come to what the host listens on. Raises ``ChannelOpenError`` when it is refused."""
        if len(self._channels) >= self._parts.settings.max_channels:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "as many channels as there may be")
        request = events.Forward(ForwardKind.RETURN, listened.host, listened.port, *origin)
        channel = self.start(request, lambda _: None)
        refused = await channel.settled
        if refused is not None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, refused)
        return ForwardSide(channel, is_client=False)

    async def _open_to_client(self, request: events.Forward, channel: ChannelDriver) -> Wire:
        """The client's side of what comes back to it; the target's is there already, and waits for this."""
        assert self.connection is not None
        side: Any = lambda: ForwardSide(channel, is_client=True)  # noqa: E731 - the same for both sides
        wire: Wire
        wire, _ = await self.connection.create_connection(
            side, request.host, request.port, request.origin, request.origin_port
        )
        channel.settled.set_result(None)
        return wire

    def deciding(self, operations: Sequence[Operation], channel: ChannelDriver) -> None:
        self._channels[channel] = {operation.number for operation in operations}

    def left_running(self, channel: ChannelDriver, signal: str) -> None:
        """What ran for a channel was left to itself, after a signal that the host may not have passed on."""
        self._left_running = True
        alone = not any(other.activity().busy for other in self._channels if other is not channel)
        if signal == "KILL" and alone and self._target is not None and not self._ended:
            spawn(self._target.sweep(signal), "end processes at the host")

    def channel_ended(self, channel: ChannelDriver) -> None:
        numbers = self._channels.pop(channel, set())
        if self._opened is not None and numbers:
            self._opened.guard.give_up("the client has closed the channel", numbers)

    def _tell_held(self, request: ApprovalRequest, link: str) -> None:
        message = f"held: {request.message} Request {request.id}."
        told = base.Held(message, f"It can be answered at: {link}", request.id, link)
        for channel, numbers in list(self._channels.items()):
            if request.number in numbers:
                channel.feed(told)

    def writing_paused(self, paused: bool) -> None:
        """The client's socket is full, or has room again."""
        for channel in self._channels:
            channel.target_valve.close("socket") if paused else channel.target_valve.open("socket")

    # ------------------------------------------------------------ the end

    def left(self) -> None:
        """The client's connection is gone."""
        self._end(SessionStatus.CLOSED, "", "the client has left")

    def failed(self, error: Exception) -> None:
        """Something went wrong that must not."""
        session = self._opened.session.id if self._opened else ""
        exc_info = not isinstance(error, InterlockError)
        log.error("session failed", session=session, error=type(error).__name__, exc_info=exc_info)
        self._end(SessionStatus.INTERRUPTED, "58000", "the gateway had to end this session")

    def _end(self, status: SessionStatus, code: str, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._thawed.set()
        for channel in list(self._channels):
            channel.kill(code, reason) if code else channel.feed(events.ClientClosed())
        if self._opened is not None:
            self._opened.guard.give_up("the client has left")
            self._parts.live.ended(self)
            self._close_record(status, reason)
        self.letting_go = spawn(self._let_go(code, reason), "end session")
        self._on_end(self)

    async def _let_go(self, code: str, reason: str) -> None:
        if self._target is not None:
            await self._target.end(("KILL" if code else "HUP") if self._left_running else "")
        if self.connection is not None and code:
            self.connection.disconnect(asyncssh.DISC_BY_APPLICATION, f"interlock: {reason}")

    def _close_record(self, status: SessionStatus, reason: str) -> None:
        assert self._opened is not None
        self._parts.reception.close(self._opened, status, reason, self._received, self._sent)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in patterns)


def _run_of(request: Any) -> str:
    variables = dict(getattr(request, "environment", ()))
    return next((variables[name] for name in RUN_VARIABLES if run_in(variables.get(name, ""))), "")
