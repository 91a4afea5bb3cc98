"""The decision itself: what one session may do at this moment.

Architecture invariant: this is the only place that constructs a ``Permit`` or a ``Trial``. It asks the locks, policy,
budgets and masks that are in force now, records nothing, and never makes anybody wait.
"""

import functools
from collections.abc import Sequence

import structlog

from interlock.core.decision import Decision, Hold, Permit, Trial, Verdict
from interlock.core.denial import Denial, DenialReason
from interlock.core.lock import LockMode, Restriction
from interlock.core.operation import Access, Facts, Meaning, Operation, Phase, ResourceKind
from interlock.core.session import Session
from interlock.services.approvals.holding import Granted
from interlock.services.enforcement.wording import (
    BROKEN,
    CHANGED,
    MASKED_OTHERWISE,
    access_line,
    tool_not_approved,
    uncertain,
)
from interlock.services.masking import SessionMasking
from interlock.services.policy.delegated import AnyPolicy
from interlock.services.policy.schema import members
from interlock.services.policy.session import Outcome
from interlock.services.policy.store import PolicyStore
from interlock.services.policy.viewpoint import ClientFacts
from interlock.services.ports import Clock, LocksInForce, ToolReview
from interlock.services.session_budgets import SessionBudgets

log = structlog.get_logger()

_CHANGING = frozenset({"insert", "update", "delete", "merge", "delete-all", "update-all"})
_TAKEN_BACK = _CHANGING | {"select", "introspect", "connect"}
"""Actions of which nothing is left after a rollback, and nothing was seen outside before it."""
_READING = members("read")
_NOBODY: frozenset[str] = frozenset()


