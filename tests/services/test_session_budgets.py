"""A session's budgets: what is spent refuses or asks, what goes ahead is charged, what cannot be counted is refused."""

import pytest

from interlock.core.budget import Allowance
from interlock.core.decision import Hold, Verdict
from interlock.core.denial import Denial, DenialReason
from interlock.core.errors import StateUnavailable
from interlock.core.identity import Principal
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.services.budgets import Budgets
from interlock.services.session_budgets import SessionBudgets
from tests.clocks import ManualClock
from tests.services.policy.examples import agent, engine, meaning, table, user
from tests.services.test_budgets import MemoryStore

POLICY = engine(
    """
    @id("p") permit (principal, action, resource);
    @id("rows") @budget("rows=5 per 1h") forbid (principal, action == Action::"select", resource);
    @id("size") @budget("bytes=100 per 1h") forbid (principal, action == Action::"copy-out", resource);
    @id("asks") @budget("statements=2 per 1h") @approval("dba")
    forbid (principal, action == Action::"insert", resource);
    @id("always") @approval("legal") forbid (principal, action == Action::"merge", resource);
    @id("storm") @budget("denials=3 per 10m") forbid (principal, action == Action::"update", resource);
    @id("run") @budget("statements=1 per run") forbid (principal, action == Action::"delete", resource);
    @id("run-denials") @budget("denials=1 per run") forbid (principal, action == Action::"comment", resource);
    """
)


class Desk:
    """Sessions of one gateway."""

    def __init__(self) -> None:
        self.clock, self.store = ManualClock(), MemoryStore()
        self.budgets = Budgets(self.store, self.clock)

    def session(self, principal: Principal | None = None, run: str = "") -> SessionBudgets:
        return SessionBudgets(self.budgets, principal or agent(), run)


@pytest.fixture
async def desk() -> Desk:
    return Desk()


def verdict(*actions: str) -> Verdict:
    return POLICY.decide(agent(), "pg", "app", meaning(*map(table, actions)))


def run(session: SessionBudgets, *actions: str, approved: frozenset[str] = frozenset()) -> Denial | Hold | None:
    """Judge and, when nothing speaks against it, charge one statement."""
    found = verdict(*actions)
    refusal = session.judge(found, approved)
    if refusal is None:
        session.charge(found, 1, approved)
    return refusal


def allowance(session: SessionBudgets, *actions: str) -> Allowance:
    found = verdict(*actions)
    assert session.judge(found) is None
    allowed = session.charge(found, 1)
    assert allowed is not None
    allowed.begin()
    return allowed


def reason(decision: Denial | Hold | None) -> DenialReason | None:
    assert isinstance(decision, Denial), decision
    return decision.reason


async def test_rows_are_shared_by_the_sessions_of_an_identity(desk: Desk) -> None:
    first, second = allowance(desk.session(), "select"), allowance(desk.session(), "select")
    taken = [allowed.take(1, 10) for allowed in (first, second) * 4]
    assert taken == [True] * 5 + [False] * 3
    for session in (desk.session(), desk.session(agent("other", "groups"))):
        decision = session.judge(verdict("select"))
        assert isinstance(decision, Denial)
        assert (decision.reason, decision.rules) == (DenialReason.BUDGET_SPENT, ("rows",))
        assert "beyond 5 rows per 1h, and 5 were counted." in decision.message
        assert decision.hint == "There is room again at 2027-01-15T09:01:00Z at the earliest."
    assert desk.session(agent(name="ci-2")).judge(verdict("select")) is None
    assert first.refusal().reason is DenialReason.BUDGET_SPENT
    desk.clock.advance(3661)
    assert desk.session().judge(verdict("select")) is None


async def test_bytes_go_beyond_the_limit_by_the_last_message_only(desk: Desk) -> None:
    sessions = [allowance(desk.session(), "copy-out") for _ in range(3)]
    taken = [allowed.take(1, 60) for allowed in sessions * 2]
    assert taken == [True, True, False, False, False, False]
    assert "and 120 were counted" in sessions[0].refusal().message


async def test_a_spent_budget_with_an_approval_asks(desk: Desk) -> None:
    session = desk.session()
    assert run(session, "insert") is None
    assert run(session, "insert") is None
    held = run(session, "insert")
    assert isinstance(held, Hold)
    assert [demand.group for demand in held.demands] == ["dba"]
    assert run(session, "insert", approved=frozenset({"asks"})) is None
    assert run(session, "insert", approved=frozenset({"other"})) == held


async def test_what_is_approved_does_not_count_for_that_rule(desk: Desk) -> None:
    session = desk.session()
    for _ in range(5):
        assert run(session, "insert", approved=frozenset({"asks"})) is None
    assert run(session, "insert") is None


