"""The main phase of a session: client and target are both logged in, statements go one way and answers the other.

The client's messages are collected into groups, each group is decided, then forwarded. While a decision is pending
only the client waits; answers of earlier statements keep flowing. A refused statement is replaced by a placeholder
that fails at the target (see ``denials``).
"""

import functools
from collections.abc import Callable
from typing import Final

from interlock.core.decision import Decision, Permit
from interlock.core.masking import Masking
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.rehearsal import RehearsalOutcome
from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.answer_masks import AnswerMasks
from interlock.protocols.postgres.answers import IDLE, Answers
from interlock.protocols.postgres.copy_guard import CopyGuard
from interlock.protocols.postgres.denials import PLACEHOLDER_STATEMENT
from interlock.protocols.postgres.forwarding import Forwarded, Forwarding
from interlock.protocols.postgres.frames import FrontendFrames
from interlock.protocols.postgres.groups import Group
from interlock.protocols.postgres.masking.rewriting import Rewriting
from interlock.protocols.postgres.masking.writes import written_back
from interlock.protocols.postgres.masks import SessionMasks
from interlock.protocols.postgres.messages import Malformed
from interlock.protocols.postgres.names import TooManyNames
from interlock.protocols.postgres.outstanding import Awaited, Entry, Outstanding
from interlock.protocols.postgres.rehearsal import Rehearsal
from interlock.protocols.postgres.requests import Requests
from interlock.protocols.postgres.scope import SchemaScope
from interlock.protocols.postgres.session_names import KEPT_PARAMETER_BYTES, MAX_NAMES, LongParameters, SessionNames
from interlock.protocols.postgres.statements import interpret
from interlock.protocols.postgres.statements.interpretation import Interpretation, NameSpace

STREAMED_MIN_BYTES: Final = 1 << 20
"""Messages from this size on are not held in memory."""
GROUP_MAX_BYTES: Final = 1 << 18
GROUP_MAX_MESSAGES: Final = 1024
OUTSTANDING_MAX: Final = 16_384
UNREAD_MAX_BYTES: Final = 1 << 18
COMPUTED_HERE_MAX_BYTES: Final = 1 << 14
"""Longer texts are interpreted aside: a hostile one can take seconds."""
_IN_TRANSACTION: Final = 0x54  # T: in a transaction block that has not failed


