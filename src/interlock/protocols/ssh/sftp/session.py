"""The state machine of a channel that speaks SFTP: each request that does something by name is an operation.

Requests are taken in their order. While one is looked up, decided or held, those behind it wait, and the client is
paused when they are many. Requests keep their ids on the way: a question of the gateway's own bears the id of the
request that it is about, which is not at the target yet.
"""

import enum
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from interlock.protocols import base
from interlock.protocols.base import Activity, Side
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import ChannelContext, Effect, Event, Numbers, Output, Subsystem
from interlock.protocols.ssh.notices import DENIED_STATUS, notice
from interlock.protocols.ssh.recorded import Stream, encode
from interlock.protocols.ssh.sftp import extensions, greeting, wire
from interlock.protocols.ssh.sftp.asking import AskedRequest
from interlock.protocols.ssh.sftp.client_end import ClientEnd
from interlock.protocols.ssh.sftp.file_masking import mask_for
from interlock.protocols.ssh.sftp.framing import PacketReader
from interlock.protocols.ssh.sftp.open_files import OpenFiles
from interlock.protocols.ssh.sftp.owed import Answering, Outstanding
from interlock.protocols.ssh.sftp.requests import RequestReader
from interlock.protocols.ssh.sftp.running import RunningOperations
from interlock.protocols.ssh.sftp.wire import Fields, Malformed, PacketType

MAX_WAITING: Final = 64
"""Requests that wait before the client is paused."""
MAX_WAITING_BYTES: Final = 1 << 20
MAX_KEPT_BYTES: Final = 16 << 20
"""Of what comes all the same, before the channel is ended: it is far more than a window."""
MAX_OUTSTANDING: Final = 1024
"""Requests that are at the target at one time."""
FAILED_STATUS: Final = 255
"""The exit status where the gateway or the host fails, as ``ssh`` has it."""


class Stage(enum.Enum):
    """Where a channel is."""

    NEW = "new"
    OPENING = "opening"
    GREETING = "greeting"
    RUNNING = "running"
    ENDED = "ended"


