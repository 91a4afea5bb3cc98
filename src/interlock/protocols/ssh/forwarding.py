"""The state machine of a channel that is a forwarding: bytes pass both ways, counted and not looked into."""

from collections.abc import Callable, Sequence
from typing import Final

from interlock.core.budget import Allowance
from interlock.core.decision import Permit
from interlock.core.operation import Meaning, Operation, Outcome, OutcomeStatus
from interlock.protocols import base
from interlock.protocols.base import Activity, Side
from interlock.protocols.ssh import events
from interlock.protocols.ssh.channel import State
from interlock.protocols.ssh.events import ChannelContext, Effect, Event, Forward, Numbers, Output
from interlock.protocols.ssh.notices import DENIED_STATUS, notice, refusal_line
from interlock.protocols.ssh.recorded import Kind

Read = Callable[[Forward, ChannelContext], Meaning]


class ForwardChannel:
    """Implements ``events.ChannelSession`` for ``Forward``.

    ``Exit(77)`` stands for a refusal: the channel is then not opened. What goes to the client's standard error before
    an exit is why, in one line: there is no more room in an answer that refuses to open.
    """

    def __init__(self, context: ChannelContext, numbers: Numbers, read: Read) -> None:
        self._context: Final = context
        self._numbers: Final = numbers
        self._read: Final = read
        self._masking = context.masking
        self._state = State.NEW
        self._request: Forward | None = None
        self._number = 0
        self._allowance: Allowance | None = None
        self._up_bytes = 0
        self._down_bytes = 0

    def activity(self) -> Activity:
        deciding = self._state is State.DECIDING
        return Activity(busy=self._state in (State.OPENING, State.RUNNING), deciding=deciding)

    def handle(self, event: Event) -> Sequence[Effect]:
        handler = _HANDLERS.get(type(event))
        effects: list[Effect] = []
        if handler is not None and self._state is not State.ENDED:
            handler(self, event, effects)
        return effects

    def _requested(self, event: events.Requested, effects: list[Effect]) -> None:
        request = event.request
        assert isinstance(request, Forward)
        self._request = request
        self._number = self._numbers.next()
        self._state = State.DECIDING
        text = f"{request.kind.value} {request.host}" + (f":{request.port}" if request.port else "")
        if request.origin:
            text += f" from {request.origin}:{request.origin_port}"
        meaning = self._read(request, self._context)
        masking = events.version_of(self._masking)
        operation = Operation(self._number, meaning, text.encode(), masking=masking, parameter_types=Kind.FORWARD.value)
        effects += (base.Pause(Side.CLIENT), base.Authorize((operation,)))

    def _decided(self, event: base.Decided, effects: list[Effect]) -> None:
        decision = event.decisions[0]
        if not isinstance(decision, Permit):
            effects += (events.ToClient(refusal_line(decision), Output.STDERR), events.Exit(DENIED_STATUS))
            self._state = State.ENDED
            return
        assert self._request is not None
        self._allowance = decision.allowance
        self._state = State.OPENING
        effects.append(events.OpenTarget(self._request))

    def _target_opened(self, _: events.TargetOpened, effects: list[Effect]) -> None:
        self._state = State.RUNNING
        effects.append(base.Resume(Side.CLIENT))

    def _target_failed(self, event: events.TargetFailed, effects: list[Effect]) -> None:
        effects.append(events.ToClient(notice(event.reason), Output.STDERR))
        self._end(OutcomeStatus.FAILED, event.reason, effects)

    def _client_data(self, event: events.ClientData, effects: list[Effect]) -> None:
        """A channel is not open, and has no data, before it is decided."""
        if self._state is State.RUNNING:
            self._up_bytes += len(event.data)
            effects.append(events.ToTarget(event.data))

    def _target_data(self, event: events.TargetData, effects: list[Effect]) -> None:
        if self._may_pass(len(event.data)):
            self._down_bytes += len(event.data)
            effects.append(events.ToClient(event.data))
        else:
            self._end(OutcomeStatus.INTERRUPTED, "a budget is spent", effects)

    def _may_pass(self, size: int) -> bool:
        if self._allowance is None:
            return True
        self._allowance.begin()
        return self._allowance.take(0, size)

    def _client_eof(self, _: events.ClientEof, effects: list[Effect]) -> None:
        if self._state is State.RUNNING:
            effects.append(events.TargetEnds())

    def _target_eof(self, _: events.TargetEof, effects: list[Effect]) -> None:
        effects.append(events.ClientEnds())

    def _closed(self, event: events.ClientClosed | events.TargetClosed, effects: list[Effect]) -> None:
        side = Side.CLIENT if isinstance(event, events.ClientClosed) else Side.TARGET
        self._end(OutcomeStatus.COMPLETED, f"the {side.value} has left", effects)

    def _masking_changed(self, event: base.MaskingChanged, _: list[Effect]) -> None:
        """What passes is not looked into: whether it may pass is decided under the masks that are in force."""
        self._masking = event.masking

    def _killed(self, event: base.Killed, effects: list[Effect]) -> None:
        self._end(OutcomeStatus.INTERRUPTED, event.reason, effects)

    def _end(self, status: OutcomeStatus, reason: str, effects: list[Effect]) -> None:
        """Bytes to the client are counted as such, those to the target in the tag."""
        if self._state in (State.OPENING, State.RUNNING):
            tag = f"{reason}, {self._up_bytes} bytes up"
            effects += (
                events.CloseTarget(),
                base.Report(Outcome(self._number, status, tag, bytes_sent=self._down_bytes)),
            )
        self._state = State.ENDED
        effects.append(events.Exit())


_HANDLERS: Final[dict[type, Callable[..., None]]] = {
    events.Requested: ForwardChannel._requested,
    base.Decided: ForwardChannel._decided,
    events.TargetOpened: ForwardChannel._target_opened,
    events.TargetFailed: ForwardChannel._target_failed,
    events.ClientData: ForwardChannel._client_data,
    events.TargetData: ForwardChannel._target_data,
    events.ClientEof: ForwardChannel._client_eof,
    events.TargetEof: ForwardChannel._target_eof,
    events.ClientClosed: ForwardChannel._closed,
    events.TargetClosed: ForwardChannel._closed,
    base.MaskingChanged: ForwardChannel._masking_changed,
    base.Killed: ForwardChannel._killed,
}
