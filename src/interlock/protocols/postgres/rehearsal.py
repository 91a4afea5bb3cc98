"""Runs a held group in a transaction of the gateway's own, so that people can see what it does before they answer.

The client is told nothing of it: the answer is kept until the transaction is committed, and dropped when it is rolled
back. Statements of the gateway's own go to the target only around it, between one ReadyForQuery and the next.
"""

import enum
from collections.abc import Iterator
from typing import Final

from interlock.core.approval import RowSample
from interlock.core.decision import Decision, Permit
from interlock.core.operation import Outcome, OutcomeStatus
from interlock.core.rehearsal import RehearsalOutcome
from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.answers import IDLE, Answers
from interlock.protocols.postgres.groups import Group
from interlock.protocols.postgres.metering import Meter
from interlock.protocols.postgres.outstanding import Awaited, Entry, Outstanding
from interlock.protocols.postgres.samples import read_results, sample_query

KEPT_MAX_BYTES: Final = 1 << 20
"""The longest answer that is kept for the client."""
_IN_TRANSACTION: Final = 0x54  # T
_BEGIN: Final = (
    "BEGIN; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = {timeout_ms};"
    " SET LOCAL idle_in_transaction_session_timeout = 0"
)
_LOOKED: Final = 'ROLLBACK TO SAVEPOINT "interlock"; RELEASE SAVEPOINT "interlock"'
_ASYNCHRONOUS: Final = frozenset((messages.NOTIFICATION_RESPONSE, messages.PARAMETER_STATUS))


class Phase(enum.Enum):
    """What the target is doing."""

    BEGIN = "begin"
    RUN = "run"
    LOOK = "look"
    LOOKED = "looked"
    OPEN = "open"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    OVER = "over"