async def test_a_hold_counts_once_it_is_approved(desk: Desk) -> None:
    session = desk.session()
    for _ in range(3):
        held = run(session, "merge", "insert")
        assert isinstance(held, Hold)
        assert [demand.group for demand in held.demands] == ["legal"]
    approved = frozenset({"always"})
    assert [run(session, "merge", "insert", approved=approved) for _ in range(2)] == [None, None]
    asked = run(session, "merge", "insert", approved=approved)
    assert isinstance(asked, Hold)
    assert {demand.group for demand in asked.demands} == {"legal", "dba"}
    assert run(session, "merge", "insert", approved=approved | {"asks"}) is None


async def test_an_answer_that_reaches_what_would_ask_is_stopped_with_that_advice(desk: Desk) -> None:
    policy = engine(
        '@id("p") permit (principal, action, resource);'
        '@id("asks") @budget("rows=1 per 1h") @approval("dba") forbid (principal, action, resource);'
    )
    found = policy.decide(agent(), "pg", "app", meaning("select"))
    session = desk.session()
    assert session.judge(found) is None
    allowed = session.charge(found, 1)
    assert allowed is not None
    allowed.begin()
    assert [allowed.take(1, 1), allowed.take(1, 1)] == [True, False]
    refusal = allowed.refusal()
    assert refusal.reason is DenialReason.BUDGET_SPENT
    assert refusal.hint == "Sent again, the statement waits for an approval by dba."
    approved = session.charge(found, 1, frozenset({"asks"}))
    assert approved is None, "nothing limits what people agreed to"


async def test_denials_of_the_identity_count_for_every_budget_of_them(desk: Desk) -> None:
    session = desk.session()
    assert POLICY.denial_limits == ((0.0, 1), (600.0, 3))
    for _ in range(2):
        desk.session().note_denial(POLICY.denial_limits)
    assert run(session, "update") is None
    assert run(session, "comment") is None, "those were other sessions, and so other runs"
    session.note_denial(POLICY.denial_limits)
    assert reason(run(session, "comment")) is DenialReason.BUDGET_SPENT
    decision = run(session, "update")
    assert reason(decision) is DenialReason.BUDGET_SPENT
    assert isinstance(decision, Denial)
    assert "beyond 3 denials per 10m, and 3 were counted." in decision.message
    desk.clock.advance(611)
    assert run(session, "update") is None


async def test_a_run_is_what_the_client_names_or_the_session(desk: Desk) -> None:
    session, other = desk.session(), desk.session()
    assert run(session, "delete") is None
    decision = run(session, "delete")
    assert isinstance(decision, Denial)
    assert "whole run" in decision.hint
    assert run(other, "delete") is None
    named = [desk.session(run="a"), desk.session(run="a"), desk.session(run="b")]
    assert [run(one, "delete") is None for one in named] == [True, False, True]
    assert run(desk.session(agent(name="ci-2"), run="a"), "delete") is None
    await desk.budgets.keep()
    assert len(desk.store.kept) == 3, "a session does not outlive the gateway"


async def test_what_cannot_be_counted_is_refused(desk: Desk) -> None:
    session = desk.session()
    allowed = allowance(session, "select")
    desk.store.failure = StateUnavailable("disk full")
    await desk.budgets.keep()
    assert reason(session.judge(verdict("select"))) is DenialReason.POLICY_ERROR
    allowed.begin()
    assert not allowed.take(1, 1)
    assert allowed.refusal().reason is DenialReason.POLICY_ERROR
    assert session.judge(verdict("drop")) is None, "no budget, no counting"


async def test_as_many_counters_as_there_may_be(desk: Desk) -> None:
    desk.budgets = Budgets(desk.store, desk.clock, max_windows=1)
    assert desk.session().judge(verdict("select")) is None
    assert reason(desk.session(agent(name="ci-2")).judge(verdict("select"))) is DenialReason.POLICY_ERROR


async def test_counts_for_people(desk: Desk) -> None:
    session = desk.session()
    allowed = allowance(session, "select")
    while allowed.take(1, 1):
        pass
    allowed.refusal()
    session.judge(verdict("select"))
    session.judge(verdict("select"))
    counts = desk.budgets.counts
    assert {kind.value: count for kind, count in counts.refused.items() if count} == {"rows": 2}
    assert {kind.value: count for kind, count in counts.stopped.items() if count} == {"rows": 1}


# ---------------------------------------------------------------- requests to models

MODELS = engine(
    """
    @id("p") permit (principal, action, resource);
    @id("tokens") @budget("tokens=1000 per 1h") @message("Ask a smaller model.")
    forbid (principal, action == Action::"model-call", resource in Model::"openai/big");
    @id("asks") @budget("tokens=10 per run") @approval("dba")
    forbid (principal, action == Action::"model-call", resource in Model::"openai/asks");
    @id("requests") @budget("requests=2 per 1m")
    forbid (principal, action == Action::"model-call", resource in Model::"openai/few");
    """
)


def call(model: str) -> Verdict:
    access = Access("model-call", ResourceKind.MODEL, (model,))
    return MODELS.decide(agent(), "openai", "", Meaning("POST", (access,), {"http": {}, "model": {"name": model}}))


