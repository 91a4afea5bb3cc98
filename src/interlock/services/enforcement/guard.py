"""The guard of one session: has what it asks for decided, asks people, records and counts.

Nothing is handed out before it is on the ledger. The decision itself is the judge's.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from interlock.core.approval import ApprovalRequest
from interlock.core.decision import Decision, Hold, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.errors import LedgerUnavailable
from interlock.core.ledger import OperationCompleted, OperationDecided
from interlock.core.masking import Masking
from interlock.core.operation import Facts, Meaning, Operation, Outcome, Phase
from interlock.core.session import Session
from interlock.core.tool import ToolDefinition
from interlock.services.alerts import DenialAlerts
from interlock.services.approvals.holding import Granted, HeldOperation, Holding, Tell
from interlock.services.enforcement.judge import SessionJudge, reads_only
from interlock.services.enforcement.wording import (
    CHANGED,
    UNRECORDED,
    access_lines,
    approved_by,
    masked_lines,
    not_asked,
)
from interlock.services.masking import SessionMasking
from interlock.services.policy.store import PolicyStore
from interlock.services.ports import Clock, Ledger, LocksInForce, SessionRecorder, ToolReview
from interlock.services.session_budgets import SessionBudgets

log = structlog.get_logger()

Decisions = tuple[Decision, ...]
Shown = tuple[bool, ...]

_NOT_COUNTED = frozenset({DenialReason.UNRECORDED, DenialReason.WITHDRAWN})
"""Denials that are not on record, or that the client wanted."""
_DEFINING = frozenset({"create", "alter", "drop", "create-code", "comment"})


class DecisionCounts:
    """How many operations were decided which way since the start, over all sessions."""

    def __init__(self) -> None:
        self.allowed = 0
        self.held = 0
        self.denied = 0


class SessionGuard:
    """Decides, records and counts what one session does."""

    def __init__(
        self,
        session: Session,
        recorder: SessionRecorder,
        policies: PolicyStore,
        ledger: Ledger,
        clock: Clock,
        counts: DecisionCounts,
        masking: SessionMasking | None = None,
        locks: LocksInForce | None = None,
        holding: Holding | None = None,
        budgets: SessionBudgets | None = None,
        alerts: DenialAlerts | None = None,
        tools: ToolReview | None = None,
    ) -> None:
        self._session = session
        self._session_id = session.id
        self._judge = SessionJudge(session, policies, clock, masking, locks, budgets, tools)
        self._tools = tools
        self._recorder = recorder
        self._policies = policies
        self._ledger = ledger
        self._counts = counts
        self._masking = masking
        self._holding = holding
        self._budgets = budgets
        self._alerts = alerts
        self._definitions: set[int] = set()
        self._used: set[str] = set()
        self.last_write = 0
        """The number of the last operation that may go to the target and may do more than read."""
        self.doing: Meaning | None = None
        """What the client asked last."""
        self.operations = 0
        self.denied = 0
        self.rows = 0
        self.note_use: Callable[[str], None] = _note_nowhere
        """Is told of each action when it is permitted for the first time; set by whoever keeps that."""
        self.tell: Tell = _tell_nobody
        """Tells the client that an operation waits; set by whoever speaks with it."""

    @property
    def holds(self) -> bool:
        """Whether an operation waits for people."""
        return self._holding is not None and self._holding.waiting

    @property
    def holding(self) -> Holding | None:
        """What of this session waits for people; None when nobody can be asked."""
        return self._holding

    def give_up(self, reason: str, numbers: Collection[int] | None = None) -> bool:
        """The client has gone or has cancelled: what waits for people is withdrawn. Whether anything was waiting.

        ``numbers`` are the operations that it is about, all without them.
        """
        return self._holding is not None and self._holding.give_up(reason, numbers)

    @property
    def masking(self) -> Masking | None:
        """What this session must not see, None when it may see everything."""
        return self._masking.current if self._masking is not None else None

    @property
    def masking_is_stale(self) -> bool:
        """Whether the session must be told of another masking before it does anything more."""
        return self._masking is not None and self._masking.is_stale

    def renew_masking(self) -> Masking | None:
        """The masking as it is now. Raises ``MaskingUnavailable``."""
        return self._masking.renew() if self._masking is not None else None

    async def load_masking(self) -> Masking | None:
        """The masking as it is now, with a catalogue that is read when there is none. Raises ``MaskingUnavailable``."""
        if self._masking is None:
            return None
        await self._masking.load()
        return self._masking.current

    async def refresh_masking(self) -> Masking | None:
        """The masking after the catalogue was read again. Raises ``MaskingUnavailable``."""
        return await self._masking.refresh() if self._masking is not None else None

    def authorize(self, operations: Sequence[Operation]) -> Decisions | Awaitable[Decisions]:
        """One decision for each operation, all on the ledger when they are handed out.

        Awaitable only when the ledger or people make us wait. Never raises: what goes wrong is a denial.
        """
        if self._budgets is not None and not self.holds:
            self._budgets.begin()
        waits: list[asyncio.Future[None]] = []
        decisions: list[Decision] = []
        for operation in operations:
            decision, wait = self._decide_and_record(operation)
            decisions.append(decision)
            if wait is not None:
                waits.append(wait)
        self.operations += len(operations)
        self.doing = operations[-1].meaning if operations else self.doing
        if self._holding is not None and any(type(decision) is Hold for decision in decisions):
            return self._ask(self._holding, operations, tuple(decisions), waits)
        if waits:
            return self._recorded(waits, tuple(decisions))
        return self._counted(tuple(decisions))

    def confirm(self, operations: Sequence[Operation], decisions: Decisions) -> Decisions:
        """The last look, after something made us wait: what does not hold any more is refused."""
        return tuple(
            decision if type(decision) is not Permit or self._judge.stands(operation, decision) else CHANGED
            for operation, decision in zip(operations, decisions, strict=True)
        )

    def review(self, tools: Sequence[ToolDefinition], http: Facts) -> Shown | Awaitable[Shown]:
        """Which tools that a server lists may be shown: approved ones that may be called. Never raises: then, none.

        Awaitable only when the ledger makes us wait: what is new among them is on it before anybody sees any.
        """
        try:
            if self._tools is None:
                return (False,) * len(tools)
            approved, waits = self._tools.note(self._session.connection, self._session_id, tools)
        except Exception as error:  # noqa: BLE001 - whatever breaks on the way to showing a tool hides it
            log.error("tools not reviewed", session=self._session_id, error=type(error).__name__)
            return (False,) * len(tools)
        callable_now = self._judge.may_call([tool.name for tool in tools], http)
        shown = tuple(known and may for known, may in zip(approved, callable_now, strict=True))
        return self._reviewed(waits, shown) if waits else shown

    async def _reviewed(self, waits: list[asyncio.Future[None]], shown: Shown) -> Shown:
        failures = [result for result in await asyncio.gather(*waits, return_exceptions=True) if result is not None]
        if failures:
            log.error("tools not recorded", session=self._session_id, error=str(failures[0]))
        return (False,) * len(shown) if failures else shown

    def report(self, outcome: Outcome) -> None:
        """Note what the target answered. Raises ``LedgerUnavailable``: then the session must end."""
        self.rows += outcome.rows
        if outcome.number in self._definitions and self._masking is not None:
            self._definitions.discard(outcome.number)
            self._masking.note_definition()
        self._recorder.ended(outcome.number)
        self._ledger.note(
            OperationCompleted(
                self._session_id,
                outcome.number,
                outcome.status.value,
                outcome.tag,
                outcome.code,
                outcome.rows,
                outcome.bytes_sent,
                outcome.masked_values,
                outcome.found,
                outcome.tokens,
            )
        )

    async def _recorded(self, waits: list[asyncio.Future[None]], decisions: Decisions) -> Decisions:
        results = await asyncio.gather(*waits, return_exceptions=True)
        failures = [result for result in results if result is not None]
        if failures:
            log.error("operation not recorded", session=self._session_id, error=str(failures[0]))
            decisions = (UNRECORDED,) * len(decisions)
        return self._counted(decisions)

    async def _ask(
        self,
        holding: Holding,
        operations: Sequence[Operation],
        decisions: Decisions,
        waits: list[asyncio.Future[None]],
    ) -> Decisions:
        """Ask people about what is held, unless something else in the group is refused in any case."""
        decisions = await self._recorded(waits, decisions)
        refused = any(type(decision) is Denial for decision in decisions)
        held = [(one, decision) for one, decision in zip(operations, decisions, strict=True) if type(decision) is Hold]
        if refused:
            return tuple(not_asked(decision) if type(decision) is Hold else decision for decision in decisions)
        questions = [
            HeldOperation(one, hold, access_lines(one.meaning), functools.partial(self._judge.trial, one))
            for one, hold in held
        ]
        answers = await holding.ask(questions, self.tell)
        by_number = {one.number: answer for (one, _), answer in zip(held, answers, strict=True)}
        return await self._after_waiting(operations, decisions, by_number)

    async def _after_waiting(
        self, operations: Sequence[Operation], decisions: Decisions, answers: dict[int, Granted | Denial]
    ) -> Decisions:
        """The decisions after people have answered: everything is decided again, as of now, and recorded."""
        final: list[Decision] = []
        waits: list[asyncio.Future[None]] = []
        for operation, before in zip(operations, decisions, strict=True):
            answer = answers.get(operation.number)
            decision = self._judge.decide_again(operation, before, answer)
            wait: asyncio.Future[None] | None = None
            if answer is not None and type(decision) is Permit:
                self._note_actions(operation.meaning)
            if answer is not None or type(decision) is not Permit:
                decision, wait = self._record(operation, decision, approved_by(answer))
            final.append(decision)
            if wait is not None:
                waits.append(wait)
        if waits:
            return self.confirm(operations, await self._recorded(waits, tuple(final)))
        return self._counted(tuple(final))

    def _counted(self, decisions: Decisions) -> Decisions:
        counts = self._counts
        for decision in decisions:
            if type(decision) is Permit:
                counts.allowed += 1
                continue
            self.denied += 1
            if type(decision) is Hold:
                counts.held += 1
            else:
                counts.denied += 1
                self._note_denial(decision)
        return decisions

    def _note_denial(self, decision: Decision) -> None:
        """Count a denial against budgets of denials and towards an alert. Never raises: it is denied already."""
        if type(decision) is Denial and decision.reason in _NOT_COUNTED:
            return
        try:
            if self._alerts is not None:
                self._alerts.note(self._session.principal, self._session.trace)
            limits = self._policies.engine.denial_limits
            if limits and self._budgets is not None:
                self._budgets.note_denial(limits)
        except Exception as error:  # noqa: BLE001 - what cannot be counted now cannot be allowed within a budget either
            log.error("denial not counted", session=self._session_id, error=type(error).__name__)

    def _decide_and_record(self, operation: Operation) -> tuple[Decision, asyncio.Future[None] | None]:
        decision = self._judge.decide(operation)
        if type(decision) is not Denial:
            self._note_effects(operation)
        if type(decision) is Permit:
            self._note_actions(operation.meaning)
        return self._record(operation, decision)

    def _note_actions(self, meaning: Meaning) -> None:
        """For reviews of access; never raises, as nothing depends on it."""
        for action in {access.action for access in meaning.accesses} - self._used:
            self._used.add(action)
            try:
                self.note_use(action)
            except Exception as error:  # noqa: BLE001 - the ledger has it all the same
                log.error("use not noted", session=self._session_id, error=type(error).__name__)

    def _note_effects(self, operation: Operation) -> None:
        """Remember what may reach the target and may change something there."""
        if self._masking is not None and _defines(operation.meaning):
            self._definitions.add(operation.number)
        if operation.phase is Phase.EXECUTE and not reads_only(operation.meaning):
            self.last_write = operation.number

    def _record(
        self, operation: Operation, decision: Decision, approval: str = ""
    ) -> tuple[Decision, asyncio.Future[None] | None]:
        try:
            return decision, self._ledger.append(self._record_of(operation, decision, approval))
        except Exception as error:  # noqa: BLE001 - whatever breaks on the way to its record is a denial, too
            reason = str(error) if isinstance(error, LedgerUnavailable) else type(error).__name__
            log.error("operation not recorded", session=self._session_id, error=reason)
            return UNRECORDED, None

    def _record_of(self, operation: Operation, decision: Decision, approval: str) -> OperationDecided:
        meaning = operation.meaning
        permitted = isinstance(decision, Permit)
        return OperationDecided(
            self._session_id,
            operation.number,
            operation.phase.value,
            meaning.verb,
            "allowed" if permitted else "held" if isinstance(decision, Hold) else "denied",
            decision.rules,
            decision.policy,
            approval if isinstance(decision, Permit) else decision.message,
            access_lines(meaning),
            operation.digest(),
            self._recorder.seal(operation),
            masked_lines(operation.masked),
        )


@functools.lru_cache(maxsize=4096)
def _defines(meaning: Meaning) -> bool:
    """Whether it changes what the database contains."""
    return not _DEFINING.isdisjoint(access.action for access in meaning.accesses)


def _note_nowhere(action: str) -> None:
    """For a session of which nobody keeps what it was permitted."""


def _tell_nobody(request: ApprovalRequest, link: str) -> None:
    """For a session whose client cannot be told."""
