"""The decision point: every operation of every protocol is decided and recorded here.

A decision is on the ledger before it is handed out, and whatever goes wrong on the way to it is a denial.
"""

from collections.abc import Callable

from interlock.core.decision import Hold, Verdict
from interlock.core.denial import Denial
from interlock.core.identity import Principal
from interlock.core.session import Session
from interlock.services.alerts import DenialAlerts
from interlock.services.approvals.holding import Holding
from interlock.services.budgets import Budgets
from interlock.services.enforcement.guard import DecisionCounts, SessionGuard
from interlock.services.enforcement.wording import BROKEN
from interlock.services.masking import SessionMasking
from interlock.services.policy.store import PolicyStore
from interlock.services.ports import Clock, Ledger, LocksInForce, SessionRecorder, ToolReview
from interlock.services.session_budgets import SessionBudgets

__all__ = ["DecisionCounts", "Enforcement", "SessionGuard"]


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
        tools: ToolReview | None = None,
    ) -> None:
        """Without ``holding_of`` nobody can be asked, and what needs an approval is refused.

        Without ``budgets`` nothing is allowed within one, without ``tools`` no tool of an MCP server is shown.
        """
        self._policies = policies
        self._ledger = ledger
        self._clock = clock
        self._locks = locks
        self._holding_of = holding_of
        self._budgets = budgets
        self._alerts = alerts
        self._tools = tools
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
            self._tools,
        )

    def judge_connect(self, principal: Principal, run: str, verdict: Verdict) -> Denial | Hold | None:
        """What speaks against a session, given policy's verdict on it. Counts nothing."""
        if verdict.denial is not None:
            return verdict.denial
        budgets = self._session_budgets(principal, run)
        return budgets.judge(verdict) if budgets is not None else _unlimited(verdict)

    def _session_budgets(self, principal: Principal, run: str) -> SessionBudgets | None:
        return SessionBudgets(self._budgets, principal, run) if self._budgets is not None else None


def _unlimited(verdict: Verdict) -> Denial | Hold | None:
    """What speaks against a verdict that is no denial where nothing counts budgets."""
    return BROKEN if verdict.budgets else verdict.hold