class SftpSession:
    """Implements ``events.ChannelSession`` for the subsystem ``sftp``."""

    def __init__(self, context: ChannelContext, numbers: Numbers) -> None:
        self._stage = Stage.NEW
        self._from_client = PacketReader()
        self._from_target = PacketReader()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._client_ended = False
        self._target_told = False
        self._outstanding: Outstanding = {}
        self._operations = RunningOperations()
        self._client = ClientEnd()
        answering = Answering(self._client, self._operations)
        self._files = OpenFiles(context.settings.ssh, context.masking, self._client, answering, self._outstanding)
        self._requests = requests = RequestReader(context.login, self._files)
        self._greeting = greeting.Greeting(requests, self._files, self._outstanding)
        self._greeted = False
        self._masking = context.masking
        self._asked = AskedRequest(
            requests, numbers, self._client, answering, self._operations, self._files, self._outstanding
        )

        self._asked.masking_version = events.version_of(context.masking)

    def activity(self) -> Activity:
        return Activity(bool(self._outstanding), self._asked.is_deciding, self._operations.settled)

    def handle(self, event: Event) -> Sequence[Effect]:
        effects: list[Effect] = []
        handler = _HANDLERS.get(type(event))
        if handler is not None and self._stage is not Stage.ENDED:
            handler(self, event, effects)
            if self._stage is Stage.RUNNING:
                self._go_on(effects)
        return effects

    # ------------------------------------------------------------ the beginning

    def _requested(self, event: events.Requested, effects: list[Effect]) -> None:
        """The client's environment does not go along: it means nothing to SFTP."""
        if not isinstance(event.request, Subsystem) or event.request.name != "sftp":
            self._stop("the gateway carries no subsystem but sftp", effects)
            return
        self._stage = Stage.OPENING
        effects.append(events.OpenTarget(Subsystem("sftp")))

    def _target_opened(self, _: events.TargetOpened, effects: list[Effect]) -> None:
        self._stage = Stage.GREETING
        effects.append(events.ToTarget(greeting.INIT))

    def _target_failed(self, event: events.TargetFailed, effects: list[Effect]) -> None:
        self._client.tell(event.reason, "", effects)
        self._end(events.Exit(FAILED_STATUS), effects)

    # ------------------------------------------------------------ what comes

    def _client_data(self, event: events.ClientData, effects: list[Effect]) -> None:
        for packet in self._from_client.feed(event.data):
            self._waiting.append(packet)
            self._waiting_bytes += len(packet)
        if self._from_client.problem is not None:
            self._cannot_read(self._from_client.problem, effects)
        elif self._waiting_bytes > MAX_KEPT_BYTES:
            self._stop("too much was sent while requests wait", effects)

    def _client_eof(self, _: events.ClientEof, effects: list[Effect]) -> None:
        self._client_ended = True

    def _target_data(self, event: events.TargetData, effects: list[Effect]) -> None:
        if event.output is Output.STDERR:
            self._pass_error(event.data, effects)
            return
        for packet in self._from_target.feed(event.data):
            try:
                self._take_answer(packet, effects)
            except Malformed as problem:
                self._cannot_understand(problem, effects)
                return
        if self._from_target.problem is not None:
            self._cannot_understand(self._from_target.problem, effects)

    def _take_answer(self, packet: bytes, effects: list[Effect]) -> None:
        if self._stage is Stage.OPENING:
            raise Malformed("nothing was asked yet")
        if self._stage is Stage.GREETING and not self._outstanding:
            self._greeting.answered(packet, effects)
            return
        owed = self._outstanding.pop(wire.identifier_of(packet), None)
        if owed is None:
            raise Malformed("it answers nothing that was asked")
        owed(packet, effects)
        if self._greeting.is_known:
            self._stage = Stage.RUNNING

    def _pass_error(self, data: bytes, effects: list[Effect]) -> None:
        """What the host prints on standard error, in no operation's name."""
        mask = mask_for(self._masking)
        try:
            shown = data if mask is None else mask.redact(data)
        except Exception:  # noqa: BLE001 - fail closed: what could not be looked into is not shown
            return
        effects += (base.RecordAnswer(0, encode(Stream.ERROR, shown)), events.ToClient(shown, Output.STDERR))

    # ------------------------------------------------------------ what waits

    def _go_on(self, effects: list[Effect]) -> None:
        try:
            while self._waiting and not self._asked.is_open and len(self._outstanding) < MAX_OUTSTANDING:
                packet = self._waiting.popleft()
                self._waiting_bytes -= len(packet)
                self._take(packet, effects)
        except Malformed as problem:
            self._cannot_read(problem, effects)
            return
        self._balance(effects)
        if self._client_ended and not (self._target_told or self._waiting or self._outstanding or self._asked.is_open):
            self._target_told = True
            effects.append(events.TargetEnds())

    def _take(self, packet: bytes, effects: list[Effect]) -> None:
        if not self._greeted:
            self._greeted = True
            effects.append(events.ToClient(self._greeting.reply(packet)))
            return
        self._client.asked(packet)
        handler = _DATA_REQUESTS.get(packet[4])
        if handler is not None:
            handler(self._files, packet, effects)
            return
        extension = Fields(packet).string() if packet[4] == PacketType.EXTENDED else b""
        if extension == extensions.LIMITS:
            self._client.reply(self._greeting.limits(wire.identifier_of(packet)), effects)
        elif extension == extensions.FSTATVFS and extension in self._requests.offered:
            self._files.look_up_file_system(packet, effects)
        else:
            self._asked.begin(packet, effects)

    def _balance(self, effects: list[Effect]) -> None:
        full = len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES
        if full != self._paused:
            self._paused = full
            effects.append(base.Pause(Side.CLIENT) if full else base.Resume(Side.CLIENT))

    # ------------------------------------------------------------ what is decided

    def _held(self, event: base.Held, effects: list[Effect]) -> None:
        self._asked.held = True
        self._client.tell(event.message, event.hint, effects)

    def _decided(self, event: base.Decided, effects: list[Effect]) -> None:
        self._asked.decided(event.decisions[0], effects)

    def _masking_changed(self, event: base.MaskingChanged, effects: list[Effect]) -> None:
        self._masking = event.masking
        self._asked.masking_version = events.version_of(event.masking)
        self._files.mask_as(event.masking)

    # ------------------------------------------------------------ the end

    def _cannot_read(self, problem: Malformed, effects: list[Effect]) -> None:
        self._stop(f"an SFTP packet of yours cannot be read: {problem}", effects)

    def _cannot_understand(self, problem: Malformed, effects: list[Effect]) -> None:
        self._client.tell(f"an SFTP packet of the host cannot be read: {problem}", self._likely_cause, effects)
        effects.append(events.CloseTarget())
        self._end(events.Exit(FAILED_STATUS), effects)

    @property
    def _likely_cause(self) -> str:
        if self._stage is Stage.RUNNING:
            return ""
        return "Does a start-up file of the login's shell print something?"

    def _client_closed(self, _: events.ClientClosed, effects: list[Effect]) -> None:
        effects.append(events.CloseTarget())
        self._end(events.Exit(), effects)

    def _target_closed(self, event: events.TargetClosed, effects: list[Effect]) -> None:
        """A host that ends by itself while the client waits has nothing more to say, and that is told."""
        lost = event.status is None and not event.signal
        if lost:
            self._client.tell("the connection to the host is lost", "", effects)
        elif not self._client_ended and self._client.unanswered:
            self._client.tell("the host has ended SFTP", "", effects)
        self._end(events.Exit(FAILED_STATUS) if lost else events.Exit(event.status, event.signal), effects)

    def _killed(self, event: base.Killed, effects: list[Effect]) -> None:
        effects.append(events.ToClient(notice(event.reason), Output.STDERR))
        effects.append(events.CloseTarget())
        self._end(events.Exit(DENIED_STATUS), effects)

    def _stop(self, why: str, effects: list[Effect]) -> None:
        """The channel cannot go on because of what the client sent."""
        self._client.tell(why, "", effects)
        effects.append(events.CloseTarget())
        self._end(events.Exit(FAILED_STATUS), effects)

    def _end(self, last: events.Exit, effects: list[Effect]) -> None:
        self._operations.interrupt(effects)
        effects.append(last)
        self._stage = Stage.ENDED
        self._waiting.clear()
        self._outstanding.clear()
        self._files.clear()
        self._asked.drop()


_DATA_REQUESTS: Final[Mapping[int, Callable[[OpenFiles, bytes, list[Effect]], None]]] = {
    PacketType.READ: OpenFiles.read,
    PacketType.WRITE: OpenFiles.write,
    PacketType.READDIR: OpenFiles.list_names,
    PacketType.FSTAT: OpenFiles.look_up,
    PacketType.CLOSE: OpenFiles.close,
}
"""What belongs to the operation that has opened the handle."""

_HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    events.Requested: SftpSession._requested,
    events.TargetOpened: SftpSession._target_opened,
    events.TargetFailed: SftpSession._target_failed,
    events.ClientData: SftpSession._client_data,
    events.ClientEof: SftpSession._client_eof,
    events.ClientClosed: SftpSession._client_closed,
    events.TargetData: SftpSession._target_data,
    events.TargetClosed: SftpSession._target_closed,
    base.Held: SftpSession._held,
    base.Decided: SftpSession._decided,
    base.MaskingChanged: SftpSession._masking_changed,
    base.Killed: SftpSession._killed,
}
