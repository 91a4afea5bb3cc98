"""Who may do what on the gateway itself: what policy grants, what it cannot, and that what breaks grants nothing."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from interlock.core.administration import (
    AddLock,
    Approve,
    Command,
    IssueToken,
    ListConnections,
    Permission,
    Route,
    ShowIdentity,
)
from interlock.core.errors import LedgerUnavailable, NotAllowed, StateUnavailable
from interlock.core.identity import Actor, Principal, PrincipalKind, local_actor
from interlock.core.ledger import AccessRefused
from interlock.core.lock import LockSubject
from interlock.services.authority import OF_OPERATORS, Authority
from interlock.services.policy import PolicySource, PolicyStore
from tests.clocks import ManualClock
from tests.services.administration_bench import AdministrationBench, MemoryLedger

NODE = "node-1"
GRANTS = """
@id("security") permit (
  principal in Group::"security", action in [Action::"respond", Action::"audit"], resource == Gateway::"node-1");
@id("elsewhere") permit (principal in Group::"dev", action == Action::"develop", resource == Gateway::"node-2");
@id("by-type") permit (principal == User::"ada", action == Action::"administer", resource is Gateway);
"""

Make = Callable[..., Awaitable[Authority]]


class Barred:
    """Keeps one name out; ``broken`` cannot tell."""

    def __init__(self, name: str = "", broken: bool = False) -> None:
        self._name = name
        self._broken = broken

    def bar_on(self, principal: Principal) -> str | None:
        if self._broken:
            raise StateUnavailable("the disk is gone")
        return "access is locked: on leave" if principal.name == self._name else None


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger([])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(ledger: MemoryLedger, clock: ManualClock) -> Make:
    async def make(policy: str = GRANTS, bars: Barred = Barred()) -> Authority:  # noqa: B008 - has no state
        store = PolicyStore(MemoryLedger([]))
        await store.start((PolicySource("a.cedar", policy),))
        return Authority(ledger, clock, NODE, store, bars)

    return make


def user(name: str, *groups: str, **changes: object) -> Actor:
    principal = Principal(PrincipalKind.USER, name, frozenset(groups))
    return Actor(msgspec.structs.replace(principal, **changes), client_address="192.0.2.7")


async def test_policy_grants(make: Make) -> None:
    authority = await make()
    assert authority.permissions(user("eve", "security")) == {Permission.RESPOND, Permission.AUDIT}
    assert authority.permissions(user("ada")) == {Permission.ADMINISTER}
    assert authority.permissions(user("dave", "dev")) == frozenset(), "that is another gateway"
    assert authority.permissions(user("nobody")) == frozenset()


@pytest.mark.parametrize(
    "policy",
    [
        '@id("p") permit (principal, action in Action::"admin", resource);',
        '@id("p") permit (principal, action, resource in Connection::"node-1");',
        '@id("p") permit (principal, action in [Action::"read", Action::"write"], resource);',
        '@id("p") permit (principal is Agent, action, resource);',
    ],
)
async def test_rules_about_statements_grant_nothing(make: Make, policy: str) -> None:
    assert (await make(policy)).permissions(user("ada")) == frozenset()


async def test_no_agent_has_a_permission(make: Make) -> None:
    authority = await make('@id("p") permit (principal, action, resource);')
    assert authority.permissions(user("ada")) == frozenset(Permission)
    assert authority.permissions(user("bot", kind=PrincipalKind.AGENT)) == frozenset()


async def test_conditions_count(make: Make, clock: ManualClock) -> None:
    office = """
    @id("p") permit (principal, action == Action::"audit", resource == Gateway::"node-1")
    when { context.client.address == "192.0.2.7" && context.now < 2000000000 };"""
    authority = await make(office)
    ada = user("ada")
    assert authority.permissions(ada) == {Permission.AUDIT}
    assert authority.permissions(msgspec.structs.replace(ada, client_address="192.0.2.8")) == frozenset()
    clock.advance(2_000_000_000)
    assert authority.permissions(ada) == frozenset()


@pytest.mark.parametrize(
    "forbid",
    [
        '@id("f") forbid (principal, action == Action::"audit", resource);',
        '@id("f") @approval("leads") forbid (principal, action == Action::"audit", resource);',
        '@id("f") forbid (principal, action == Action::"audit", resource)'
        " when { context.now * 9223372036854775807 > 1 };",
    ],
    ids=["forbidden", "would need an approval", "cannot be evaluated"],
)
async def test_what_is_not_plainly_permitted_is_denied(make: Make, forbid: str) -> None:
    authority = await make(GRANTS + forbid)
    assert authority.permissions(user("eve", "security")) == {Permission.RESPOND}


async def test_a_broken_clock_or_policy_grants_nothing(
    make: Make, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = await make()

    def fail(*_: object) -> float:
        raise OSError("no clock")

    monkeypatch.setattr(clock, "now_s", fail)
    assert authority.permissions(user("ada")) == frozenset()
    monkeypatch.undo()
    monkeypatch.setattr(PolicyStore, "engine", property(fail))
    assert authority.permissions(user("ada")) == frozenset()
    with pytest.raises(NotAllowed):
        await authority.check(IssueToken("bot"), user("ada"))


async def test_operators_of_the_machine_review_nothing_by_being_there(make: Make, ledger: MemoryLedger) -> None:
    authority = await make()
    root = local_actor("root")
    assert authority.permissions(root) == OF_OPERATORS == frozenset(Permission) - {Permission.REVIEW}
    await authority.check(AddLock(LockSubject.USER, "x"), root)
    with pytest.raises(NotAllowed, match="review"):
        await authority.check(Approve("1", "fine"), root)
    reviewing = await make('@id("p") permit (principal in Group::"leads", action == Action::"review", resource);')
    assert Permission.REVIEW in reviewing.permissions(local_actor("ada", frozenset({"leads"})))


async def test_without_policy_there_are_operators_only(ledger: MemoryLedger, clock: ManualClock) -> None:
    authority = Authority(ledger, clock, NODE)
    assert authority.permissions(local_actor("root")) == OF_OPERATORS
    assert authority.permissions(user("root")) == frozenset()


async def test_a_refusal_is_on_record_and_says_what_is_missing(make: Make, ledger: MemoryLedger) -> None:
    authority = await make()
    with pytest.raises(NotAllowed) as caught:
        await authority.check(ShowIdentity("ci/bot"), user("nobody"))
    assert '"administer" or "respond" or "audit"' in str(caught.value)
    assert 'Gateway::"node-1"' in str(caught.value)
    (record,) = ledger.records
    assert isinstance(record, AccessRefused)
    assert (record.actor, record.action, record.subject) == ("nobody", "identities.show", "ci/bot")
    ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await authority.check(ShowIdentity("ci/bot"), user("nobody"))


async def test_who_is_locked_may_do_nothing(make: Make, ledger: MemoryLedger) -> None:
    authority = await make(bars=Barred("ada"))
    assert authority.permissions(user("ada")) == frozenset()
    with pytest.raises(NotAllowed, match="on leave"):
        await authority.require((), user("ada"), "whoami")
    await authority.require((), user("eve"), "whoami")
    unsure = await make(bars=Barred(broken=True))
    with pytest.raises(NotAllowed, match="cannot be found out"):
        await unsure.check(ListConnections(), user("ada"))


async def test_an_expired_token_may_do_nothing(make: Make, clock: ManualClock) -> None:
    authority = await make()
    ada = user("ada", expires_at_s=clock.now_s() + 60)
    assert authority.permissions(ada) == {Permission.ADMINISTER}
    clock.advance(60)
    assert authority.permissions(ada) == frozenset()
    with pytest.raises(NotAllowed, match="expired"):
        await authority.check(ListConnections(), ada)


async def test_a_changed_policy_counts_at_once(ledger: MemoryLedger, clock: ManualClock) -> None:
    store = PolicyStore(MemoryLedger([]))
    await store.start((PolicySource("a.cedar", GRANTS),))
    authority = Authority(ledger, clock, NODE, store)
    assert authority.permissions(user("ada"))
    await store.activate((PolicySource("a.cedar", ""),), "test")
    assert not authority.permissions(user("ada"))


class Opened(Command[tuple[str, ...]], frozen=True, tag="test.opened"):
    """A command that the bench has no handler for."""

    route = Route("GET", "/v1/test", (Permission.AUDIT,))


async def test_nothing_goes_around_it() -> None:
    bench = AdministrationBench()
    commands: list[Command[Any]] = [ListConnections(), Opened(), IssueToken("bot", ttl_s=-1)]
    for command in commands:
        with pytest.raises(NotAllowed):
            await bench.administration.execute(command, user("ada"))
    assert [type(record) for record in bench.ledger.records] == [AccessRefused] * 3


@pytest.mark.parametrize("kind", list(PrincipalKind))
async def test_nobody_has_a_permission_through_somebody_else(
    make: Make, ledger: MemoryLedger, kind: PrincipalKind
) -> None:
    authority = await make('@id("p") permit (principal, action, resource);')
    acted_for = user("ada", acting=(Principal(kind, "other"),))
    assert authority.permissions(acted_for) == frozenset()
    with pytest.raises(NotAllowed, match="through somebody who acts for them"):
        await authority.check(ListConnections(), acted_for)
    assert isinstance(ledger.records[-1], AccessRefused)
