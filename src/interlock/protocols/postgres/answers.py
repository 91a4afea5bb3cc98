"""The target's answers: matches them with what is outstanding, and turns refused placeholders into denials.

Rows pass as whole chunks; only messages that end something are looked at. Where an allowance limits an answer, each
message is, and nothing of it goes out beyond that: the target is asked to give up, and an error stands for the end.
An answer that fits nothing outstanding means that the gateway has lost track, and ends the session: it must never
guess whose rows it is passing on.
"""

import struct
from collections.abc import Callable
from typing import Final

import msgspec

from interlock.core.operation import Outcome, OutcomeStatus
from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.answer_masks import AnswerMasks, ColumnUnknown, MaskedColumnShown, withholding
from interlock.protocols.postgres.denials import BIND_PLACEHOLDER, denial_code, denial_response
from interlock.protocols.postgres.frames import BackendFrames, BackendMessage, FramingError
from interlock.protocols.postgres.metering import CutHeader, Meter
from interlock.protocols.postgres.outstanding import GIVE_ROWS, Awaited, Entry, Outstanding
from interlock.protocols.postgres.rows import RowError, RowMasker
from interlock.protocols.postgres.scope import SchemaScope

IDLE: Final = 0x49  # I: not in a transaction block

_ENDS: Final = {
    messages.PARSE_COMPLETE: Awaited.PARSE_COMPLETE,
    messages.BIND_COMPLETE: Awaited.BIND_COMPLETE,
    messages.CLOSE_COMPLETE: Awaited.CLOSE_COMPLETE,
}


class LostTrack(Exception):
    """The target said something that the gateway cannot place."""


