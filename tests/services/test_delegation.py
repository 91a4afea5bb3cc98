"""A session in which an agent acts for a person, over all that decides for it: both have to be allowed."""

from collections.abc import Awaitable

import pytest

from interlock.core.catalogue import Catalogue
from interlock.core.decision import Decision, Hold, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.identity import Principal
from interlock.core.masking import MaskingOptions
from interlock.core.operation import Operation
from interlock.core.session import Session
from interlock.services.budgets import Budgets
from interlock.services.enforcement import Enforcement, SessionGuard
from interlock.services.masking import Maskings, SessionMasking
from interlock.services.policy import ClientFacts, PolicyStore
from tests.clocks import ManualClock
from tests.services.policy.catalogues import SHOP
from tests.services.policy.examples import agent, meaning, source, user
from tests.services.test_budgets import MemoryStore
from tests.services.test_enforcement import StubRecorder, WaywardLedger

CRM = agent("crm-agents", name="ci:acme/crm", owner="lee")
ADA = user("sales", name="ada", acting=(CRM,))
POLICY = """
@id("sales") permit (principal in Group::"sales", action, resource in Connection::"pg");
@id("agents") permit (
  principal in Group::"crm-agents", action in [Action::"read", Action::"write"], resource in Connection::"pg")
when { context has on_behalf_of };
@id("agents-ask") @approval("dba") forbid (principal is Agent, action == Action::"update", resource);
@id("few") @budget("statements=2 per 1h") forbid (principal is Agent, action == Action::"insert", resource);
"""
HIDE = """
@id("no-mail-for-agents") @mask("redact")
forbid (principal is Agent, action == Action::"reveal", resource == Column::"pg/app/public/users/email");
"""


class Desk:
    """What decides for one gateway."""

    def __init__(self) -> None:
        self.ledger, self.clock = WaywardLedger(), ManualClock()
        self.policies = PolicyStore(WaywardLedger())
        self.budgets = Budgets(MemoryStore(), self.clock)
        self.enforcement = Enforcement(self.policies, self.ledger, self.clock, budgets=self.budgets)

    def guard(self, who: Principal = ADA, masking: SessionMasking | None = None) -> SessionGuard:
        return self.enforcement.guard(session_of(who), StubRecorder(), masking)

    async def decide(self, action: str, who: Principal = ADA) -> Decision:
        return await decided(self.guard(who), action)


def session_of(who: Principal) -> Session:
    return Session("s1", "postgres", "pg", "app", who, "127.0.0.1:5000")


async def decided(guard: SessionGuard, action: str, masking: str = "") -> Decision:
    decisions = guard.authorize([Operation(1, meaning(action), b"SELECT 1", masking=masking)])
    return (await decisions if isinstance(decisions, Awaitable) else decisions)[0]


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.policies.start([source(POLICY)])
    return desk


async def test_what_both_may_is_permitted(desk: Desk) -> None:
    decision = await desk.decide("select")
    assert isinstance(decision, Permit)
    assert decision.rules == ("agents", "sales")


async def test_what_one_may_not_is_denied(desk: Desk) -> None:
    denial = await desk.decide("drop")
    assert isinstance(denial, Denial)
    assert "Agent ci:acme/crm, who acts for User ada, is not allowed to" in denial.message
    assert isinstance(await desk.decide("drop", user("sales", name="ada")), Permit)
    assert isinstance(await desk.decide("select", CRM), Denial)
    assert isinstance(await desk.decide("select", user(name="eve", acting=(CRM,))), Denial)


async def test_what_one_needs_an_approval_for_is_held(desk: Desk) -> None:
    held = await desk.decide("update")
    assert isinstance(held, Hold)
    assert [demand.group for demand in held.demands] == ["dba"]
    assert isinstance(await desk.decide("update", user("sales", name="ada")), Permit)


async def test_budgets_of_who_acts_are_used_for_whomever_it_acts(desk: Desk) -> None:
    for name in ("ada", "eve"):
        assert isinstance(await desk.decide("insert", user("sales", name=name, acting=(CRM,))), Permit)
    spent = await desk.decide("insert", user("sales", name="zoe", acting=(CRM,)))
    assert isinstance(spent, Denial)
    assert spent.reason is DenialReason.BUDGET_SPENT
    assert isinstance(await desk.decide("insert", user("sales", name="zoe")), Permit)


class OneCatalogue:
    """Implements what ``Maskings`` needs of ``Catalogues``."""

    epoch = 1

    async def get(self, connection: str, database: str) -> Catalogue:
        return SHOP

    def peek(self, connection: str, database: str) -> Catalogue | None:
        return SHOP


async def test_what_is_masked_for_who_acts_is_masked(desk: Desk) -> None:
    await desk.policies.activate([source(POLICY + HIDE)], "test")
    maskings = Maskings(desk.policies, OneCatalogue(), lambda _: MaskingOptions())  # type: ignore[arg-type]
    masking = await maskings.open(session_of(ADA), ClientFacts())
    assert masking.current is not None
    assert set(masking.current.columns[1]) == {"email"}
    guard = desk.guard(ADA, masking)
    assert isinstance(await decided(guard, "select", masking.version), Permit)
    assert isinstance(await decided(guard, "select"), Denial)
    assert (await maskings.open(session_of(user("sales", name="ada")), ClientFacts())).current is None


async def test_another_policy_counts_at_once(desk: Desk) -> None:
    guard = desk.guard()
    assert isinstance(await decided(guard, "select"), Permit)
    no_crm = '@id("no") forbid (principal, action, resource) when { context has actor };'
    await desk.policies.activate([source(POLICY + no_crm)], "test")
    assert isinstance(await decided(guard, "select"), Denial)