class Rehearsal:
    """One rehearsal of one group. ``committed`` says, when it is over, that the group has happened."""

    def __init__(self, group: Group, asked: base.Rehearse, outstanding: Outstanding, answers: Answers) -> None:
        self._group = group
        self._asked = asked
        self._outstanding = outstanding
        self._answers = answers
        self._entries: list[Entry] = []
        self._own = Entry(Awaited.READY_AFTER_QUERY)
        self._own_data = b""
        self._kept: list[Effect] = []
        self._kept_bytes = 0
        self._outcome = RehearsalOutcome()
        self._told = False
        self.phase = Phase.BEGIN
        self.decisions: tuple[Decision, ...] | None = None
        """What was decided about the group meanwhile."""
        self.given_up = False
        self.committed = False

    @property
    def over(self) -> bool:
        return self.phase is Phase.OVER

    @property
    def number(self) -> int:
        return self._group.operations[0].number

    def begin(self, effects: list[Effect]) -> None:
        self._ask(Phase.BEGIN, _BEGIN.format(timeout_ms=self._asked.timeout_ms), effects)

    def take(self, said: list[Effect], effects: list[Effect]) -> None:
        """What the target's bytes have led to, which is sorted here; then the next step, if one is due."""
        for effect in said:
            self._sort(effect, effects)
        if len(self._outstanding) == 0 and self.phase not in (Phase.OPEN, Phase.OVER):
            _NEXT[self.phase](self, effects)

    def settle(self, effects: list[Effect]) -> None:
        """Commit or roll back, when the transaction is open and it is known which."""
        if self.phase is not Phase.OPEN or (self.decisions is None and not self.given_up):
            return
        if self.decisions is not None:
            self.decisions = tuple(map(self._within_budget, self.decisions))
        if self.decisions is not None and all(isinstance(decision, Permit) for decision in self.decisions):
            self._ask(Phase.COMMIT, "COMMIT", effects)
        else:
            self._ask(Phase.ROLLBACK, "ROLLBACK", effects)

    def _within_budget(self, decision: Decision) -> Decision:
        """A permit whose allowance has no room for the kept answer is none: nothing of it is committed."""
        if not isinstance(decision, Permit) or decision.allowance is None:
            return decision
        meter = Meter(decision.allowance)
        for effect in self._kept:
            if isinstance(effect, base.Send):
                meter.feed(effect.data)
        return decision.allowance.refusal() if meter.stopped else decision

    def interrupted(self) -> list[Entry]:
        """What is not known when the session ends now: only a commit that was asked for may have happened."""
        return [Entry(Awaited.EXECUTION, self.number)] if self.phase is Phase.COMMIT else []

    # ------------------------------------------------------------ the steps

    def _begun(self, effects: list[Effect]) -> None:
        if self._answers.status != _IN_TRANSACTION:
            self._fail("the target did not begin a transaction", effects)
            return
        self.phase = Phase.RUN
        self._entries = [entry.again() for entry in self._group.entries if entry is not None]
        for entry in self._entries:
            self._outstanding.add(entry)
        effects.append(base.Send(Side.TARGET, b"".join(self._group.messages)))

    def _has_run(self, effects: list[Effect]) -> None:
        failed = next((entry.code for entry in self._entries if entry.code), "")
        if failed or self._answers.status != _IN_TRANSACTION:
            self._fail(f"the target refuses it (SQLSTATE {failed or 'unknown'})", effects)
        elif self._kept_bytes > KEPT_MAX_BYTES:
            self._fail(f"its answer is longer than {KEPT_MAX_BYTES} bytes", effects)
        else:
            self._ask(Phase.LOOK, sample_query(self._asked.tables), effects)

    def _has_looked(self, effects: list[Effect]) -> None:
        tag = next((entry.tag for entry in self._entries if entry.tag), "")
        transaction, after = "", tuple[RowSample, ...]()
        if not self._own.code:
            transaction, after = read_results(self._own_data, self._asked.tables)
        self._outcome = RehearsalOutcome(tag, "", transaction, after)
        self._ask(Phase.LOOKED, _LOOKED, effects)

    def _is_open(self, effects: list[Effect]) -> None:
        if self._answers.status != _IN_TRANSACTION:
            self._fail("the target did not keep the transaction", effects)
            return
        self.phase = Phase.OPEN
        self._tell(self._outcome, effects)
        self.settle(effects)

    def _has_committed(self, effects: list[Effect]) -> None:
        self.phase = Phase.OVER
        self.committed = True
        done = self._own.tag == "COMMIT" and not self._own.code and self._answers.status == IDLE
        self._settle_entries(done)
        effects += self._asynchronous()
        if done:
            effects += self._kept_as_committed()
            return
        code = self._own.code or "40000"
        data = messages.error_response("ERROR", code, "the target did not commit what was approved")
        data += messages.ready_for_query(self._answers.status)
        effects.append(base.RecordAnswer(self.number, data))
        effects.append(base.Send(Side.CLIENT, data))
        effects.append(base.Report(Outcome(self.number, OutcomeStatus.FAILED, code=code)))

    def _has_rolled_back(self, effects: list[Effect]) -> None:
        self.phase = Phase.OVER
        effects += self._asynchronous()
        self._tell(self._outcome, effects)

    def _fail(self, problem: str, effects: list[Effect]) -> None:
        self._outcome = RehearsalOutcome(problem=problem)
        self._ask(Phase.ROLLBACK, "ROLLBACK", effects)

    # ------------------------------------------------------------ what is said

    def _ask(self, phase: Phase, sql: str, effects: list[Effect]) -> None:
        """Send a statement of the gateway's own."""
        self.phase = phase
        self._own, self._own_data = Entry(Awaited.READY_AFTER_QUERY), b""
        self._own.gives_nothing = True
        self._outstanding.add(self._own)
        effects.append(base.Send(Side.TARGET, messages.query(sql)))

    def _sort(self, effect: Effect, effects: list[Effect]) -> None:
        if self.phase is Phase.OPEN or not isinstance(effect, base.RecordAnswer | base.Report | base.Send):
            effects.append(effect)
        elif self.phase is Phase.RUN:
            self._keep(effect)
        elif isinstance(effect, base.Send):
            self._own_data = (self._own_data + effect.data)[:KEPT_MAX_BYTES]

    def _keep(self, effect: base.RecordAnswer | base.Report | base.Send) -> None:
        if isinstance(effect, base.Send):
            self._kept_bytes += len(effect.data)
        if self._kept_bytes <= KEPT_MAX_BYTES:
            self._kept.append(effect)
        else:
            self._kept.clear()

    def _kept_as_committed(self) -> Iterator[Effect]:
        """The kept answer, with the transaction status that it has without the gateway's transaction around it."""
        last = max(index for index, effect in enumerate(self._kept) if isinstance(effect, base.Send))
        for index, effect in enumerate(self._kept):
            if index >= last - 1 and isinstance(effect, base.RecordAnswer):
                yield base.RecordAnswer(effect.number, _idle(effect.data))
            elif index == last and isinstance(effect, base.Send):
                yield base.Send(effect.side, _idle(effect.data))
            else:
                yield effect

    def _settle_entries(self, done: bool) -> None:
        """What the group's messages would have changed, has changed now, or has not."""
        originals = [entry for entry in self._group.entries if entry is not None]
        for original, rehearsed in zip(originals, self._entries, strict=True):
            original.completions = rehearsed.completions if done else 0
            original.settle(idle=True)

    def _asynchronous(self) -> Iterator[Effect]:
        """What the target tells the client whenever it likes goes on to it."""
        for kind, body in messages.split(self._own_data):
            if kind in _ASYNCHRONOUS:
                data = messages.message(kind, body)
                yield base.RecordAnswer(0, data)
                yield base.Send(Side.CLIENT, data)

    def _tell(self, outcome: RehearsalOutcome, effects: list[Effect]) -> None:
        if not self._told:
            self._told = True
            effects.append(base.Rehearsed(outcome))


def _idle(data: bytes) -> bytes:
    """An answer's end, ReadyForQuery, with the status of no transaction."""
    return data[:-1] + bytes((IDLE,))


_NEXT: Final = {
    Phase.BEGIN: Rehearsal._begun,
    Phase.RUN: Rehearsal._has_run,
    Phase.LOOK: Rehearsal._has_looked,
    Phase.LOOKED: Rehearsal._is_open,
    Phase.COMMIT: Rehearsal._has_committed,
    Phase.ROLLBACK: Rehearsal._has_rolled_back,
}
