"""The decision point: every operation of every protocol is decided and recorded here.

Architecture invariant: this is the only place that constructs a ``Permit``. A decision is on the ledger before it is
handed out, and whatever goes wrong on the way to it is a denial.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence

import structlog

from interlock.core.approval import ApprovalRequest
from interlock.core.decision import Decision, Denial, DenialReason, Hold, Permit, Trial, Verdict
from interlock.core.errors import LedgerUnavailable
from interlock.core.identity import Principal
from interlock.core.ledger import OperationCompleted, OperationDecided
from interlock.core.lock import LockMode, Restriction
from interlock.core.masking import MaskedColumn, Masking
from interlock.core.operation import Meaning, Operation, Outcome, Phase
from interlock.core.session import Session
from interlock.services.alerts import DenialAlerts
from interlock.services.approvals.holding import Granted, HeldOperation, Holding, Tell
from interlock.services.budgets import Budgets
from interlock.services.masking import SessionMasking
from interlock.services.policy.schema import members
from interlock.services.policy.session import SessionPolicy
from interlock.services.policy.store import PolicyStore
from interlock.services.policy.viewpoint import ClientFacts
from interlock.services.ports import Clock, Ledger, LocksInForce, SessionRecorder
from interlock.services.session_budgets import SessionBudgets

log = structlog.get_logger()

Decisions = tuple[Decision, ...]

_UNRECORDED = Denial(
    DenialReason.UNRECORDED,
    "denied: the gateway cannot record this statement now, and nothing is forwarded unrecorded",
    "Try again later; the gateway's operator has been told.",
)
_BROKEN = Denial(
    DenialReason.POLICY_ERROR,
    "denied: the decision could not be made",
    "This is a fault of the gateway, not of the statement; its operator has been told.",
)
_CHANGED = Denial(
    DenialReason.NOT_APPROVED,
    "denied: what was approved is not what would be executed now, as policy or access has changed meanwhile",
    "Send it again: it will be decided anew.",
)
_MASKED_OTHERWISE = Denial(
    DenialReason.POLICY_ERROR,
    "denied: what is masked for you has just changed",
    "Send the statement again.",
)
_CHANGING = frozenset({"insert", "update", "delete", "merge", "delete-all", "update-all"})
_TAKEN_BACK = _CHANGING | {"select", "introspect", "connect"}
"""Actions of which nothing is left after a rollback, and nothing was seen outside before it."""
_NOT_ASKED = "nobody was asked, because what is sent together with it is refused"
_READING = members("read")
_NOBODY: frozenset[str] = frozenset()
_NOT_COUNTED = frozenset({DenialReason.UNRECORDED, DenialReason.WITHDRAWN})
"""Denials that are not on record, or that the client wanted."""
_DEFINING = frozenset({"create", "alter", "drop", "create-code", "comment"})


class DecisionCounts:
    """How many operations were decided which way since the start, over all sessions."""

    def __init__(self) -> None:
        self.allowed = 0
        self.held = 0
        self.denied = 0


class Enforcement:
    """Makes a guard for each session."""

    def __init__(
        self,
        policies: PolicyStore,
        ledger: Ledger,
        clock: Clock,
        locks: LocksInForce | None = None,
        holding_of: Callable[[Session], Holding] | None = None,
        budgets: Budgets | None = None,
        alerts: DenialAlerts | None = None,
    ) -> None:
        """Without ``holding_of`` nobody can be asked, and what needs an approval is refused.

        Without ``budgets`` nothing is allowed within one.
        """
        self._policies = policies
        self._ledger = ledger
        self._clock = clock
        self._locks = locks
        self._holding_of = holding_of
        self._budgets = budgets
        self._alerts = alerts
        self.counts = DecisionCounts()

    def guard(
        self, session: Session, recorder: SessionRecorder, masking: SessionMasking | None = None
    ) -> "SessionGuard":
        budgets = self._session_budgets(session.principal, session.trace)
        holding = self._holding_of(session) if self._holding_of is not None else None
        return SessionGuard(
            session,
            recorder,
            self._policies,
            self._ledger,
            self._clock,
            self.counts,
            masking,
            self._locks,
            holding,
            budgets,
            self._alerts,
        )

    def judge_connect(self, principal: Principal, run: str, verdict: Verdict) -> Denial | Hold | None:
        """What speaks against a session, given policy's verdict on it. Counts nothing."""
        if verdict.denial is not None:
            return verdict.denial
        budgets = self._session_budgets(principal, run)
        return budgets.judge(verdict) if budgets is not None else _unlimited(verdict)

    def _session_budgets(self, principal: Principal, run: str) -> SessionBudgets | None:
        return SessionBudgets(self._budgets, principal, run) if self._budgets is not None else None


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
    ) -> None:
        self._session = session
        self._session_id = session.id
        self._recorder = recorder
        self._policies = policies
        self._ledger = ledger
        self._clock = clock
        self._client = ClientFacts(session.client_address.rpartition(":")[0], session.application, session.trace)
        self._policy: SessionPolicy | None = None
        self._epoch = -1
        self._counts = counts
        self._masking = masking
        self._holding = holding
        self._locks = locks
        self._locks_epoch = -1
        self._restriction: Restriction | None = None
        self._budgets = budgets
        self._alerts = alerts
        self._definitions: set[int] = set()
        self.last_write = 0
        """The number of the last operation that may go to the target and may do more than read."""
        self.doing: Meaning | None = None
        """What the client asked last."""
        self.operations = 0
        self.denied = 0
        self.rows = 0
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

    def give_up(self, reason: str) -> bool:
        """The client has gone or has cancelled: what waits for people is withdrawn. Whether anything was waiting."""
        return self._holding is not None and self._holding.give_up(reason)

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
        if self._budgets is not None:
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

    def report(self, outcome: Outcome) -> None:
        """Note what the target answered. Raises ``LedgerUnavailable``: then the session must end."""
        self.rows += outcome.rows
        if outcome.number in self._definitions and self._masking is not None:
            self._definitions.discard(outcome.number)
            self._masking.note_definition()
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
            )
        )

    async def _recorded(self, waits: list[asyncio.Future[None]], decisions: Decisions) -> Decisions:
        results = await asyncio.gather(*waits, return_exceptions=True)
        failures = [result for result in results if result is not None]
        if failures:
            log.error("operation not recorded", session=self._session_id, error=str(failures[0]))
            decisions = (_UNRECORDED,) * len(decisions)
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
            return tuple(_not_asked(decision) if type(decision) is Hold else decision for decision in decisions)
        questions = [
            HeldOperation(one, hold, _access_lines(one.meaning), functools.partial(self._trial, one))
            for one, hold in held
        ]
        answers = await holding.ask(questions, self.tell)
        by_number = {one.number: answer for (one, _), answer in zip(held, answers, strict=True)}
        return await self._after_waiting(operations, decisions, by_number)

    def _trial(self, operation: Operation) -> Trial | None:
        """Whether a held operation may be rehearsed: policy still holds it, and a rollback takes all of it back."""
        actions = {access.action for access in operation.meaning.accesses}
        if not actions <= _TAKEN_BACK or actions.isdisjoint(_CHANGING):
            return None
        try:
            return Trial(operation.number) if type(self._decide(operation)) is Hold else None
        except Exception as error:  # noqa: BLE001 - whatever breaks on the way to a decision is a denial
            log.error("decision failed", session=self._session_id, error=type(error).__name__)
            return None

    async def _after_waiting(
        self, operations: Sequence[Operation], decisions: Decisions, answers: dict[int, Granted | Denial]
    ) -> Decisions:
        """The decisions after people have answered: everything is decided again, as of now, and recorded."""
        final: list[Decision] = []
        waits: list[asyncio.Future[None]] = []
        for operation, before in zip(operations, decisions, strict=True):
            answer = answers.get(operation.number)
            decision = self._decide_again(operation, before, answer)
            wait: asyncio.Future[None] | None = None
            if answer is not None or type(decision) is not Permit:
                decision, wait = self._record(operation, decision, _approved_by(answer))
            final.append(decision)
            if wait is not None:
                waits.append(wait)
        if waits:
            return self._confirmed(operations, await self._recorded(waits, tuple(final)))
        return self._counted(tuple(final))

    def _confirmed(self, operations: Sequence[Operation], decisions: Decisions) -> Decisions:
        """The last look, after the ledger made us wait: what does not hold any more is refused."""
        return tuple(
            decision if type(decision) is not Permit or self._stands(operation, decision) else _CHANGED
            for operation, decision in zip(operations, decisions, strict=True)
        )

    def _decide_again(self, operation: Operation, before: Decision, answer: Granted | Denial | None) -> Decision:
        """A yes counts for what was asked, under the policy that asked, and for nothing else."""
        if type(answer) is Denial:
            return answer
        try:
            decision = self._decide(operation)
            if type(decision) is Hold and type(answer) is Granted and type(before) is Hold:
                same = (decision.policy, decision.demands) == (before.policy, before.demands)
                approved = frozenset(demand.rule for demand in decision.demands)
                return self._decide(operation, approved) if same else _CHANGED
        except Exception as error:  # noqa: BLE001 - whatever breaks on the way to a decision is a denial
            log.error("decision failed", session=self._session_id, error=type(error).__name__)
            return _BROKEN
        return decision

    def _stands(self, operation: Operation, permit: Permit) -> bool:
        """Whether an operation that was permitted, if need be by people, may still be forwarded."""
        try:
            now = self._decide(operation)
            return type(now) is Permit or (type(now) is Hold and now.policy == permit.policy)
        except Exception as error:  # noqa: BLE001 - whatever breaks on the way to a decision is a denial
            log.error("decision failed", session=self._session_id, error=type(error).__name__)
            return False

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
        try:
            decision = self._decide(operation)
        except Exception as error:  # noqa: BLE001 - whatever breaks on the way to a decision is a denial
            log.error("decision failed", session=self._session_id, error=type(error).__name__)
            decision = _BROKEN
        return self._record(operation, decision)

    def _record(
        self, operation: Operation, decision: Decision, approval: str = ""
    ) -> tuple[Decision, asyncio.Future[None] | None]:
        try:
            return decision, self._ledger.append(self._record_of(operation, decision, approval))
        except Exception as error:  # noqa: BLE001 - whatever breaks on the way to its record is a denial, too
            reason = str(error) if isinstance(error, LedgerUnavailable) else type(error).__name__
            log.error("operation not recorded", session=self._session_id, error=reason)
            return _UNRECORDED, None

    def _locked(self, meaning: Meaning) -> Denial | None:
        """The denial when a lock does not let this through. May raise: that is a denial."""
        locks = self._locks
        if locks is None:
            return None
        if self._locks_epoch != locks.epoch:
            epoch, session = locks.epoch, self._session
            self._restriction = locks.restriction(session.principal, session.connection, session.trace)
            self._locks_epoch = epoch
        restriction = self._restriction
        if restriction is None:
            return None
        return _denied_by(restriction, meaning)

    def _decide(self, operation: Operation, approved: frozenset[str] = _NOBODY) -> Decision:
        """What is due now; the one place where "nothing speaks against it" is a permit. May raise: that is a denial.

        ``approved`` are the rules that people have agreed to for this operation.
        """
        locked = self._locked(operation.meaning)
        if locked is not None:
            return locked
        verdict = self._verdict(operation.meaning)
        refusal = verdict.denial or self._judge(operation, verdict, approved)
        if type(refusal) is Hold and operation.phase is Phase.PREPARE:
            refusal = None  # Preparing runs nothing. Running it will be asked about.
        if type(refusal) is not Denial and not self._masked_as_is_due(operation):
            return _MASKED_OTHERWISE
        if type(refusal) is Denial:
            return refusal
        if operation.phase is Phase.EXECUTE and not _reads(operation.meaning):
            self.last_write = operation.number
        if refusal is not None:
            return refusal
        if not verdict.budgets or self._budgets is None:
            return _permit(verdict.rules, verdict.policy)
        statements = 1 if operation.phase is Phase.EXECUTE else 0
        allowance = self._budgets.charge(verdict, statements, approved, operation.number)
        return Permit(verdict.rules, verdict.policy, allowance)

    def _judge(self, operation: Operation, verdict: Verdict, approved: frozenset[str]) -> Denial | Hold | None:
        """What speaks against a verdict that is no denial: people that must be asked, or budgets that are spent."""
        if verdict.budgets:
            return self._budgets.judge(verdict, approved, operation.number) if self._budgets is not None else _BROKEN
        asks = verdict.hold is not None and not approved.issuperset(demand.rule for demand in verdict.hold.demands)
        return verdict.hold if asks else None

    def _verdict(self, meaning: Meaning) -> Verdict:
        policy, epoch = self._policy, self._policies.epoch
        if policy is None or self._epoch != epoch:
            session = self._session
            policy = self._policies.engine.for_session(
                session.principal, session.connection, session.database, self._client
            )
            self._policy, self._epoch = policy, epoch
        return policy.decide(meaning, self._clock.now_s())

    def _masked_as_is_due(self, operation: Operation) -> bool:
        """Whether the operation was made under the masking that is in force now. May raise: that is a denial."""
        if self._masking is None:
            return not operation.masking
        if _defines(operation.meaning):
            self._definitions.add(operation.number)
        if not self._masking.is_stale:
            return operation.masking == self._masking.version
        masking = self._masking.determine()
        return operation.masking == (masking.version if masking is not None else "")

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
            _access_lines(meaning),
            operation.digest(),
            self._recorder.seal(operation),
            _masked_lines(operation.masked),
        )


