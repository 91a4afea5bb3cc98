"""What a spent budget makes of a verdict, in words."""

from tests.services.policy.examples import MONDAY_NOON_S, agent, engine, meaning, table

from interlock.core.decision import Hold, Verdict
from interlock.core.denial import Denial, DenialReason
from interlock.services.policy.budgets import Spent, when_spent

POLICY = """
@id("p") permit (principal, action, resource);
@id("rows") @budget("rows=10 per 1h, rows=50 per 1d") @message("Ask for an export.")
forbid (principal, action == Action::"select", resource);
@id("run") @budget("bytes=99 per run") forbid (principal, action == Action::"delete", resource);
@id("storm") @budget("denials=3 per 10m") forbid (principal, action == Action::"update", resource);
@id("asks") @budget("statements=2 per 1d") @approval("dba") forbid (principal, action == Action::"insert", resource);
@id("always") @approval("legal") forbid (principal, action == Action::"merge", resource);
"""


def verdict(*actions: str) -> Verdict:
    found = engine(POLICY).decide(agent(), "pg", "app", meaning(*(table(action) for action in actions)))
    assert found.denial is None
    return found


def denied(found: Verdict, *spent: Spent) -> Denial:
    decision = when_spent(found, spent)
    assert isinstance(decision, Denial)
    return decision


def test_denial_says_which_how_much_and_when() -> None:
    found = verdict("select", "insert")
    assert denied(found, Spent(1, 51, MONDAY_NOON_S + 0.2), Spent(0, 12, MONDAY_NOON_S - 60)) == Denial(
        DenialReason.BUDGET_SPENT,
        'Rule "rows" forbids select on table pg/app/public/users beyond 50 rows per 1d, and 51 were counted. '
        "Ask for an export.",
        "There is room again at 2026-01-05T12:00:01Z at the earliest.",
        "select on table pg/app/public/users",
        ("rows",),
        found.policy,
    )


def test_a_run_has_no_later() -> None:
    assert denied(verdict("delete"), Spent(0, 100)).hint == (
        "The budget is for the whole run: it has no room for this any more."
    )


def test_denials_that_count_as_well() -> None:
    hint = denied(verdict("update"), Spent(0, 3, MONDAY_NOON_S)).hint
    assert hint.endswith("12:00:00Z at the earliest. Every further denial counts as well.")
    assert denied(verdict("update"), Spent(0, 3)).hint.startswith("Try again later.")


def test_an_approval_is_asked_for_only_when_nothing_forbids() -> None:
    found = verdict("select", "insert")
    assert [demand.rule for demand in found.budgets] == ["rows", "rows", "asks"]
    held = when_spent(found, [Spent(2, 2)])
    assert isinstance(held, Hold)
    assert [demand.group for demand in held.demands] == ["dba"]
    assert held.message == (
        'insert on table pg/app/public/users needs 1 approval of group dba (rule "asks"). '
        'The budget of 2 statements per 1d of rule "asks" is spent.'
    )
    assert held.rules == found.rules
    assert denied(found, Spent(2, 2), Spent(0, 10)).rules == ("rows",)


def test_demands_add_up() -> None:
    found = verdict("insert", "merge")
    assert found.hold is not None
    assert [demand.group for demand in found.hold.demands] == ["legal"]
    held = when_spent(found, [Spent(0, 2)])
    assert isinstance(held, Hold)
    assert [demand.group for demand in held.demands] == ["legal", "dba"]


def test_equal_budgets_are_shared_between_verdicts() -> None:
    policy = engine(POLICY)
    first, second = (
        policy.decide(agent(), "pg", "app", meaning(table("select", name))) for name in ("users", "orders")
    )
    assert first.budgets is second.budgets
    assert first.budgeted != second.budgeted
