"""Who may lift which lock: never whoever is locked by it, under none of its names; everybody else may."""

import msgspec
import pytest

from interlock.core.errors import AdministrationRefused, LedgerUnavailable
from interlock.core.identity import Actor, Principal, PrincipalKind, RegisteredIdentity, local_actor
from interlock.core.ledger import AccessRefused, LockRemoved
from interlock.core.lock import Lock, LockMode, LockSubject
from tests.services.administration_bench import AdministrationBench
from tests.services.policy.examples import agent, user

RUN = "0af7651916cd43dd8448eb211c80319c"


class Office:
    """One lock and people who come to lift it."""

    def __init__(self) -> None:
        self.bench = AdministrationBench()
        self.locking = self.bench.locking

    def register(self, name: str, *groups: str, kind: PrincipalKind = PrincipalKind.USER, owner: str = "") -> None:
        self.bench.state.identities[name] = RegisteredIdentity(name, kind, owner or None, frozenset(groups))

    async def lock(self, kind: LockSubject, subject: str = "") -> Lock:
        return (await self.locking.locks.add(kind, subject, LockMode.READ_ONLY, "looked at", "ada")).lock

    async def lift(self, lock: Lock, who: Principal) -> bool:
        """Whether it is lifted. What is on record of it is checked on the way."""
        refusal = ""
        try:
            await self.locking.locks.remove(lock.id, Actor(who), "looked at")
        except AdministrationRefused as error:
            refusal = str(error)
        if refusal:
            assert "somebody else has to lift it" in refusal
            refused = self.bench.ledger.records[-1]
            assert isinstance(refused, AccessRefused)
            assert (refused.actor, refused.action, refused.subject) == (who.name, "locks.remove", lock.id)
            assert self.locking.locks.find(lock.id) == lock
            assert lock.id in self.locking.store.locks
            return False
        removed = self.bench.ledger.records[-1]
        assert isinstance(removed, LockRemoved)
        assert (removed.lock, removed.by) == (lock.id, who.name)
        assert lock.id not in self.locking.store.locks
        return True


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.mark.parametrize(
    ("kind", "subject", "who", "may"),
    [
        (LockSubject.USER, "sam", user(), False),
        (LockSubject.USER, "sam", user(name="SAM"), False),
        (LockSubject.USER, "sam", user(name="eve"), True),
        (LockSubject.OWNER, "sam", user(), False),
        (LockSubject.OWNER, "sam", user(name="eve"), True),
        (LockSubject.GROUP, "night", user("night"), False),
        (LockSubject.GROUP, "night", user("day"), True),
        (LockSubject.AGENT, "ci-1", user(), True),
        (LockSubject.AGENT, "sam", user(), False),  # an agent with a person's name is taken for that person's
        (LockSubject.CONNECTION, "pg", user(), True),
        (LockSubject.EVERYTHING, "", user(), True),
    ],
)
async def test_by_name_and_group(office: Office, kind: LockSubject, subject: str, who: Principal, may: bool) -> None:
    assert await office.lift(await office.lock(kind, subject), who) is may


async def test_an_owner_does_not_lift_what_is_on_its_agents(office: Office) -> None:
    office.register("ci-1", kind=PrincipalKind.AGENT, owner="alice")
    lock = await office.lock(LockSubject.AGENT, "ci-1")
    assert not await office.lift(lock, user(name="alice"))
    assert await office.lift(lock, user(name="bob"))


async def test_nor_does_another_identity_with_the_same_owner(office: Office) -> None:
    office.register("ci-1", kind=PrincipalKind.AGENT, owner="alice")
    office.register("alices-second-name", owner="alice")
    lock = await office.lock(LockSubject.AGENT, "ci-1")
    assert not await office.lift(lock, user(name="alices-second-name"))
    assert await office.lift(lock, user(name="bob"))


async def test_what_a_token_says_of_an_owner_counts_for_its_open_session(office: Office) -> None:
    office.locking.sessions.add(agent(name="unregistered", owner="carol"))
    lock = await office.lock(LockSubject.AGENT, "unregistered")
    assert not await office.lift(lock, user(name="carol"))


async def test_and_for_sessions_that_are_over(office: Office) -> None:
    office.locking.known.principals[LockSubject.AGENT, "gone"] = [agent(name="gone", owner="carol")]
    lock = await office.lock(LockSubject.AGENT, "gone")
    assert not await office.lift(lock, user(name="carol"))
    assert await office.lift(lock, user(name="bob"))


async def test_an_owner_lock_is_on_whoever_has_that_owner(office: Office) -> None:
    office.register("second-name", owner="alice")
    lock = await office.lock(LockSubject.OWNER, "alice")
    assert not await office.lift(lock, user(name="second-name"))
    assert not await office.lift(lock, user(name="alice"))
    assert await office.lift(lock, user(name="bob"))


async def test_an_owner_of_a_members_identity_is_bound_by_a_lock_on_the_group(office: Office) -> None:
    office.register("night-bot", "night", kind=PrincipalKind.AGENT, owner="alice")
    office.register("registered-member", "night")
    lock = await office.lock(LockSubject.GROUP, "night")
    assert not await office.lift(lock, user(name="alice"))
    assert not await office.lift(lock, user(name="registered-member"))
    assert await office.lift(lock, user(name="bob"))