class Fatal(Exception):
    """The session cannot go on; the client is told why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _unsupported(verb: str, sentence: str) -> Meaning:
    access = Access("unclassified", ResourceKind.DATABASE)
    return Meaning(verb, (access,), {"verb": verb, "statements": 1}, sentence)


_FUNCTION_CALL: Final = _unsupported(
    "FUNCTION CALL", "the FunctionCall message is not supported by this gateway: call the function with SELECT"
)
_RESERVED_NAME: Final = _unsupported("PARSE", f'the statement name "{PLACEHOLDER_STATEMENT}" is reserved')


class Relay:
    """Both directions of the main phase. Effects are appended to the list given to each call."""

    def __init__(
        self, scope: SchemaScope, max_statement_bytes: int, masks: SessionMasks | None = None, process_id: int = 0
    ) -> None:
        self._max_statement_bytes = max_statement_bytes
        self._names = SessionNames()
        self._scope = scope
        self._masks = masks or SessionMasks(scope)
        self._requests = Requests(self._names, scope, self._masks)
        self._outstanding = Outstanding()
        self._answers = Answers(self._outstanding, AnswerMasks(self._masks, process_id), scope)
        self._forwarding = Forwarding(self._outstanding, self._answers)
        self._frames = FrontendFrames(max(STREAMED_MIN_BYTES, max_statement_bytes))
        self._group = Group()
        self._deciding: Group | None = None
        self._boundary = 0
        self._computing: bytes | None = None
        """The message whose text is being interpreted aside."""
        self._computed: Interpretation | None = None
        self._refreshing: bytes | None = None
        """The message that waits for the catalogue to be read again."""
        self._refreshed = False
        self._barrier: Entry | None = None
        self._stream: Callable[[bytes, list[Effect]], None] = self._drop
        self._paused = False
        self._last_number = 0
        self._settled = 0
        """The last operation that is over, with its transaction."""
        self._copy_guard = CopyGuard()
        self._rehearsal: Rehearsal | None = None
        self._notices: list[bytes] = []
        """What the client is to be told as soon as no message is half-way to it."""
        self.terminated = False

    # ------------------------------------------------------------ the client's side

    def receive_client(self, data: bytes, effects: list[Effect]) -> None:
        """Take bytes of the client. Raises ``Fatal`` or ``FramingError``."""
        self._frames.feed(data)
        self._read_requests(effects)

    def decided(self, decisions: tuple[Decision, ...], effects: list[Effect]) -> None:
        """The group's decisions are there."""
        if self._rehearsal is not None:
            self._rehearsal.decisions = decisions
            self._rehearsal.settle(effects)
            return
        group, self._deciding = self._deciding, None
        if group is None or len(decisions) != len(group.operations) or _carries_refused(group, decisions):
            raise Fatal("XX000", "a decision does not fit what was asked")
        self._forward(group, decisions, effects)
        self._read_requests(effects)

    def computed(self, interpretation: Interpretation, effects: list[Effect]) -> None:
        """A long text has been interpreted: go on with its message."""
        message, self._computing = self._computing, None
        if message is None:
            raise Fatal("XX000", "an interpretation was not asked for")
        self._computed = interpretation
        self._read_one(message, effects)
        self._computed = None
        self._read_requests(effects)

    def rehearse(self, asked: base.Rehearse, effects: list[Effect]) -> None:
        """Run the held group in a transaction that stays open, where that can be done without the client."""
        group = self._deciding
        problem = self._rehearsal_problem(asked.trial.number)
        if problem or group is None:
            effects.append(base.Rehearsed(RehearsalOutcome(problem=problem)))
            return
        self._rehearsal = Rehearsal(group, asked, self._outstanding, self._answers)
        self._rehearsal.begin(effects)

    def end_rehearsal(self, effects: list[Effect]) -> None:
        """The transaction of a rehearsal is rolled back, as soon as it is open; its group goes on waiting."""
        if self._rehearsal is not None:
            self._rehearsal.given_up = True
            self._rehearsal.settle(effects)

    def _rehearsal_problem(self, number: int) -> str:
        """Why the group cannot be rehearsed, "" when it can."""
        group = self._deciding
        if group is None or self._rehearsal is not None:
            return "the statement does not wait any more, or is being rehearsed already"
        if len(group.operations) != 1 or group.operations[0].number != number:
            return "several statements were sent together, so it cannot be run by itself"
        if not self._forwarding.at_rest or self._answers.mid_message:
            return "the session is in a transaction, or the target is still answering it"
        if self._boundary not in (messages.QUERY, messages.SYNC) or group.copy_in is not None or group.names_statement:
            return "it was sent in a form that cannot be run twice"
        if group.operations[0].meaning.facts.get("statements") != 1:
            return "several statements are in its text, so it cannot be run by itself"
        return ""

    def _take_rehearsed(self, rehearsal: Rehearsal, data: bytes, effects: list[Effect]) -> None:
        said: list[Effect] = []
        self._answers.receive(data, said)
        rehearsal.take(said, effects)
        if rehearsal.over:
            self._rehearsal = None
            if rehearsal.committed:
                self._deciding = None
                self._read_requests(effects)
            elif rehearsal.decisions is not None:
                self.decided(rehearsal.decisions, effects)

    def masking_changed(self, masking: Masking | None, effects: list[Effect]) -> None:
        """Another masking is in force; a message that waited for it goes on."""
        self._masks.change(masking, in_transaction=self._answers.status != IDLE)
        self._answers.masking_changed()
        message, self._refreshing = self._refreshing, None
        if message is not None:
            self._refreshed = True
            self._read_one(message, effects)
            self._refreshed = False
            self._read_requests(effects)

    def running_cancelled(self, arrived: bool, effects: list[Effect]) -> None:
        """A request to cancel has had its effect at the target, or has not reached it."""
        self._answers.cancelling -= 1
        if not arrived and self._answers.stopping:
            raise Fatal("53400", "a budget is spent, and the target could not be told to stop the statement")
        self._read_requests(effects)

    def held(self, message: str, hint: str, effects: list[Effect]) -> None:
        """An operation of the group that is being decided waits for people."""
        self._notices.append(messages.notice_response("NOTICE", "00000", message, hint))
        self._give_notices(effects)

    def _give_notices(self, effects: list[Effect]) -> None:
        if self._notices and self.may_speak:
            data = b"".join(self._notices)
            self._notices.clear()
            effects.append(base.RecordAnswer(0, data))
            effects.append(base.Send(Side.CLIENT, data))

    def receive_target(self, data: bytes, effects: list[Effect]) -> None:
        """Take bytes of the target. Raises ``LostTrack`` or ``FramingError``."""
        if self._rehearsal is not None:
            self._take_rehearsed(self._rehearsal, data, effects)
            return
        self._answers.receive(data, effects)
        if self._notices:
            self._give_notices(effects)
        if self._answers.skipping:
            self._answers.skipping = False
            self._forwarding.discarding = True
        if self._barrier is not None and self._barrier_is_over(self._barrier):
            self._barrier = None
        self._rest()
        self._read_requests(effects)

    def _rest(self) -> None:
        """When nothing is on its way, what names mean is known better."""
        waiting = self._deciding is not None or self._computing is not None or self._refreshing is not None
        if self._group.messages or waiting:
            return
        if self._forwarding.at_rest:
            self._settled = self._last_number
            self._names.end_transaction()
            self._scope.settle()
        elif self._answers.status == _IN_TRANSACTION and not self._forwarding.busy:
            self._scope.rest_in_transaction()

    @property
    def may_speak(self) -> bool:
        """Whether a message of our own would reach the client as one, and not as the rest of a row."""
        return not self._answers.mid_message

    def activity(self) -> base.Activity:
        """What the session is at now."""
        head = self._outstanding.head
        deciding = self._deciding is not None
        return base.Activity(self._forwarding.busy, deciding, self._settled, head.rows if head is not None else 0)

    def interrupted(self) -> list[Entry]:
        """The session ends: what was still owed."""
        owed = self._outstanding.drain()
        return owed if self._rehearsal is None else self._rehearsal.interrupted()

    def _barrier_is_over(self, entry: Entry) -> bool:
        return self._answers.copying is entry or not self._outstanding.holds(entry) or bool(entry.code)

    def _read_requests(self, effects: list[Effect]) -> None:
        while self._may_read():
            if self._frames.streaming:
                part = self._frames.next_part()
                if part is None:
                    break
                self._stream(part, effects)
                continue
            message = self._frames.next_message()
            if message is None:
                break
            self._stream = self._drop
            self._read_one(message, effects)
        self._throttle(effects)

    def _read_one(self, message: bytes, effects: list[Effect]) -> None:
        try:
            self._read(message, effects)
        except Malformed as error:
            raise Fatal("08P01", f"invalid message: {error}") from error
        except TooManyNames as too_many:
            text = f"more than {MAX_NAMES} prepared statements or portals are open, or they are too large"
            raise Fatal("54000", text) from too_many

    def _may_read(self) -> bool:
        return (
            self._deciding is None
            and self._computing is None
            and self._refreshing is None
            and self._barrier is None
            and self._answers.cancelling == 0
            and not self.terminated
            and len(self._outstanding) < OUTSTANDING_MAX
        )

    def _throttle(self, effects: list[Effect]) -> None:
        """Stop reading the client while what it sent cannot be taken yet."""
        full = self._frames.pending_bytes > UNREAD_MAX_BYTES and not self._may_read()
        if full != self._paused:
            self._paused = full
            effects.append(base.Pause(Side.CLIENT) if full else base.Resume(Side.CLIENT))

    def _read(self, message: bytes, effects: list[Effect]) -> None:
        kind = message[0]
        if self._answers.copying is not None:
            self._read_copy(kind, message, effects)
        elif kind == messages.TERMINATE:
            self._terminate(effects)
        elif kind in _COPY_MESSAGES:
            return  # of a COPY that has failed: the target would read over it as well
        elif kind not in _READERS:
            raise Fatal("08P01", f"invalid frontend message type {kind}")
        elif not self._forwarding.discarding or kind == messages.SYNC:
            reader = _READERS[kind]
            if self._frames.streaming:
                self._read_long(kind, message, effects)
            else:
                reader(self, message, effects)

    def _drop(self, part: bytes, effects: list[Effect]) -> None:
        """Pass over the rest of a message."""

    def _terminate(self, effects: list[Effect]) -> None:
        self.terminated = True
        effects.append(base.Send(Side.TARGET, messages.TERMINATE_MESSAGE))

    # ------------------------------------------------------------ messages of a group

    def _read_query(self, message: bytes, effects: list[Effect]) -> None:
        text, end = messages.read_text(message, 5)
        if end != len(message):
            self._refuse_whole(message, "a statement must not contain a NUL byte", effects)
            return
        if len(text) > self._max_statement_bytes:
            self._refuse_whole(message, self._too_long(len(text)), effects)
            return
        interpretation = self._interpretation(message, text, effects)
        if interpretation is None:
            return
        rewriting = self._masks.rewrite(text, interpretation)
        if self._must_refresh(message, rewriting, effects):
            return
        entry = self._requests.query(self._group, interpretation, text, rewriting)
        if rewriting is not None and rewriting.text != text:
            message = messages.message(messages.QUERY, rewriting.text + b"\0")
        self._group.add(message, entry)
        self._submit(messages.QUERY, effects)

    def _read_parse(self, message: bytes, effects: list[Effect]) -> None:
        name, position = messages.read_name(message, 5)
        text, end = messages.read_text(message, position)
        if name == PLACEHOLDER_STATEMENT:
            entry = Entry(Awaited.PARSE_COMPLETE, self._requests.refused(self._group, _RESERVED_NAME, text).number)
        elif len(text) > self._max_statement_bytes:
            meaning = _unsupported("PARSE", self._too_long(len(text)))
            entry = Entry(Awaited.PARSE_COMPLETE, self._requests.refused(self._group, meaning, text).number)
        elif (len(message) - end - 2) % 4 != 0 or len(message) < end + 2:
            raise Malformed("the Parse message does not end where it should")
        else:
            interpretation = self._interpretation(message, text, effects)
            if interpretation is None:
                return
            rewriting = self._masks.rewrite(text, interpretation)
            if self._must_refresh(message, rewriting, effects):
                return
            entry = self._requests.parse(self._group, name, interpretation, text, rewriting, message[end:])
            if rewriting is not None and rewriting.text != text:
                body = message[5:position] + rewriting.text + message[end - 1 :]
                message = messages.message(messages.PARSE, body)
        self._add(message, entry, effects)

    def _must_refresh(self, message: bytes, rewriting: Rewriting | None, effects: list[Effect]) -> bool:
        """Whether the message waits for the catalogue: it names what may be new, or things have changed.

        What an open transaction has changed can be seen by nobody else, so that is looked up when it is over.
        """
        if rewriting is None or self._refreshed:
            return False
        behind = self._masks.is_behind or (self._masks.has_defined and self._answers.status == IDLE)
        if not rewriting.unknown and not rewriting.looks_first and not behind:
            return False
        self._refreshing = message
        effects.append(base.RefreshCatalogue())
        return True

    def _interpretation(self, message: bytes, text: bytes, effects: list[Effect]) -> Interpretation | None:
        """What a text means; None when that takes so long that it is found out aside, and the message waits for it."""
        if len(text) <= COMPUTED_HERE_MAX_BYTES:
            return interpret(text)
        if self._computed is None:
            self._computing = message
            effects.append(base.Compute(functools.partial(interpret, text)))
        return self._computed

    def _read_bind(self, message: bytes, effects: list[Effect]) -> None:
        portal, position = messages.read_name(message, 5)
        statement, position = messages.read_name(message, position)
        self._add(message, self._requests.bind(portal, statement, message[position:]), effects)

    def _read_describe(self, message: bytes, effects: list[Effect]) -> None:
        space = _SPACES.get(message[5]) if len(message) > 5 else None
        if space is None:
            self._add(message, Entry(Awaited.DESCRIPTION), effects)  # the target refuses it
            return
        name, _ = messages.read_name(message, 6)
        self._add(message, self._requests.describe(space, name), effects)

    def _read_execute(self, message: bytes, effects: list[Effect]) -> None:
        portal, end = messages.read_name(message, 5)
        if end + 4 != len(message):
            raise Malformed("the Execute message does not end where it should")
        self._add(message, self._requests.execute(self._group, portal), effects)

    def _read_close(self, message: bytes, effects: list[Effect]) -> None:
        space = _SPACES.get(message[5]) if len(message) > 5 else None
        if space is None:
            raise Malformed("the Close message names neither a statement nor a portal")
        name, end = messages.read_name(message, 6)
        if end != len(message):
            raise Malformed("the Close message does not end where it should")
        self._add(message, self._requests.close(space, name), effects)

    def _read_sync(self, message: bytes, effects: list[Effect]) -> None:
        messages.check_empty(message)
        self._group.add(message, Entry(Awaited.READY_AFTER_SYNC))
        self._submit(messages.SYNC, effects)

    def _read_flush(self, message: bytes, effects: list[Effect]) -> None:
        messages.check_empty(message)
        self._group.add(message, None)
        self._submit(messages.FLUSH, effects)

    def _read_function_call(self, message: bytes, effects: list[Effect]) -> None:
        operation = self._requests.refused(self._group, _FUNCTION_CALL, message)
        self._group.add(message, Entry(Awaited.READY_AFTER_QUERY, operation.number))
        self._submit(messages.QUERY, effects)

    def _add(self, message: bytes, entry: Entry, effects: list[Effect]) -> None:
        """Add a message that does not end a group, unless the group has grown as large as it may.

        What the client sends behind a COPY depends on the target's answer, so that ends a group as well.
        """
        self._group.add(message, entry)
        if entry.copy_in:
            self._read_flush(messages.FLUSH_MESSAGE, effects)
        elif self._group.size_bytes > GROUP_MAX_BYTES or len(self._group.messages) >= GROUP_MAX_MESSAGES:
            self._submit(0, effects)

    def _too_long(self, size: int) -> str:
        return f"the statement is {size} bytes long; this gateway takes at most {self._max_statement_bytes}"

    def _refuse_whole(self, message: bytes, sentence: str, effects: list[Effect]) -> None:
        """A simple query that cannot be read: refused like any other statement, with what is known of its text."""
        meaning = _unsupported("UNREAD", sentence)
        operation = self._requests.refused(self._group, meaning, message[5 : 5 + KEPT_PARAMETER_BYTES])
        self._group.add(message, Entry(Awaited.READY_AFTER_QUERY, operation.number))
        self._submit(messages.QUERY, effects)

    # ------------------------------------------------------------ messages that are too long to hold

    def _read_long(self, kind: int, head: bytes, effects: list[Effect]) -> None:
        """The first part of a long message; the rest follows through ``_stream``."""
        size = int.from_bytes(head[1:5], "big") + 1
        if kind == messages.BIND:
            self._read_long_bind(head, effects)
        elif kind == messages.QUERY:
            self._refuse_whole(head, self._too_long(size - 6), effects)
        elif kind == messages.PARSE:
            _, position = messages.read_name(head, 5)
            meaning = _unsupported("PARSE", self._too_long(size - position - 3))
            operation = self._requests.refused(self._group, meaning, head[position : position + KEPT_PARAMETER_BYTES])
            self._group.add(head, Entry(Awaited.PARSE_COMPLETE, operation.number))
            self._submit(0, effects)
        else:
            raise Fatal("08P01", f"message type {kind} is too long")

    def _read_long_bind(self, head: bytes, effects: list[Effect]) -> None:
        """A Bind executes nothing, so its parameters may go ahead of the Execute that is decided later."""
        portal, position = messages.read_name(head, 5)
        statement, position = messages.read_name(head, position)
        whole = LongParameters(head[position:], int.from_bytes(head[1:5], "big") + 1 - position)
        self._stream = functools.partial(self._pass_parameters, whole)
        self._group.add(head, self._requests.bind(portal, statement, whole.kept, whole))
        self._submit(0, effects)

    def _pass_parameters(self, whole: LongParameters, part: bytes, effects: list[Effect]) -> None:
        whole.add(part)
        self._pass_to_target(part, effects)

    def _pass_to_target(self, part: bytes, effects: list[Effect]) -> None:
        effects.append(base.RecordRequest(self._last_number, part))
        effects.append(base.Send(Side.TARGET, part))

    # ------------------------------------------------------------ COPY data

    def _read_copy(self, kind: int, message: bytes, effects: list[Effect]) -> None:
        """A message while the target takes COPY data: data and its end, nothing else."""
        copying = self._answers.copying
        assert copying is not None
        if kind in _COPY_MESSAGES:
            self._last_number = copying.number
            guarded = copying.copies_masked and kind == messages.COPY_DATA
            if guarded and not self._copy_guard.passes(copying.number, message[5:]):
                self._refuse_copy(copying, effects)
                return
            self._pass_to_target(message, effects)
            if self._frames.streaming:
                self._stream = self._pass_guarded if copying.copies_masked else self._pass_to_target
            if kind != messages.COPY_DATA:
                self._answers.copying = None
                if copying.awaited is Awaited.READY_AFTER_QUERY:
                    self._barrier = copying
        elif kind == messages.TERMINATE:
            self._terminate(effects)
        elif kind not in (messages.FLUSH, messages.SYNC):
            raise Fatal("08P01", f"unexpected message type 0x{kind:02x} during COPY from stdin")

    def _pass_guarded(self, part: bytes, effects: list[Effect]) -> None:
        """More of a long message of COPY data for masked columns: it is too late to take its beginning back."""
        if not self._copy_guard.passes(self._last_number, part):
            raise Fatal("42501", written_back("What COPY sets"))
        self._pass_to_target(part, effects)

    def _refuse_copy(self, copying: Entry, effects: list[Effect]) -> None:
        """Have the target give the COPY up; its error is replaced by the reason."""
        copying.failure = messages.error_response("ERROR", "42501", written_back("What COPY sets"))
        effects.append(base.Send(Side.TARGET, messages.message(messages.COPY_FAIL, b"refused by the gateway\0")))
        self._answers.copying = None
        if copying.awaited is Awaited.READY_AFTER_QUERY:
            self._barrier = copying

    # ------------------------------------------------------------ deciding and forwarding

    def _submit(self, boundary: int, effects: list[Effect]) -> None:
        """The group is complete: have it decided. ``boundary`` is the type of its last message, 0 for none."""
        group, self._group = self._group, Group()
        if boundary in (messages.SYNC, messages.QUERY):
            self._requests.segment += 1
        self._boundary = boundary
        if group.operations:
            self._last_number = group.operations[-1].number
            self._deciding = group
            effects.append(base.Authorize(tuple(group.operations)))
        else:
            self._forward(group, (), effects)

    def _forward(self, group: Group, decisions: tuple[Decision, ...], effects: list[Effect]) -> None:
        begun = base.RecordRequest(self._last_number, group.messages[-1]) if self._frames.streaming else None
        if self._forwarding.forward(group, decisions, self._boundary, begun, effects) is Forwarded.WHOLE:
            self._barrier = group.copy_in
        else:
            self._stream = self._drop


def _carries_refused(group: Group, decisions: tuple[Decision, ...]) -> bool:
    """Whether there is a permit for what the gateway cannot carry: such messages are not whole or not readable."""
    pairs = zip(group.operations, decisions, strict=True)
    return any(operation.meaning.refusal is not None and isinstance(decision, Permit) for operation, decision in pairs)


_COPY_MESSAGES: Final = frozenset((messages.COPY_DATA, messages.COPY_DONE, messages.COPY_FAIL))

_SPACES: Final = {ord("S"): NameSpace.PREPARED, ord("P"): NameSpace.PORTAL}

_READERS: Final[dict[int, Callable[[Relay, bytes, list[Effect]], None]]] = {
    messages.QUERY: Relay._read_query,
    messages.PARSE: Relay._read_parse,
    messages.BIND: Relay._read_bind,
    messages.DESCRIBE: Relay._read_describe,
    messages.EXECUTE: Relay._read_execute,
    messages.CLOSE: Relay._read_close,
    messages.SYNC: Relay._read_sync,
    messages.FLUSH: Relay._read_flush,
    messages.FUNCTION_CALL: Relay._read_function_call,
}
