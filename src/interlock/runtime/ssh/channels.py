"""Drives one channel: what both sides' channels do becomes events of its state machine, whose effects are carried out.

Back-pressure is here: a side that takes data more slowly stops the other one from being read.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import asyncssh
import structlog

from interlock.core.decision import Decision
from interlock.core.errors import InterlockError
from interlock.core.operation import Operation
from interlock.protocols.base import (
    Activity,
    Authorize,
    Decided,
    Killed,
    Pause,
    RecordAnswer,
    RecordRequest,
    Report,
    Resume,
    SetTimer,
    Side,
    TimePassed,
)
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import ChannelSession, Event, Output, Request
from interlock.protocols.ssh.notices import DENIED_STATUS, notice
from interlock.runtime.session_timer import SessionTimer
from interlock.runtime.tasks import spawn
from interlock.services.enforcement import SessionGuard
from interlock.services.ports import SessionRecorder

log = structlog.get_logger()

STDERR: Final = asyncssh.EXTENDED_DATA_STDERR
_REQUESTABLE: Final = frozenset({"open", "eof_pending", "eof"})
"""States of a channel, as the library calls them, in which it has not been closed."""


class Wire(Protocol):
    """A side's channel, as the library has it."""

    def write(self, data: bytes, datatype: int | None = None) -> None: ...

    def write_eof(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int: ...

    def is_closing(self) -> bool: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class ChannelOwner(Protocol):
    """The session that a channel is in."""

    @property
    def guard(self) -> SessionGuard: ...

    @property
    def recorder(self) -> SessionRecorder: ...

    @property
    def frozen(self) -> bool: ...

    @property
    def freezes(self) -> int: ...

    async def thawed(self) -> None: ...

    def note_received(self, size: int) -> None: ...

    def note_sent(self, size: int) -> None: ...

    def before_data(self) -> None: ...

    async def open_target(self, request: Request, channel: "ChannelDriver") -> Wire: ...

    def deciding(self, operations: Sequence[Operation], channel: "ChannelDriver") -> None: ...

    def left_running(self, channel: "ChannelDriver", signal: str) -> None: ...

    def channel_ended(self, channel: "ChannelDriver") -> None: ...

    def failed(self, error: Exception) -> None: ...


class Valve:
    """Stops a side from being read for as long as there is any reason to."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._reasons: set[str] = set()

    def attach(self, wire: Wire) -> None:
        self._wire = wire
        if self._reasons:
            wire.pause_reading()

    def close(self, reason: str) -> None:
        if not self._reasons and self._wire is not None:
            self._wire.pause_reading()
        self._reasons.add(reason)

    def open(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.discard(reason)
            if not self._reasons and self._wire is not None:
                self._wire.resume_reading()

    def settle(self) -> None:
        """The library has begun to read by itself: stop it where there is a reason to."""
        if self._reasons and self._wire is not None:
            self._wire.pause_reading()


class ChannelDriver:
    """One channel of a client, and the one to the target that belongs to it."""

    def __init__(self, owner: ChannelOwner) -> None:
        self._owner = owner
        self._session: ChannelSession | None = None
        self._client: Wire | None = None
        self._target: Wire | None = None
        self.client_valve = Valve()
        self.target_valve = Valve()
        self._events: deque[Event] = deque()
        self._running = False
        self._ended = False
        self._timer = SessionTimer(self._time_passed)
        self._last_words: list[str] = []
        self._client_takes_no_more = False
        self._opening: asyncio.Task[Any] | None = None
        self.settled: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """Of a forwarding: None once it is open, else why it is not."""

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def target(self) -> Wire | None:
        """The target's side, once it is there."""
        return self._target

    @property
    def unsent_bytes(self) -> int:
        return self._client.get_write_buffer_size() if self._client is not None else 0

    def activity(self) -> Activity:
        return self._session.activity() if self._session is not None else Activity()

    # ------------------------------------------------------------ what happens

    def begin(self, session: ChannelSession, request: Request) -> None:
        """It is known what the channel is to be; what has come until now comes after that."""
        self._session = session
        self._events.appendleft(events.Requested(request))
        self._carry_out_all()

    def refuse(self, reason: str) -> None:
        """It cannot be anything; ``reason`` is a sentence for the client."""
        self._to_client(events.ToClient(notice(reason), Output.STDERR))
        self._exit(events.Exit(DENIED_STATUS))

    def attach_client(self, wire: Wire) -> None:
        self._client = wire
        self.client_valve.attach(wire)

    def attach_target(self, wire: Wire) -> None:
        self._target = wire
        self.target_valve.attach(wire)
        if self._client_takes_no_more:
            self.client_takes_no_more()

    def client_takes_no_more(self) -> None:
        """Nobody reads the client's output any more: the target is told, and what writes it ends as a rule."""
        self._client_takes_no_more = True
        if (target := self._requestable()) is not None:
            target._send_request(b"eow@openssh.com")

    def client_data(self, data: bytes) -> None:
        self._owner.note_received(len(data))
        self._owner.before_data()
        self.feed(events.ClientData(data))

    def target_data(self, output: Output, data: bytes) -> None:
        self._owner.before_data()
        self.feed(events.TargetData(output, data))

    def client_full(self, full: bool) -> None:
        """The client takes data more slowly than the target gives it."""
        self.target_valve.close("client") if full else self.target_valve.open("client")

    def target_full(self, full: bool) -> None:
        """The target takes data more slowly than the client gives it."""
        self.client_valve.close("target") if full else self.client_valve.open("target")

    def freeze(self) -> None:
        self.client_valve.close("frozen")
        self.target_valve.close("frozen")

    def thaw(self) -> None:
        self._carry_out_all()
        self.client_valve.open("frozen")
        self.target_valve.open("frozen")

    def kill(self, code: str, reason: str) -> None:
        """End it; what has not left to the client is dropped when it stands in the way of the reason."""
        if self.unsent_bytes and self._client is not None:
            self._client.abort()
        self._events.clear()
        if self._session is None:
            self.refuse(reason)
        self.feed(Killed(code, reason))

    def feed(self, event: Event) -> None:
        """Take an event, and carry out what it asks for unless the session is frozen."""
        if self._ended:
            return
        self._events.append(event)
        self._carry_out_all()

    # ------------------------------------------------------------ effects

    def _carry_out_all(self) -> None:
        if self._running or self._session is None or self._owner.frozen:
            return
        self._running = True
        try:
            while self._events and not self._ended:
                for effect in self._session.handle(self._events.popleft()):
                    _CARRY_OUT[type(effect)](self, effect)
        except Exception as error:  # noqa: BLE001 - the boundary: an error ends this session and nothing else
            self._owner.failed(error)
        finally:
            self._running = False

    def _authorize(self, effect: Authorize) -> None:
        self._owner.deciding(effect.operations, self)
        decisions = self._owner.guard.authorize(effect.operations)
        if type(decisions) is tuple:
            self.feed(Decided(decisions))
        else:
            spawn(self._decide(effect.operations, decisions, self._owner.freezes), "decide")  # type: ignore[arg-type]

    async def _decide(
        self, operations: Sequence[Operation], waiting: Awaitable[tuple[Decision, ...]], freezes: int
    ) -> None:
        try:
            decisions = await waiting
            await self._owner.thawed()
            if self._owner.freezes != freezes:
                decisions = self._owner.guard.confirm(operations, decisions)
        except Exception as error:  # noqa: BLE001 - the boundary, see _carry_out_all
            self._owner.failed(error)
            return
        self.feed(Decided(decisions))

    def _open_target(self, effect: events.OpenTarget) -> None:
        self._opening = spawn(self._open(effect.request), "open channel at the target")

    async def _open(self, request: Request) -> None:
        try:
            target = await self._owner.open_target(request, self)
        except (OSError, asyncssh.Error, InterlockError, TimeoutError) as error:
            self.feed(events.TargetFailed(str(error) or "the target did not answer in time"))
            return
        except Exception as error:  # noqa: BLE001 - the boundary, see _carry_out_all
            self._owner.failed(error)
            return
        if self._ended:
            target.close()

    def target_opened(self) -> None:
        """The target has agreed; data may come from now on."""
        self.feed(events.TargetOpened())
        if not self.settled.done():
            self.settled.set_result(None)

    def _to_target(self, effect: events.ToTarget) -> None:
        if self._target is not None and not self._target.is_closing():
            self._target.write(effect.data)

    def _target_ends(self, _: events.TargetEnds) -> None:
        if self._target is not None:
            self._target.write_eof()

    def _signal_target(self, effect: events.SignalTarget) -> None:
        if (target := self._requestable()) is not None:
            target.send_signal(effect.name)

    def _resize_target(self, effect: events.ResizeTarget) -> None:
        if (target := self._requestable()) is not None:
            target.change_terminal_size(effect.columns, effect.rows)

    def _requestable(self) -> asyncssh.SSHClientChannel[bytes] | None:
        """The target's channel while requests can be made on it: also when no more data is going to be sent."""
        target = self._target
        if isinstance(target, asyncssh.SSHClientChannel) and target._send_state in _REQUESTABLE:
            return target
        return None

    def _close_target(self, effect: events.CloseTarget) -> None:
        if self._opening is not None and self._target is None:
            self._opening.cancel()
        if self._target is None:
            return
        if effect.signal:
            self._signal_target(events.SignalTarget(effect.signal))
        self._target.close()
        self._owner.left_running(self, effect.signal)

    def _to_client(self, effect: events.ToClient) -> None:
        if self._client is None:
            if effect.output is Output.STDERR:
                self._last_words.append(effect.data.decode(errors="replace").strip())
            return
        if self._client.is_closing():
            return
        self._owner.note_sent(len(effect.data))
        self._client.write(effect.data, STDERR if effect.output is Output.STDERR else None)

    def _client_ends(self, _: events.ClientEnds) -> None:
        if self._client is not None:
            self._client.write_eof()

    def _exit(self, effect: events.Exit) -> None:
        self._ended = True
        self._timer.stop()
        if not self.settled.done():
            self.settled.set_result(" ".join(self._last_words) or "refused")
        client = self._client
        if client is not None and not client.is_closing():
            if isinstance(client, asyncssh.SSHServerChannel) and effect.status is not None:
                client.exit(effect.status)
            elif isinstance(client, asyncssh.SSHServerChannel) and effect.signal:
                client.exit_with_signal(effect.signal)
            else:
                client.close()
        self._owner.channel_ended(self)

    def _record_answer(self, effect: RecordAnswer) -> None:
        self._owner.recorder.answer(effect.number, effect.data)

    def _record_request(self, effect: RecordRequest) -> None:
        self._owner.recorder.request(effect.number, effect.data)

    def _report(self, effect: Report) -> None:
        self._owner.guard.report(effect.outcome)

    def _set_timer(self, effect: SetTimer) -> None:
        self._timer.set(effect.after_s)

    def _time_passed(self) -> None:
        self.feed(TimePassed())

    def _pause(self, effect: Pause) -> None:
        (self.client_valve if effect.side is Side.CLIENT else self.target_valve).close("session")

    def _resume(self, effect: Resume) -> None:
        (self.client_valve if effect.side is Side.CLIENT else self.target_valve).open("session")


_CARRY_OUT: Final[dict[type, Callable[[ChannelDriver, Any], None]]] = {
    Authorize: ChannelDriver._authorize,
    events.OpenTarget: ChannelDriver._open_target,
    events.ToTarget: ChannelDriver._to_target,
    events.TargetEnds: ChannelDriver._target_ends,
    events.SignalTarget: ChannelDriver._signal_target,
    events.ResizeTarget: ChannelDriver._resize_target,
    events.CloseTarget: ChannelDriver._close_target,
    events.ToClient: ChannelDriver._to_client,
    events.ClientEnds: ChannelDriver._client_ends,
    events.Exit: ChannelDriver._exit,
    RecordAnswer: ChannelDriver._record_answer,
    RecordRequest: ChannelDriver._record_request,
    Report: ChannelDriver._report,
    SetTimer: ChannelDriver._set_timer,
    Pause: ChannelDriver._pause,
    Resume: ChannelDriver._resume,
}
