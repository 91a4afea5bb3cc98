"""What becomes of a verdict when budgets are spent: those of rules that ask for approval ask, the others forbid.

Counts nothing and does not ask Cedar: the verdict already holds everything.
"""

from collections.abc import Sequence

import msgspec

from interlock.core.decision import BudgetDemand, Hold, Verdict
from interlock.core.denial import Denial, DenialReason
from interlock.services.policy import wording


class Spent(msgspec.Struct, frozen=True):
    """A budget without room: its place in the verdict, what was counted, and when there may be room again.

    The time is Unix seconds, 0 when it is not known or will not come.
    """

    place: int
    counted: int
    room_at_s: float = 0.0


def when_spent(verdict: Verdict, spent: Sequence[Spent]) -> Denial | Hold:
    """The decision for a verdict that is no denial, when these of its budgets (at least one) are spent."""
    forbidding = [one for one in spent if verdict.budgets[one.place].approval is None]
    return _denial(verdict, forbidding) if forbidding else _hold(verdict, spent)


def _denial(verdict: Verdict, spent: Sequence[Spent]) -> Denial:
    demands = [verdict.budgets[one.place] for one in spent]
    line = verdict.budgeted[spent[0].place]
    return Denial(
        DenialReason.BUDGET_SPENT,
        " ".join([wording.budget_spent(demands[0], spent[0].counted, line), *_messages(demands)]),
        wording.room_again(demands, max(one.room_at_s for one in spent)),
        line,
        tuple(sorted({demand.rule for demand in demands})),
        verdict.policy,
    )


def _hold(verdict: Verdict, spent: Sequence[Spent]) -> Hold:
    demands = [verdict.budgets[one.place] for one in spent]
    asked = list(verdict.hold.demands if verdict.hold is not None else ())
    asked += [demand.approval for demand in demands if demand.approval is not None]
    line = verdict.budgeted[spent[0].place]
    said = [f"{wording.budget_in_words(demand)} is spent." for demand in demands]
    if verdict.hold is not None:
        said.append(verdict.hold.message)
    return wording.held(line, tuple(dict.fromkeys(asked)), [*said, *_messages(demands)], verdict.rules, verdict.policy)


def _messages(demands: Sequence[BudgetDemand]) -> list[str]:
    return list(dict.fromkeys(demand.message for demand in demands if demand.message))