def answered(session: SessionBudgets, model: str, tokens: int) -> Denial | Hold | None:
    """Judge a call and, when nothing speaks against it, charge it and what its answer uses."""
    refusal = session.judge(call(model))
    if refusal is None:
        allowed = session.charge(call(model), 1)
        if allowed is not None:
            allowed.begin()
            assert allowed.take(0, 1_000_000), "bytes are not what is limited"
            allowed.use_tokens(tokens)
    return refusal


async def test_tokens_count_when_the_answer_is_there(desk: Desk) -> None:
    session, other = desk.session(), desk.session()
    assert [answered(one, "big", 400) for one in (session, other, session)] == [None, None, None]
    refused = answered(other, "big", 400)
    assert isinstance(refused, Denial)
    assert refused.reason is DenialReason.BUDGET_SPENT
    assert "beyond 1000 tokens per 1h, and 1200 were counted. Ask a smaller model." in refused.message
    assert answered(desk.session(agent(name="ci-2")), "big", 1) is None
    desk.clock.advance(3661)
    assert answered(session, "big", 1) is None


async def test_calls_side_by_side_go_beyond_the_limit_by_what_they_use(desk: Desk) -> None:
    session = desk.session()
    assert session.judge(call("big")) is None
    both = [session.charge(call("big"), 1) for _ in range(2)]
    for allowed in both:
        assert allowed is not None
        allowed.use_tokens(900)
    refused = session.judge(call("big"))
    assert isinstance(refused, Denial)
    assert "1800 were counted" in refused.message


async def test_an_answer_without_a_count_uses_nothing(desk: Desk) -> None:
    session = desk.session()
    assert [answered(session, "big", 0) for _ in range(50)] == [None] * 50


async def test_spent_tokens_ask(desk: Desk) -> None:
    session = desk.session(run="nightly")
    assert answered(session, "asks", 10) is None
    held = answered(session, "asks", 10)
    assert isinstance(held, Hold)
    assert "The budget of 10 tokens per run" in held.message


async def test_requests_are_called_so(desk: Desk) -> None:
    session = desk.session()
    assert [answered(session, "few", 5) for _ in range(2)] == [None, None]
    refused = answered(session, "few", 5)
    assert isinstance(refused, Denial)
    assert "beyond 2 requests per 1m, and 2 were counted" in refused.message


async def test_tokens_that_cannot_be_counted_stop_the_next_call(desk: Desk) -> None:
    session = desk.session()
    assert session.judge(call("big")) is None
    allowed = session.charge(call("big"), 1)
    assert allowed is not None
    desk.clock.advance(-3600)
    allowed.use_tokens(5)
    assert not allowed.take(0, 1)
    assert reason(session.judge(call("big"))) is DenialReason.POLICY_ERROR


ACTED_FOR = user(name="ada", acting=(agent(),))


def run_for(session: SessionBudgets, who: Principal, action: str) -> Denial | Hold | None:
    """As ``run``, for any principal."""
    found = POLICY.decide(who, "pg", "app", meaning(table(action)))
    refusal = session.judge(found)
    if refusal is None:
        session.charge(found, 1)
    return refusal


async def test_what_is_done_for_somebody_counts_for_both(desk: Desk) -> None:
    for _ in range(2):
        assert run_for(desk.session(ACTED_FOR), ACTED_FOR, "insert") is None
    for who in (agent(), user(name="ada"), user(name="eve", acting=(agent(),)), user(name="ada", acting=(user(),))):
        assert isinstance(run_for(desk.session(who), who, "insert"), Hold)
    for who in (user(name="eve"), agent(name="ci-2")):
        assert run_for(desk.session(who), who, "insert") is None


async def test_rows_of_who_acts_are_said_to_be_its_own(desk: Desk) -> None:
    for name in ("ada", "eve"):
        who = user(name=name, acting=(agent(),))
        allowed = desk.session(who).charge(POLICY.decide(who, "pg", "app", meaning(table("select"))), 1)
        assert allowed is not None
        allowed.begin()
        assert allowed.take(2 if name == "ada" else 3, 10)
    refused = run_for(desk.session(who), who, "select")
    assert isinstance(refused, Denial)
    assert "5 of who acts were counted" in refused.message


@pytest.mark.parametrize("run", ["", "nightly"])
async def test_denials_count_for_both(desk: Desk, run: str) -> None:
    session = desk.session(ACTED_FOR, run)
    session.note_denial(POLICY.denial_limits)
    assert reason(run_for(session, ACTED_FOR, "comment")) is DenialReason.BUDGET_SPENT
    for who in (agent(), user(name="ada")):
        assert (run_for(desk.session(who, run), who, "comment") is not None) is bool(run)


async def test_a_budget_for_a_run_without_a_name_counts_once_for_each(desk: Desk) -> None:
    session = desk.session(ACTED_FOR)
    assert run_for(session, ACTED_FOR, "delete") is None
    assert reason(run_for(session, ACTED_FOR, "delete")) is DenialReason.BUDGET_SPENT