@functools.lru_cache(maxsize=4096)
def _access_lines(meaning: Meaning) -> tuple[str, ...]:
    return tuple(
        f"{access.action} on {access.kind.value} {'.'.join(access.path)}".rstrip() for access in meaning.accesses
    )


def _denied_by(restriction: Restriction, meaning: Meaning) -> Denial | None:
    if not restriction.keeps_out and (LockMode.READ_ONLY not in restriction.modes or _reads(meaning)):
        return None
    refused = next((access for access in meaning.accesses if access.action not in _READING), None)
    return Denial(
        DenialReason.LOCKED,
        f"denied: {restriction.message}",
        "Only a responder can lift the lock: sending the statement again does not help.",
        access=f"{refused.action} on {refused.kind.value} {'.'.join(refused.path)}".rstrip() if refused else "",
    )


@functools.lru_cache(maxsize=4096)
def _reads(meaning: Meaning) -> bool:
    """Whether it does nothing but read. Transaction control and harmless settings are no access at all."""
    return _READING.issuperset(access.action for access in meaning.accesses)


@functools.lru_cache(maxsize=4096)
def _defines(meaning: Meaning) -> bool:
    """Whether it changes what the database contains."""
    return not _DEFINING.isdisjoint(access.action for access in meaning.accesses)