class SessionJudge:
    """Judges what one session asks for."""

    def __init__(
        self,
        session: Session,
        policies: PolicyStore,
        clock: Clock,
        masking: SessionMasking | None,
        locks: LocksInForce | None,
        budgets: SessionBudgets | None,
        tools: ToolReview | None = None,
    ) -> None:
        self._session = session
        self._policies = policies
        self._clock = clock
        self._client = ClientFacts(session.client_address.rpartition(":")[0], session.application, session.trace)
        self._policy: AnyPolicy | None = None
        self._epoch = -1
        self._masking = masking
        self._locks = locks
        self._locks_epoch = -1
        self._restriction: Restriction | None = None
        self._budgets = budgets
        self._tools = tools

    def decide(self, operation: Operation) -> Decision:
        """What is due now. Never raises: whatever breaks on the way to a decision is a denial."""
        try:
            return self._decide(operation)
        except Exception as error:  # noqa: BLE001
            return self._broken(error)

    def decide_again(self, operation: Operation, before: Decision, answer: Granted | Denial | None) -> Decision:
        """A yes counts for what was asked, under the policy that asked, and for nothing else."""
        if type(answer) is Denial:
            return answer
        try:
            decision = self._decide(operation)
            if type(decision) is Hold and type(answer) is Granted and type(before) is Hold:
                same = (decision.policy, decision.demands) == (before.policy, before.demands)
                approved = frozenset(demand.rule for demand in decision.demands)
                return self._decide(operation, approved) if same else CHANGED
        except Exception as error:  # noqa: BLE001
            return self._broken(error)
        return decision

    def stands(self, operation: Operation, permit: Permit) -> bool:
        """Whether an operation that was permitted, if need be by people, may still be forwarded."""
        now = self.decide(operation)
        return type(now) is Permit or (type(now) is Hold and now.policy == permit.policy)

    def may_call(self, tools: Sequence[str], http: Facts) -> tuple[bool, ...]:
        """Which tools of an MCP server may be called, if need be with an approval: a look, no decision.

        ``http`` is what is known of the request. Arguments are not known. What breaks is a no.
        """
        try:
            circumstances = tuple(http.items())
            meanings = tuple(_call(tool, circumstances) for tool in tools)
            if not meanings or self._locked(meanings[0]) is not None:
                return (False,) * len(tools)
            outcomes = self._session_policy().outcomes(meanings, self._clock.now_s())
            return tuple(outcome is not Outcome.DENY for outcome in outcomes)
        except Exception as error:  # noqa: BLE001
            self._broken(error)
            return (False,) * len(tools)

    def trial(self, operation: Operation) -> Trial | None:
        """Whether a held operation may be rehearsed: policy still holds it, and a rollback takes all of it back."""
        actions = {access.action for access in operation.meaning.accesses}
        if not actions <= _TAKEN_BACK or actions.isdisjoint(_CHANGING):
            return None
        return Trial(operation.number) if type(self.decide(operation)) is Hold else None

    def _broken(self, error: Exception) -> Denial:
        log.error("decision failed", session=self._session.id, error=type(error).__name__)
        return BROKEN

    def _decide(self, operation: Operation, approved: frozenset[str] = _NOBODY) -> Decision:
        """What is due now; the one place where "nothing speaks against it" is a permit. May raise: that is a denial.

        ``approved`` are the rules that people have agreed to for this operation.
        """
        locked = self._locked(operation.meaning)
        if locked is not None:
            return locked
        verdict = self._verdict(operation.meaning)
        denial = verdict.denial or self._tool_refusal(operation.meaning, verdict)
        refusal = denial or self._judge(operation, verdict, approved)
        if type(refusal) is Hold and operation.phase is Phase.PREPARE:
            refusal = None  # Preparing runs nothing. Running it will be asked about.
        if type(refusal) is Hold and operation.uncertain:
            return uncertain(refusal, operation.meaning.noun)
        if type(refusal) is not Denial and not self._masked_as_is_due(operation):
            return MASKED_OTHERWISE
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
            return self._budgets.judge(verdict, approved, operation.number) if self._budgets is not None else BROKEN
        asks = verdict.hold is not None and not approved.issuperset(demand.rule for demand in verdict.hold.demands)
        return verdict.hold if asks else None

    def _tool_refusal(self, meaning: Meaning, verdict: Verdict) -> Denial | None:
        """The denial of a call of a tool that has not been approved as its server describes it."""
        if self._tools is None:
            return None
        for access in meaning.accesses:
            if access.kind is ResourceKind.TOOL:
                refusal = self._tools.refusal(self._session.connection, access.path[0])
                if refusal is not None:
                    return tool_not_approved(refusal, access_line(access), verdict.policy)
        return None

    def _verdict(self, meaning: Meaning) -> Verdict:
        return self._session_policy().decide(meaning, self._clock.now_s())

    def _session_policy(self) -> AnyPolicy:
        policy, epoch = self._policy, self._policies.epoch
        if policy is None or self._epoch != epoch:
            session = self._session
            policy = self._policies.engine.for_session(
                session.principal, session.connection, session.database, self._client
            )
            self._policy, self._epoch = policy, epoch
        return policy

    def _masked_as_is_due(self, operation: Operation) -> bool:
        """Whether the operation was made under the masking that is in force now. May raise: that is a denial."""
        if self._masking is None:
            return not operation.masking
        if not self._masking.is_stale:
            return operation.masking == self._masking.version
        masking = self._masking.determine()
        return operation.masking == (masking.version if masking is not None else "")

    def _locked(self, meaning: Meaning) -> Denial | None:
        """The denial when a lock does not let this through. May raise: that is a denial."""
        locks = self._locks
        if locks is None:
            return None
        if self._locks_epoch != locks.epoch:
            epoch, session = locks.epoch, self._session
            self._restriction = locks.restriction(session.principal, session.connection, session.trace)
            self._locks_epoch = epoch
        return None if self._restriction is None else _denied_by(self._restriction, meaning)


def _denied_by(restriction: Restriction, meaning: Meaning) -> Denial | None:
    if not restriction.keeps_out and (LockMode.READ_ONLY not in restriction.modes or reads_only(meaning)):
        return None
    refused = next((access for access in meaning.accesses if access.action not in _READING), None)
    return Denial(
        DenialReason.LOCKED,
        f"denied: {restriction.message}",
        "Only a responder can lift the lock: sending it again does not help.",
        access=access_line(refused) if refused is not None else "",
    )


@functools.lru_cache(maxsize=4096)
def reads_only(meaning: Meaning) -> bool:
    """Whether it does nothing but read. Transaction control and harmless settings are no access at all."""
    return _READING.issuperset(access.action for access in meaning.accesses)


@functools.lru_cache(maxsize=4096)
def _call(tool: str, http: tuple[tuple[str, object], ...]) -> Meaning:
    """A call of a tool whose arguments are not known."""
    facts: Facts = {"http": dict(http), "mcp": {"method": "tools/call", "tool": tool, "arguments": ()}}
    return Meaning(f"tools/call {tool}", (Access("mcp-call", ResourceKind.TOOL, (tool,)),), facts)


@functools.lru_cache(maxsize=4096)
def _permit(rules: tuple[str, ...], policy: str) -> Permit:
    return Permit(rules, policy)
