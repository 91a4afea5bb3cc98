"""The state machine of a channel that runs a command or a shell: one operation, decided before the target hears of it.

While it is decided, what the client sends waits in here; it is no more than the channel's window, as the client is
paused. Output is masked before it is recorded and sent, and every part of it is asked for where a budget limits it.
"""

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from interlock.core.budget import Allowance
from interlock.core.decision import Decision, Permit
from interlock.core.operation import Meaning, Operation, Outcome, OutcomeStatus
from interlock.protocols import base
from interlock.protocols.base import Activity, Side
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import ChannelContext, Effect, Event, Exec, Numbers, Output, Pty, Shell
from interlock.protocols.ssh.masking.input import InputWatch
from interlock.protocols.ssh.masking.output import OutputMask
from interlock.protocols.ssh.notices import DENIED_STATUS, notice, refusal
from interlock.protocols.ssh.recorded import Kind, Stream, encode

SIGNALS: Final = frozenset(
    {"ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2"}
)
"""RFC 4254, section 6.10."""
FLUSH_AFTER_S: Final = 0.03
"""How long output may be held back because it could be the beginning of something masked, when nothing goes on."""

_STREAMS: Final = {Output.STDOUT: Stream.OUTPUT, Output.STDERR: Stream.ERROR}

Read = Callable[[Exec | Shell, ChannelContext], Meaning]


class State(enum.Enum):
    """Where a channel is."""

    NEW = "new"
    DECIDING = "deciding"
    OPENING = "opening"
    RUNNING = "running"
    ENDED = "ended"