@functools.lru_cache(maxsize=4096)
def _masked_lines(masked: tuple[MaskedColumn, ...]) -> tuple[str, ...]:
    return tuple(
        f"{column.schema}.{column.relation}.{column.column} {column.mask} ({', '.join(column.rules)})"
        for column in masked
    )


@functools.lru_cache(maxsize=4096)
def _permit(rules: tuple[str, ...], policy: str) -> Permit:
    return Permit(rules, policy)


def _unlimited(verdict: Verdict) -> Denial | Hold | None:
    """What speaks against a verdict that is no denial where nothing counts budgets."""
    return _BROKEN if verdict.budgets else verdict.hold


def _not_asked(hold: Hold) -> Denial:
    return Denial(
        DenialReason.NEEDS_APPROVAL,
        f"denied: needs approval: {_NOT_ASKED}. {hold.message}",
        "Send it by itself.",
        hold.access,
        hold.rules,
        hold.policy,
    )


def _approved_by(answer: Granted | Denial | None) -> str:
    """For the record of a permit: whose yes made it."""
    if not isinstance(answer, Granted):
        return ""
    return f"approved by {', '.join(answer.reviewers)} (request {answer.approval})"


def _tell_nobody(request: ApprovalRequest, link: str) -> None:
    """For a session whose client cannot be told."""