class Answers:
    """State of the target's side. ``status`` is the last transaction status that the target reported."""

    def __init__(self, outstanding: Outstanding, masks: AnswerMasks, scope: SchemaScope) -> None:
        self._outstanding = outstanding
        self._scope = scope
        self._masks = masks
        self._content = masks.content_masker()
        self._rows = self._content
        """What the rows go through now, None when they pass as they are."""
        self._meter: Meter | None = None
        """What lets pass or stops what goes out now, None when nothing is limited."""
        self._frames = BackendFrames()
        self._chunk = b""
        self._recorded = 0
        self._number = 0
        self._counted = 0
        self._unrecorded: list[bytes] = []
        """What is to be said of the operation ``_said_of``."""
        self._said_of = 0
        self._unsent: list[bytes] = []
        self.status: int = IDLE
        self.copying: Entry | None = None
        """The entry for which the target takes COPY data now."""
        self.skipping = False
        """The target passes over everything up to the next Sync, which is not forwarded yet."""
        self.cancelling = 0
        """Requests to cancel that may not have arrived yet: what was sent to the target now could be hit."""
        self.mid_message = False
        """The client has a part of a message whose end is still to come: nothing of our own may be said now."""

    @property
    def stopping(self) -> bool:
        """Whether the target still gives an answer of which nothing more is passed on."""
        head = self._outstanding.head
        return head is not None and head.is_stopped

    def masking_changed(self) -> None:
        """Another masking is in force. What a row is held for keeps going through what it began with."""
        self._masks.changed()
        if self._content is None or self._content.pending == 0:
            self._content = self._masks.content_masker()

    def receive(self, data: bytes, effects: list[Effect]) -> None:
        """Take bytes of the target. Raises ``LostTrack`` or ``FramingError``."""
        try:
            self._receive(data, effects)
        except RowError as error:
            raise LostTrack(f"a row cannot be masked: {error}") from error
        except MaskedColumnShown:
            raise LostTrack("the target was about to show a masked column: tell the gateway's operator") from None
        finally:
            self._send(effects)

    def _receive(self, data: bytes, effects: list[Effect]) -> None:
        found = self._frames.scan(data)
        chunk = self._frames.chunk
        self._chunk = chunk
        self._recorded = 0
        self._counted = 0
        understood = 0
        try:
            for message in found:
                head = self._outstanding.head
                self._count(head, message.rows, message.end, effects)
                understood = message.start
                self._read(message, head, effects)
                understood = message.end
            if self._counted < len(chunk):
                self._count(self._outstanding.head, self._frames.rows_after, len(chunk), effects)
        except LostTrack:
            self._pass_on(understood, effects)
            raise
        self._pass_on(len(chunk), effects)
        if self._frames.broken:
            raise FramingError(self._frames.broken)

    def _count(self, head: Entry | None, rows: int, end: int, effects: list[Effect]) -> None:
        """Attribute rows and bytes up to ``end`` to the entry that they answer."""
        if head is None:
            if rows:
                raise LostTrack("rows that nobody asked for")
            if self._meter is not None:
                self._meter_with(None, self._counted, effects)
        else:
            if rows and (head.denial or head.awaited not in GIVE_ROWS):
                raise LostTrack("rows that nobody asked for")
            self._belongs_to(head, self._counted, effects)
            head.rows += rows
            head.bytes_sent += end - self._counted
        self._counted = end

    def _pass_on(self, end: int, effects: list[Effect]) -> None:
        """Record and send what was not sent yet, up to ``end``."""
        start = self._recorded
        if end > start:
            part = self._chunk if start == 0 and end == len(self._chunk) else self._chunk[start:end]
            self._recorded = end
            self.mid_message = end == len(self._chunk) and self._frames.mid_message
            if self._rows is not None:
                part = self._rows.feed(part)
                self.mid_message = self.mid_message and self._rows.pending == 0
            if self._meter is not None:
                part = self._metered(self._meter, part, effects)
            if part:
                self._say(self._number, part, effects)

    def _metered(self, meter: Meter, part: bytes, effects: list[Effect]) -> bytes:
        """What may go out of a part of an answer. Where it ends for good, the target is asked to give up."""
        was_stopped = meter.stopped
        try:
            part = meter.feed(part)
        except CutHeader:
            raise LostTrack("a message is cut where it cannot be measured") from None
        self.mid_message = meter.mid_message
        if meter.stopped and not was_stopped:
            self.cancelling += 1
            effects.append(base.CancelRunning())
        return part

    def _meter_with(self, meter: Meter | None, start: int, effects: list[Effect]) -> None:
        """From ``start`` on another meter is in charge, or none."""
        self._pass_on(start, effects)
        self._meter = meter

    def _say(self, number: int, data: bytes, effects: list[Effect]) -> None:
        """Have it recorded with what else is of the same operation, and sent with all else: each go costs a call."""
        if number != self._said_of:
            self._record(effects)
            self._said_of = number
        self._unrecorded.append(data)

    def _record(self, effects: list[Effect]) -> None:
        if self._unrecorded:
            data = _joined(self._unrecorded)
            self._unrecorded = []
            self._unsent.append(data)
            effects.append(base.RecordAnswer(self._said_of, data))

    def _send(self, effects: list[Effect]) -> None:
        self._record(effects)
        if self._unsent:
            effects.append(base.Send(Side.CLIENT, _joined(self._unsent)))
            self._unsent = []

    def _belongs_to(self, entry: Entry, start: int, effects: list[Effect]) -> None:
        """From ``start`` on the answer is that of ``entry``."""
        if entry.meter is not self._meter:
            self._meter_with(entry.meter, start, effects)
        rows = self._rows_of(entry)
        if (entry.number and entry.number != self._number) or rows is not self._rows:
            self._pass_on(start, effects)
            self._number = entry.number or self._number
            self._rows = rows

    def _rows_of(self, entry: Entry) -> RowMasker | None:
        if not entry.raw_outputs:
            return self._content
        if entry.rows_masker is None:
            entry.rows_masker = self._masks.rows_masker(entry)
        return entry.rows_masker

    def _read(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if self._rows is not None or self._meter is not None:
            self._pass_on(message.start, effects)
        if self._rows is not None:
            self._count_masked(self._rows, head)
        if head is not None and head.is_stopped and message.kind not in _NOT_OF_THE_ANSWER:
            self._read_stopped(message, head, effects)
            return
        reader = _READERS.get(message.kind)
        if reader is not None:
            reader(self, message, head, effects)
        else:
            raise LostTrack(f"message type 0x{message.kind:02x} has no place here")

    def _count_masked(self, rows: RowMasker, head: Entry | None) -> None:
        """What was masked in the rows so far was masked in the head's answer."""
        if head is not None:
            head.masked_values += rows.masked_values
            for name, count in rows.found.items():
                head.found[name] = head.found.get(name, 0) + count
        rows.masked_values = 0
        rows.found.clear()

    def _completion(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        """ParseComplete, BindComplete, CloseComplete."""
        if head is None or head.awaited is not _ENDS[message.kind] or head.denial:
            raise LostTrack("a completion that does not fit what is outstanding")
        self._outstanding.pop()
        head.completions = 1
        head.settle()
        if head.number and head.reports:
            effects.append(base.Report(_outcome(head, OutcomeStatus.COMPLETED)))

    def _body(self, message: BackendMessage) -> bytes:
        return self._chunk[message.start + 5 : message.end]

    def _command_complete(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if head is None or head.denial:
            raise LostTrack("a command completed that nobody asked for")
        if head.notice and not head.completions:
            self._pass_on(message.start, effects)
            self._say(head.number, head.notice, effects)
        head.tag = self._body(message)[:-1].decode("utf-8", "replace")
        head.completions += 1
        if head.awaited is Awaited.EXECUTION:
            self._finish(OutcomeStatus.COMPLETED, effects)
        elif head.awaited is not Awaited.READY_AFTER_QUERY:
            raise LostTrack("a command completed that nobody asked for")

    def _ended_without_tag(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if head is None or head.denial:
            raise LostTrack("a command completed that nobody asked for")
        if head.awaited is Awaited.EXECUTION:
            head.completions += 1
            suspended = message.kind == messages.PORTAL_SUSPENDED
            self._finish(OutcomeStatus.SUSPENDED if suspended else OutcomeStatus.COMPLETED, effects)
        elif head.awaited is not Awaited.READY_AFTER_QUERY:
            raise LostTrack("a command completed that nobody asked for")

    def _finish(self, status: OutcomeStatus, effects: list[Effect]) -> None:
        entry = self._outstanding.pop()
        entry.settle(idle=entry.awaited is Awaited.READY_AFTER_QUERY and self.status == IDLE)
        if entry.code:
            self._scope.doubt()
        if entry is self.copying:
            self.copying = None
        if not entry.denial:
            effects.append(base.Report(_outcome(entry, status)))

    def _description(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if head is None or head.denial:
            raise LostTrack("a description that nobody asked for")
        if head.awaited is Awaited.DESCRIPTION:
            self._outstanding.pop()
        elif head.awaited is not Awaited.READY_AFTER_QUERY:
            raise LostTrack("a description that nobody asked for")
        if message.kind == messages.ROW_DESCRIPTION and self._masks.in_force and not head.gives_nothing:
            if not message.whole:
                raise LostTrack("a description is too long to be looked at")
            self._mask_described(message, head, effects)

    def _mask_described(self, message: BackendMessage, head: Entry, effects: list[Effect]) -> None:
        description = self._body(message)
        try:
            self._masks.check_description(description, [output.position for output in head.raw_outputs])
            if self._content is not None:
                was_in_use = self._rows is self._content
                self._content = self._masks.content_masker(description)
                self._rows = self._content if was_in_use else self._rows
        except ColumnUnknown:
            self._withhold(message, head, effects)
        except (ValueError, struct.error):
            raise LostTrack("a description that does not add up") from None

    def _withhold(self, message: BackendMessage, described: Entry, effects: list[Effect]) -> None:
        """Let no row out of what a message describes: an error stands for the answer."""
        meter = withholding()
        if described.awaited is Awaited.READY_AFTER_QUERY:
            self._meter_with(meter, message.start, effects)
            meter.rows, meter.size_bytes = described.rows, described.bytes_sent - (message.end - message.start)
            described.meter = meter
            return
        executed = self._outstanding.head
        if executed is None or executed.awaited is not Awaited.EXECUTION:
            raise LostTrack("a statement has columns that were added or made anew just now: connect and try again")
        executed.meter = meter

    def _parameter_description(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if head is None or head.awaited is not Awaited.DESCRIPTION:
            raise LostTrack("a description that nobody asked for")
        if head.types is not None and message.whole:
            head.types.encoded = self._body(message)

    def _ready_for_query(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if head is None or message.end - message.start != 6:
            raise LostTrack("the target is ready although nothing was outstanding")
        self.status = self._chunk[message.start + 5]
        if head.awaited is Awaited.READY_AFTER_QUERY:
            if head.denial and not head.code:
                raise LostTrack("a refused statement did not fail at the target")
            self._finish(OutcomeStatus.FAILED if head.code else OutcomeStatus.COMPLETED, effects)
        elif head.awaited is Awaited.READY_AFTER_SYNC:
            self._outstanding.pop()
        else:
            raise LostTrack("the target is ready although an answer is missing")
        if self.status == IDLE:
            self._scope.transaction_over()

    def _error(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if head is None:
            return  # of the server itself, such as that it shuts down
        self.copying = None
        self._scope.doubt()
        if head.denial and not message.whole:
            raise LostTrack("the answer to a refused statement is too long")
        if head.denial and not head.code:
            self._replace(message, head.number, head.denial, effects)
        elif self._masks.in_force and not head.denial:
            self._mask_error(message, head, effects)
        if not head.code:
            head.code = messages.error_fields(self._body(message)).get("C", "XX000") if message.whole else "XX000"
        if head.awaited is Awaited.READY_AFTER_SYNC and head.number:
            effects.append(base.Report(_outcome(head, OutcomeStatus.FAILED)))
        elif head.awaited is not Awaited.READY_AFTER_QUERY and head.awaited is not Awaited.READY_AFTER_SYNC:
            self._skip(head, effects)

    def _replace(self, message: BackendMessage, number: int, instead: bytes, effects: list[Effect]) -> None:
        """Send something in the place of the target's message, or nothing at all."""
        self._pass_on(message.start, effects)
        if instead:
            self._say(number, instead, effects)
        self._recorded = message.end

    def _mask_error(self, message: BackendMessage, head: Entry, effects: list[Effect]) -> None:
        if not message.whole:
            raise LostTrack("an error is too long to be looked at")
        instead = head.failure or self._masks.error(head, message.kind, self._body(message))
        if instead is not None:
            self._replace(message, head.number, instead, effects)

    def _notice(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if not self._masks.in_force:
            return
        if not message.whole:
            raise LostTrack("a notice is too long to be looked at")
        instead = self._masks.notice(head, self._body(message))
        if instead is not None:
            self._replace(message, head.number if head is not None else 0, instead, effects)

    def _notification(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if not self._masks.in_force:
            return
        if not message.whole:
            raise LostTrack("a notification is too long to be looked at")
        instead = self._masks.notification(self._body(message))
        if instead is not None:
            self._replace(message, 0, instead, effects)

    # ------------------------------------------------------------ an answer that was stopped

    def _read_stopped(self, message: BackendMessage, head: Entry, effects: list[Effect]) -> None:
        """A message of an answer that was stopped. The meter lets none of it pass."""
        kind = message.kind
        if kind == messages.READY_FOR_QUERY:
            self._say_why(head, effects)
            self._meter = None
            self._ready_for_query(message, head, effects)
        elif kind == messages.ERROR_RESPONSE:
            self.copying = None
            self._scope.doubt()
            if head.awaited is Awaited.EXECUTION:
                self._say_why(head, effects)
                self._skip(head, effects)
        elif kind == messages.COPY_IN_RESPONSE:
            effects.append(base.Send(Side.TARGET, messages.message(messages.COPY_FAIL, b"stopped by the gateway\0")))
        elif kind in _COMPLETE:
            head.completions += 1
            if kind == messages.COMMAND_COMPLETE:
                head.tag = self._body(message)[:-1].decode("utf-8", "replace")
                head.untold = head.untold or head.tag.split(" ")[0] not in _ONLY_READ
            if head.awaited is Awaited.EXECUTION:
                self._stopped_too_late(head, effects)

    def _say_why(self, head: Entry, effects: list[Effect]) -> None:
        """The error that stands for the end of a stopped answer."""
        self._say(head.number, self._why(head), effects)

    def _why(self, head: Entry, *, undone: bool = False) -> bytes:
        assert head.meter is not None
        denial = head.meter.allowance.refusal()
        head.code = denial_code(denial)
        if head.untold and not undone:
            denial = msgspec.structs.replace(denial, message=f"{denial.message} {_CARRIED_OUT}")
        return denial_response(denial)

    def _stopped_too_late(self, head: Entry, effects: list[Effect]) -> None:
        """The target had finished before it was told to give up, and goes on with what it has behind it.

        Where nothing is behind it, it is made to fail; where a Sync is, the error stands for what was not shown. What
        else has run by now can be neither shown nor taken back.
        """
        following = self._outstanding.following()
        if following is None:
            why = self._why(head, undone=True)
            self._finish(OutcomeStatus.FAILED, effects)
            self._outstanding.add(Entry(Awaited.BIND_COMPLETE, head.number, why))
            effects.append(base.Send(Side.TARGET, BIND_PLACEHOLDER))
        elif following.awaited is Awaited.READY_AFTER_SYNC:
            self._say_why(head, effects)
            self._finish(OutcomeStatus.FAILED, effects)
        else:
            self._say_why(head, effects)
            raise LostTrack("an answer was stopped, and what is behind it in the pipeline has run")

    def _skip(self, failed: Entry, effects: list[Effect]) -> None:
        """The target passes over everything up to the next Sync."""
        told: set[int] = set()
        for entry in self._outstanding.skip_to_sync():
            entry.settle()
            if entry.number and entry.reports and not entry.denial and entry.number not in told:
                same = entry.number == failed.number
                entry.code = failed.code if same else ""
                effects.append(base.Report(_outcome(entry, OutcomeStatus.FAILED if same else OutcomeStatus.SKIPPED)))
                told.add(entry.number)
        self.skipping = self._outstanding.head is None

    def _copy_out(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if head is None or head.awaited not in GIVE_ROWS or head.denial:
            raise LostTrack("COPY data that nobody asked for")

    def _copy_in(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        if head is None or not head.copy_in:
            raise LostTrack("the target asks for COPY data that no statement announced")
        self.copying = head

    def _parameter_status(self, message: BackendMessage, head: Entry | None, effects: list[Effect]) -> None:
        body = self._body(message)
        name, _, value = body.partition(b"\0")
        pinned = messages.PINNED_PARAMETERS.get(name.decode("utf-8", "replace"))
        if pinned is not None and value.rstrip(b"\0").decode("utf-8", "replace") != pinned:
            raise LostTrack(f"the target changed {name.decode('utf-8', 'replace')}, which the gateway depends on")


_NOT_OF_THE_ANSWER: Final = frozenset((messages.NOTIFICATION_RESPONSE, messages.PARAMETER_STATUS))
_COMPLETE: Final = frozenset((messages.COMMAND_COMPLETE, messages.EMPTY_QUERY_RESPONSE, messages.PORTAL_SUSPENDED))
_ONLY_READ: Final = frozenset(("SELECT", "COPY", "FETCH"))
_CARRIED_OUT: Final = "It had been carried out before it could be stopped."

_READERS: Final[dict[int, Callable[[Answers, BackendMessage, Entry | None, list[Effect]], None]]] = {
    messages.BIND_COMPLETE: Answers._completion,
    messages.CLOSE_COMPLETE: Answers._completion,
    messages.COMMAND_COMPLETE: Answers._command_complete,
    messages.COPY_DONE: Answers._copy_out,
    messages.COPY_IN_RESPONSE: Answers._copy_in,
    messages.COPY_OUT_RESPONSE: Answers._copy_out,
    messages.EMPTY_QUERY_RESPONSE: Answers._ended_without_tag,
    messages.ERROR_RESPONSE: Answers._error,
    messages.NO_DATA: Answers._description,
    messages.NOTICE_RESPONSE: Answers._notice,
    messages.NOTIFICATION_RESPONSE: Answers._notification,
    messages.PARAMETER_DESCRIPTION: Answers._parameter_description,
    messages.PARAMETER_STATUS: Answers._parameter_status,
    messages.PARSE_COMPLETE: Answers._completion,
    messages.PORTAL_SUSPENDED: Answers._ended_without_tag,
    messages.READY_FOR_QUERY: Answers._ready_for_query,
    messages.ROW_DESCRIPTION: Answers._description,
}


def _joined(parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _outcome(entry: Entry, status: OutcomeStatus) -> Outcome:
    rows, size = entry.rows, entry.bytes_sent
    if entry.meter is not None and entry.meter.stopped:
        rows, size = entry.meter.rows, entry.meter.size_bytes
    masked = entry.masked_values + rows * entry.masked_outputs
    found = tuple(sorted(entry.found.items()))
    return Outcome(entry.number, status, entry.tag, entry.code, rows, size, masked, found)


def interrupted(entries: list[Entry]) -> list[Effect]:
    """Reports for operations whose answers will not come any more, with what the client has had of them."""
    owing: dict[int, Entry] = {}
    for entry in entries:
        if entry.number and not entry.denial:
            known = owing.get(entry.number)
            if known is None or entry.bytes_sent > known.bytes_sent:
                owing[entry.number] = entry
    return [base.Report(_outcome(entry, OutcomeStatus.INTERRUPTED)) for entry in owing.values()]