class CommandChannel:
    """Implements ``events.ChannelSession`` for ``Exec`` and ``Shell``; ``read`` says what a request means."""

    def __init__(self, context: ChannelContext, numbers: Numbers, read: Read) -> None:
        self._context: Final = context
        self._numbers: Final = numbers
        self._read: Final = read
        self._masking = context.masking
        self._state = State.NEW
        self._request: Exec | Shell = Shell()
        self._number = 0
        self._waiting: list[bytes] = []
        self._client_ended = False
        self._allowance: Allowance | None = None
        self._masks: dict[Output, OutputMask] = {}
        self._found: Counter[str] = Counter()
        self._masked_values = 0
        self._input: InputWatch | None = None
        self._passed: dict[Output, int] | None = None
        """How much of each stream had gone on when the timer was set, if it is."""
        self._sent_bytes = 0

    def activity(self) -> Activity:
        deciding = self._state is State.DECIDING
        return Activity(busy=self._state in (State.OPENING, State.RUNNING), deciding=deciding)

    def handle(self, event: Event) -> Sequence[Effect]:
        if self._state is State.ENDED:
            return ()
        effects: list[Effect] = []
        _HANDLERS[type(event)](self, event, effects)
        return effects

    # ------------------------------------------------------------ what the client wants

    def _requested(self, event: events.Requested, effects: list[Effect]) -> None:
        request = event.request
        assert isinstance(request, (Exec, Shell))
        self._request = request
        self._number = self._numbers.next()
        self._state = State.DECIDING
        text, kind = (request.command, Kind.EXEC) if isinstance(request, Exec) else (b"", Kind.SHELL)
        meaning, parameters = self._read(request, self._context), parameters_of(request)
        masking = events.version_of(self._masking)
        operation = Operation(
            self._number,
            meaning,
            text,
            parameters,
            masking=masking,
            parameter_types=kind.value,
            lasting=kind is Kind.SHELL,
        )
        effects += (base.Pause(Side.CLIENT), base.Authorize((operation,)))

    def _client_data(self, event: events.ClientData, effects: list[Effect]) -> None:
        if self._state is State.RUNNING:
            self._to_target(event.data, effects)
        else:
            self._waiting.append(event.data)

    def _client_eof(self, _: events.ClientEof, effects: list[Effect]) -> None:
        self._client_ended = True
        if self._state is State.RUNNING:
            effects.append(events.TargetEnds())

    def _client_closed(self, _: events.ClientClosed, effects: list[Effect]) -> None:
        if self._state in (State.OPENING, State.RUNNING):
            effects.append(events.CloseTarget("HUP"))
            self._report(OutcomeStatus.INTERRUPTED, "the client has left", effects)
        effects.append(events.Exit())
        self._end(effects)

    def _resized(self, event: events.Resized, effects: list[Effect]) -> None:
        pty = self._request.pty
        if pty is None:
            return
        self._request = _with_pty(self._request, Pty(pty.terminal, event.columns, event.rows, pty.modes))
        if self._state is State.RUNNING:
            self._record(Stream.RESIZED, f"{event.columns}x{event.rows}".encode(), effects)
            effects.append(events.ResizeTarget(event.columns, event.rows))

    def _signalled(self, event: events.Signalled, effects: list[Effect]) -> None:
        if self._state is State.RUNNING and event.name in SIGNALS:
            effects.append(base.RecordRequest(self._number, encode(Stream.SIGNAL, event.name.encode())))
            effects.append(events.SignalTarget(event.name))

    def _to_target(self, data: bytes, effects: list[Effect]) -> None:
        assert self._input is not None
        self._record_input(self._input.input(data), effects)
        effects.append(events.ToTarget(data))

    def _record_input(self, kept: bytes, effects: list[Effect]) -> None:
        if kept:
            effects.append(base.RecordRequest(self._number, encode(Stream.INPUT, kept)))

    # ------------------------------------------------------------ what is decided

    def _held(self, event: base.Held, effects: list[Effect]) -> None:
        effects.append(events.ToClient(notice(event.message, event.hint, self._terminal), Output.STDERR))

    def _decided(self, event: base.Decided, effects: list[Effect]) -> None:
        if self._state is not State.DECIDING:
            return
        decision: Decision = event.decisions[0]
        if isinstance(decision, Permit):
            self._state = State.OPENING
            self._allowance = decision.allowance
            effects.append(events.OpenTarget(self._request))
        else:
            self._refuse(refusal(decision, self._terminal), effects)

    def _refuse(self, text: bytes, effects: list[Effect]) -> None:
        effects += (events.ToClient(text, Output.STDERR), events.Exit(DENIED_STATUS))
        self._end(effects)

    # ------------------------------------------------------------ what the target does

    def _target_opened(self, _: events.TargetOpened, effects: list[Effect]) -> None:
        self._state = State.RUNNING
        self._input = InputWatch(self._masking, self._terminal)
        self._new_masks()
        pty = self._request.pty
        if pty is not None:
            self._record(Stream.RESIZED, f"{pty.columns}x{pty.rows}".encode(), effects)
        for data in self._waiting:
            self._to_target(data, effects)
        self._waiting.clear()
        if self._client_ended:
            effects.append(events.TargetEnds())
        effects.append(base.Resume(Side.CLIENT))

    def _target_failed(self, event: events.TargetFailed, effects: list[Effect]) -> None:
        self._report(OutcomeStatus.FAILED, event.reason, effects)
        effects += (
            events.ToClient(notice(event.reason, terminal=self._terminal), Output.STDERR),
            events.Exit(255),
        )
        self._end(effects)

    def _target_data(self, event: events.TargetData, effects: list[Effect]) -> None:
        mask = self._masks[event.output]
        if self._input is not None:
            self._input.output(event.data)
        self._to_client(event.output, mask.feed(event.data), effects)
        if self._passed is None:
            self._wait(effects)

    def _wait(self, effects: list[Effect]) -> None:
        """Let what is held back go on in a while, if there is something."""
        self._passed = None
        if any(mask.held for mask in self._masks.values()):
            self._passed = {output: mask.passed for output, mask in self._masks.items()}
            effects.append(base.SetTimer(FLUSH_AFTER_S))

    def _time_passed(self, _: base.TimePassed, effects: list[Effect]) -> None:
        before = self._passed or {}
        for output, mask in list(self._masks.items()):
            # While lines go on, what is held of the last one has just come.
            if mask.passed == before.get(output):
                self._to_client(output, mask.flush(), effects)
        self._wait(effects)

    def _target_eof(self, _: events.TargetEof, effects: list[Effect]) -> None:
        self._finish_masks(effects)

    def _target_closed(self, event: events.TargetClosed, effects: list[Effect]) -> None:
        self._finish_masks(effects)
        if self._state is State.ENDED:
            return
        if event.status is None and not event.signal:
            self._report(OutcomeStatus.INTERRUPTED, "the target is lost", effects)
            text = notice("the connection to the target is lost", terminal=self._terminal)
            effects += (events.ToClient(text, Output.STDERR), events.Exit(255))
        else:
            shown = f"EXIT {event.status}" if event.status is not None else f"SIGNAL {event.signal}"
            self._record(Stream.EXIT, str(event.signal if event.status is None else event.status).encode(), effects)
            self._report(OutcomeStatus.COMPLETED, shown, effects)
            effects.append(events.Exit(event.status, event.signal))
        self._end(effects)

    def _to_client(self, output: Output, data: bytes, effects: list[Effect]) -> None:
        if not data or self._state is State.ENDED:
            return
        if not self._may_pass(len(data)):
            assert self._allowance is not None
            self._stop(refusal(self._allowance.refusal(), self._terminal), "a budget is spent", effects)
            return
        self._record(_STREAMS[output], data, effects)
        self._sent_bytes += len(data)
        effects.append(events.ToClient(data, output))

    def _may_pass(self, size: int) -> bool:
        if self._allowance is None:
            return True
        self._allowance.begin()
        return self._allowance.take(0, size)

    # ------------------------------------------------------------ masks

    def _masking_changed(self, event: base.MaskingChanged, effects: list[Effect]) -> None:
        self._masking = event.masking
        if self._state is State.RUNNING:
            self._finish_masks(effects)
            self._new_masks()
        if self._input is not None:
            self._record_input(self._input.renew(event.masking), effects)

    def _new_masks(self) -> None:
        self._masks = {output: OutputMask(self._masking, self._terminal) for output in Output}

    def _finish_masks(self, effects: list[Effect]) -> None:
        for output, mask in list(self._masks.items()):
            self._to_client(output, mask.finish(), effects)
        self._count_masks()
        self._new_masks()

    def _count_masks(self) -> None:
        for mask in self._masks.values():
            self._found.update(mask.found)
            self._masked_values += mask.masked_values
        self._masks.clear()

    # ------------------------------------------------------------ the end

    def _killed(self, event: base.Killed, effects: list[Effect]) -> None:
        """What is still held back of the output is dropped; the reason comes before the end."""
        self._stop(notice(event.reason, terminal=self._terminal), event.reason, effects)

    def _stop(self, text: bytes, reason: str, effects: list[Effect]) -> None:
        if self._state in (State.OPENING, State.RUNNING):
            effects.append(events.CloseTarget("KILL"))
            self._report(OutcomeStatus.INTERRUPTED, reason, effects)
        self._refuse(text, effects)

    def _report(self, status: OutcomeStatus, tag: str, effects: list[Effect]) -> None:
        if self._input is not None:
            self._record_input(self._input.finish(), effects)
            self._input = None
        self._count_masks()
        outcome = Outcome(
            self._number,
            status,
            tag,
            bytes_sent=self._sent_bytes,
            masked_values=self._masked_values,
            found=tuple(sorted(self._found.items())),
        )
        effects.append(base.Report(outcome))

    def _end(self, effects: list[Effect]) -> None:
        self._state = State.ENDED
        self._waiting.clear()
        self._masks.clear()
        effects.append(base.SetTimer(0))

    def _record(self, stream: Stream, data: bytes, effects: list[Effect]) -> None:
        effects.append(base.RecordAnswer(self._number, encode(stream, data)))

    @property
    def _terminal(self) -> bool:
        return self._request.pty is not None


