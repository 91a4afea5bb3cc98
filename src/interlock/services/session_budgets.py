"""One session's view of budgets: whether those of a verdict are spent, and what is charged to them.

Makes no permit: it says what speaks against one. Counters are shared with the identity's other sessions, except those
of a run without a name, which is the session itself. Where somebody acts for the identity, both have budgets.
"""

import functools
from collections.abc import Sequence

import structlog

from interlock.core.budget import Allowance, Book, BookFull, Purse, Window
from interlock.core.decision import BudgetDemand, BudgetKind, Hold, Verdict
from interlock.core.denial import Denial, DenialReason
from interlock.core.errors import BudgetsUnavailable
from interlock.core.identity import Principal
from interlock.services.budgets import RUN_WINDOW_S, Budgets
from interlock.services.policy import wording
from interlock.services.policy.budgets import Spent, when_spent

log = structlog.get_logger()

_KEPT_ACCOUNTS = 256
_MAX_OWN_WINDOWS = 4096
_MAX_LEASES = {BudgetKind.ROWS: 4096, BudgetKind.BYTES: 4 << 20, BudgetKind.STATEMENTS: 256, BudgetKind.TOKENS: 4096}
_NOBODY: frozenset[str] = frozenset()


class Account:
    """What is charged for the verdicts with the same budgets. Those of ``approved`` rules are left out."""

    def __init__(self, session: "SessionBudgets", budgets: tuple[BudgetDemand, ...], approved: frozenset[str]) -> None:
        self.budgets = budgets  # keeps the tuple's id from being given to another one
        counting = [(place, demand) for place, demand in enumerate(budgets) if demand.rule not in approved]
        self._places = {kind: [place for place, demand in counting if demand.kind is kind] for kind in BudgetKind}
        purses = {kind: self._purse(session, kind) for kind in _MAX_LEASES}
        self.rows = purses[BudgetKind.ROWS]
        self.size = purses[BudgetKind.BYTES]
        self.statements = purses[BudgetKind.STATEMENTS]
        self.tokens = purses[BudgetKind.TOKENS]
        self._purses = [(kind, purse) for kind, purse in purses.items() if purse is not None]
        self._denials = [session.window(budgets[place]) for place in self._places[BudgetKind.DENIALS]]

    def _purse(self, session: "SessionBudgets", kind: BudgetKind) -> Purse | None:
        demands = [self.budgets[place] for place in self._places[kind]]
        if not demands:
            return None
        limits = [demand.limit for demand in demands]
        return Purse([session.window(demand) for demand in demands], limits, _MAX_LEASES[kind])

    def has_room(self, now_s: float) -> bool:
        """Whether no budget is spent. Raises ``BookFull``."""
        for _kind, purse in self._purses:
            if not purse.ready(1, now_s):
                return False
        return all(self._denials_left(number, now_s) > 0 for number in range(len(self._denials)))

    def spent(self, now_s: float) -> list[Spent]:
        """The budgets without room. Raises ``BookFull``."""
        found = []
        for kind, purse in self._purses:
            for number, place in enumerate(self._places[kind]):
                counted = purse.counted(number, now_s)
                if counted >= self.budgets[place].limit:
                    found.append(Spent(place, counted, purse.room_at_s(number)))
        for number, place in enumerate(self._places[BudgetKind.DENIALS]):
            limit = self.budgets[place].limit
            if (left := self._denials_left(number, now_s)) <= 0:
                found.append(Spent(place, limit - left, self._denials[number].room_at_s(limit)))
        return found

    def _denials_left(self, number: int, now_s: float) -> int:
        window = self._denials[number] = self._denials[number].current()
        window.watch()
        return self.budgets[self._places[BudgetKind.DENIALS][number]].limit - window.count(now_s)