@pytest.mark.parametrize(("kind", "subject"), [(LockSubject.TOKEN, "jti-1"), (LockSubject.RUN, RUN)])
async def test_a_lock_on_a_token_or_run_binds_whose_it_is(office: Office, kind: LockSubject, subject: str) -> None:
    holder = Principal(PrincipalKind.AGENT, "ci-1", owner="alice", token_id="jti-1")
    session = office.locking.sessions.add(holder, run=RUN)
    lock = await office.lock(kind, subject)
    office.locking.known.principals[kind, subject] = [session.session.principal]
    session.done.append("cut")
    assert not await office.lift(lock, user(name="alice"))
    assert not await office.lift(lock, Principal(PrincipalKind.USER, "ci-1"))
    assert await office.lift(lock, user(name="bob"))


async def test_a_lock_on_earlier_proofs_binds_whoever_logs_in_again(office: Office) -> None:
    early = Principal(PrincipalKind.USER, "carol", issuer="idp", subject="42", issued_at_s=1000.0)
    receipt = await office.locking.locks.add(
        LockSubject.SUBJECT, "idp 42", LockMode.REFUSE, "looked at", "ada", issued_before_s=1000.0
    )
    assert not await office.lift(receipt.lock, msgspec.structs.replace(early, issued_at_s=2000.0))
    assert await office.lift(receipt.lock, user(name="bob"))


async def test_a_lock_on_whoever_acts_binds_for_whom(office: Office) -> None:
    bot = agent(name="bot", owner=None)
    office.locking.sessions.add(user(name="carol", acting=(bot,)))
    lock = await office.lock(LockSubject.AGENT, "bot")
    assert not await office.lift(lock, user(name="carol"))
    assert await office.lift(lock, user(name="bob"))


async def test_one_person_under_two_names_of_one_issuer(office: Office) -> None:
    locked = Principal(PrincipalKind.USER, "carol", issuer="idp", subject="42")
    office.locking.known.principals[LockSubject.USER, "carol"] = [locked]
    lock = await office.lock(LockSubject.USER, "carol")
    assert not await office.lift(lock, Principal(PrincipalKind.USER, "carol-admin", issuer="idp", subject="42"))
    assert await office.lift(lock, Principal(PrincipalKind.USER, "dave", issuer="other-idp", subject="42"))


async def test_the_machines_operator_is_a_responder_as_any_other(office: Office) -> None:
    operator = local_actor("root").principal
    assert await office.lift(await office.lock(LockSubject.AGENT, "ci-1"), operator)
    assert not await office.lift(await office.lock(LockSubject.USER, "os:root"), operator)


async def test_a_refusal_that_cannot_be_recorded_is_one_all_the_same(office: Office) -> None:
    lock = await office.lock(LockSubject.USER, "sam")
    office.bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await office.locking.locks.remove(lock.id, Actor(user()), "looked at")
    assert office.locking.locks.find(lock.id) == lock


# ---------------------------------------------------------------- exemptions


@pytest.mark.parametrize(
    ("kind", "subject", "who", "why"),
    [
        (LockSubject.USER, "sam", user(), "the exemption would be for yourself: somebody else has to give it"),
        (LockSubject.USER, "SAM", user(), "the exemption would be for 'SAM', which is the same person's as you"),
        (LockSubject.GROUP, "night", user("night"), "the exemption would be for yourself"),
        (LockSubject.OWNER, "sam", user(), "the exemption would be for yourself"),
        (LockSubject.AGENT, "ci-1", user(name="alice"), "the exemption would be for 'ci-1'"),
        (LockSubject.AGENT, "ci-1", user(name="alices-second-name"), "the exemption would be for 'ci-1'"),
        (LockSubject.GROUP, "bots", user(name="alice"), "the exemption would be for 'ci-1'"),
    ],
)
async def test_nobody_exempts_himself(
    office: Office, kind: LockSubject, subject: str, who: Principal, why: str
) -> None:
    office.register("ci-1", "bots", kind=PrincipalKind.AGENT, owner="alice")
    office.register("alices-second-name", owner="alice")
    lock = await office.lock(LockSubject.CONNECTION, "pg")
    with pytest.raises(AdministrationRefused, match=why):
        await office.locking.exemptions.add(lock.id, kind, subject, 600, "hotfix", Actor(who))
    refused = office.bench.ledger.records[-1]
    assert isinstance(refused, AccessRefused)
    assert (refused.actor, refused.action, refused.subject) == (who.name, "locks.exempt", lock.id)
    assert office.locking.locks.find(lock.id).exemptions == ()
    await office.locking.exemptions.add(lock.id, kind, subject, 600, "hotfix", Actor(user(name="bob")))
    assert len(office.locking.locks.find(lock.id).exemptions) == 1


async def test_whoever_is_locked_exempts_nobody_and_stays_so_when_exempt(office: Office) -> None:
    lock = await office.lock(LockSubject.GROUP, "night")
    sam, bob = Actor(user("night")), Actor(user(name="bob"))
    exemptions = office.locking.exemptions
    with pytest.raises(AdministrationRefused, match="the lock is on yourself: somebody else has to exempt from it"):
        await exemptions.add(lock.id, LockSubject.AGENT, "ci-1", 600, "hotfix", sam)
    await exemptions.add(lock.id, LockSubject.USER, "sam", 600, "hotfix", bob)
    with pytest.raises(AdministrationRefused, match="the lock is on yourself"):
        await exemptions.add(lock.id, LockSubject.USER, "sam", 86_400, "longer", sam)
    assert not await office.lift(office.locking.locks.find(lock.id), sam.principal)
    with pytest.raises(AdministrationRefused, match="the lock is on yourself"):
        await office.locking.cascade.check_may_change(
            RegisteredIdentity("sam", PrincipalKind.USER, None, frozenset(["night"])), sam
        )