def parameters_of(request: Exec | Shell) -> bytes:
    """What a request has besides its command, as an approval is bound to it: variables, and whether on a terminal."""
    variables = [f"{name}={value}".encode() for name, value in request.environment]
    return b"\0".join([*variables, b"pty"] if request.pty is not None else variables)


def _with_pty(request: Exec | Shell, pty: Pty) -> Exec | Shell:
    if isinstance(request, Exec):
        return Exec(request.command, request.environment, pty)
    return Shell(request.environment, pty)


_HANDLERS: Final[dict[type, Callable[..., None]]] = {
    events.Requested: CommandChannel._requested,
    events.ClientData: CommandChannel._client_data,
    events.ClientEof: CommandChannel._client_eof,
    events.ClientClosed: CommandChannel._client_closed,
    events.Resized: CommandChannel._resized,
    events.Signalled: CommandChannel._signalled,
    base.Held: CommandChannel._held,
    base.Decided: CommandChannel._decided,
    events.TargetOpened: CommandChannel._target_opened,
    events.TargetFailed: CommandChannel._target_failed,
    events.TargetData: CommandChannel._target_data,
    events.TargetEof: CommandChannel._target_eof,
    events.TargetClosed: CommandChannel._target_closed,
    base.TimePassed: CommandChannel._time_passed,
    base.MaskingChanged: CommandChannel._masking_changed,
    base.Killed: CommandChannel._killed,
}