class SessionBudgets:
    """``run`` is the client's own name for what it is doing, empty when it has given none."""

    def __init__(self, budgets: Budgets, principal: Principal, run: str) -> None:
        self._budgets = budgets
        self._parties = (principal, *principal.acting)
        self._run = run
        self._own = Book(_MAX_OWN_WINDOWS)
        self._accounts: dict[int, Account] = {}
        self._charges: dict[int, tuple[tuple[BudgetDemand, ...], Allowance | None]] = {}
        """What the operations that are being decided were charged for, and what their answers may take."""

    def begin(self) -> None:
        """Other operations are decided from here on."""
        self._charges.clear()

    def judge(self, verdict: Verdict, approved: frozenset[str] = _NOBODY, number: int = 0) -> Denial | Hold | None:
        """What speaks against a verdict that is no denial: spent budgets, or people that must be asked.

        ``approved`` are rules that people have agreed to for this operation: these neither ask nor count. An operation
        that has been charged under its ``number`` is within its budgets, also when it is decided again. Never raises
        for what cannot be counted: that is a denial.
        """
        hold = verdict.hold
        if hold is not None and approved and all(demand.rule in approved for demand in hold.demands):
            hold = None
        if not verdict.budgets or self._is_charged(number, verdict):
            return hold
        try:
            account = self._account(verdict.budgets, approved)
            now_s = self._budgets.now_s()
            if account.has_room(now_s):
                return hold
            decision = self._spent(verdict, account.spent(now_s))
        except (BudgetsUnavailable, BookFull) as error:
            log.error("budgets not counted", principal=self._parties[0].name, error=str(error))
            return wording.uncountable(verdict.policy)
        return decision

    def charge(
        self, verdict: Verdict, statements: int, approved: frozenset[str] = _NOBODY, number: int = 0
    ) -> Allowance | None:
        """Count what goes ahead, and hand out what its answer may take; None where nothing limits that.

        ``judge`` must have found nothing against it just before. What has a ``number`` is counted once, however often
        it is decided. Raises ``BudgetsUnavailable`` and ``BookFull``.
        """
        if self._is_charged(number, verdict):
            return self._charges[number][1]
        allowance = self._charge(verdict, statements, approved)
        if number:
            self._charges[number] = (verdict.budgets, allowance)
        return allowance

    def _is_charged(self, number: int, verdict: Verdict) -> bool:
        charge = self._charges.get(number)
        return charge is not None and charge[0] is verdict.budgets

    def _charge(self, verdict: Verdict, statements: int, approved: frozenset[str]) -> Allowance | None:
        account = self._account(verdict.budgets, approved)
        if account.statements is not None and statements:
            account.statements.pay(statements, self._budgets.now_s())
        if account.rows is None and account.size is None and account.tokens is None:
            return None
        refusal = functools.partial(self._stopped, verdict, account)
        return Allowance(account.rows, account.size, self._budgets.now_s, refusal, account.tokens)

    def note_denial(self, limits: Sequence[tuple[float, int]]) -> None:
        """Count a denial for each of these times in seconds, 0 for the run, with the least limit that there is for it.

        Raises ``BudgetsUnavailable`` and ``BookFull``.
        """
        now_s = self._budgets.now_s()
        for party in range(len(self._parties)):
            for window_s, limit in limits:
                window = self._denials(window_s, party)
                window.count(now_s)
                window.charge(1, limit)

    def _account(self, budgets: tuple[BudgetDemand, ...], approved: frozenset[str]) -> "Account":
        """The account for these budgets, kept by the tuple's identity: it is long, and verdicts share it."""
        if approved:
            return Account(self, budgets, approved)
        account = self._accounts.get(id(budgets))
        if account is None:
            if len(self._accounts) >= _KEPT_ACCOUNTS:
                self._accounts.clear()
            account = self._accounts[id(budgets)] = Account(self, budgets, _NOBODY)
        return account

    def window(self, demand: BudgetDemand) -> Window:
        """The counter of a budget. Raises ``BudgetsUnavailable``."""
        if demand.kind is BudgetKind.DENIALS:
            return self._denials(demand.window_s, demand.party)
        if demand.window_s or self._run:
            return self._budgets.window(demand, self._parties[demand.party], self._run)
        return self._own.window(f"{demand.rule} {demand.kind.value} {demand.party}", RUN_WINDOW_S)

    def _denials(self, window_s: float, party: int) -> Window:
        if window_s or self._run:
            return self._budgets.denials(window_s, self._parties[party], self._run)
        return self._own.window(f"denials {party}", RUN_WINDOW_S)

    def _spent(self, verdict: Verdict, spent: list[Spent]) -> Denial | Hold:
        decision = when_spent(verdict, spent)
        for kind in {verdict.budgets[one.place].kind for one in spent}:
            self._budgets.counts.refused[kind] += 1
        return decision

    def _stopped(self, verdict: Verdict, account: "Account") -> Denial:
        """Why an answer is stopped under way. Never raises."""
        try:
            spent = account.spent(self._budgets.now_s())
        except Exception as error:  # noqa: BLE001 - fail closed: it is stopped in any case
            log.error("budgets not counted", principal=self._parties[0].name, error=type(error).__name__)
            spent = []
        if not spent:
            return wording.uncountable(verdict.policy)
        for kind in {verdict.budgets[one.place].kind for one in spent}:
            self._budgets.counts.stopped[kind] += 1
        decision = when_spent(verdict, spent)
        return decision if isinstance(decision, Denial) else _asks_from_here_on(decision, verdict.noun)


def _asks_from_here_on(hold: Hold, noun: str) -> Denial:
    """What an answer is told that is stopped where people would be asked."""
    groups = ", ".join(sorted({demand.group for demand in hold.demands}))
    return Denial(
        DenialReason.BUDGET_SPENT,
        hold.message,
        f"Sent again, the {noun} waits for an approval by {groups}.",
        hold.access,
        tuple(demand.rule for demand in hold.demands),
        hold.policy,
    )
