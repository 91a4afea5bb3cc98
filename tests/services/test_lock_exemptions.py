"""Exemptions from locks: on record before they hold; whatever fails ends them, and the lock is in force again then."""

import pytest

from interlock.core.errors import AdministrationRefused, LedgerUnavailable, NotFound, StateUnavailable
from interlock.core.identity import Actor, Principal
from interlock.core.ledger import LockExempted, LockExemptionEnded
from interlock.core.lock import MAX_EXEMPTION_S, MAX_EXEMPTIONS, Exemption, Lock, LockMode, LockSubject
from tests.clocks import ManualClock
from tests.services.administration_bench import AdministrationBench
from tests.services.locks_bench import FakeSession, lock_records
from tests.services.policy.examples import agent, user

EVE = Actor(user(name="eve"))
MINUTES_S = 600.0


class Freeze:
    """A lock on a connection, and whoever is exempt from it."""

    def __init__(self) -> None:
        self.bench = AdministrationBench()
        self.clock, self.ledger = self.bench.clock, self.bench.ledger
        self.locking = self.bench.locking
        self.lock_id = ""

    async def lock(self, mode: LockMode = LockMode.READ_ONLY, for_s: float | None = None) -> None:
        expires_at_s = None if for_s is None else self.clock.now_s() + for_s
        receipt = await self.locking.locks.add(
            LockSubject.CONNECTION, "pg", mode, "code freeze", "ada", expires_at_s=expires_at_s
        )
        self.lock_id = receipt.lock.id

    async def exempt(
        self, kind: LockSubject = LockSubject.AGENT, subject: str = "ci-1", for_s: float = MINUTES_S
    ) -> Exemption:
        return await self.locking.exemptions.add(self.lock_id, kind, subject, for_s, "hotfix", EVE)

    async def tick(self) -> None:
        self.locking.exemptions.expire()
        await self.locking.exemptions.settle()

    def modes(self, principal: Principal | None = None, connection: str = "pg") -> set[str]:
        restriction = self.locking.locks.restriction(principal or agent(), connection, "")
        return {mode.value for mode in restriction.modes} if restriction is not None else set()

    def session(self, principal: Principal | None = None) -> FakeSession:
        return self.locking.sessions.add(principal or agent())

    @property
    def found(self) -> Lock:
        return self.locking.locks.find(self.lock_id)

    @property
    def recorded(self) -> list[str]:
        return lock_records(self.ledger.records)


@pytest.fixture
def freeze() -> Freeze:
    return Freeze()


# ---------------------------------------------------------------- whom, and how long


@pytest.mark.parametrize(
    ("kind", "subject"),
    [(LockSubject.AGENT, "ci-1"), (LockSubject.OWNER, "alice"), (LockSubject.GROUP, "ci-bots")],
)
async def test_the_lock_does_not_concern_them_and_concerns_all_others(
    freeze: Freeze, kind: LockSubject, subject: str
) -> None:
    await freeze.lock()
    await freeze.exempt(kind, subject)
    assert freeze.modes(agent("ci-bots", owner="alice")) == set()
    assert freeze.modes(agent(name="ci-2", owner="bob")) == {"read-only"}
    assert freeze.modes(user(name="ci-1")) == {"read-only"}


async def test_whoever_acts_for_somebody_has_to_be_exempt_as_well(freeze: Freeze) -> None:
    await freeze.lock()
    await freeze.exempt(LockSubject.USER, "sam")
    assert freeze.modes(user()) == set()
    assert freeze.modes(user(acting=(agent(),))) == {"read-only"}
    await freeze.exempt(LockSubject.AGENT, "ci-1")
    assert freeze.modes(user(acting=(agent(),))) == set()


async def test_other_locks_concern_them_all_the_same(freeze: Freeze) -> None:
    await freeze.lock()
    await freeze.exempt()
    await freeze.lock(LockMode.MASK_ALL)
    assert freeze.modes() == {"mask-all"}


async def test_it_is_on_record_with_who_whom_why_and_until_when(freeze: Freeze) -> None:
    await freeze.lock()
    exemption = await freeze.exempt()
    ends_at_s = freeze.clock.now_s() + MINUTES_S
    assert freeze.ledger.records[-1] == LockExempted(freeze.lock_id, "agent", "ci-1", "hotfix", "eve", ends_at_s)
    assert freeze.found.exemptions == (exemption,)
    assert freeze.locking.store.locks[freeze.lock_id].exemptions == (exemption,)


async def test_given_again_it_replaces_the_earlier_one(freeze: Freeze) -> None:
    await freeze.lock()
    await freeze.exempt()
    freeze.clock.advance(MINUTES_S - 1)
    later = await freeze.exempt()
    assert freeze.found.exemptions == (later,)
    freeze.clock.advance(MINUTES_S - 1)
    await freeze.tick()
    assert freeze.modes() == set()


@pytest.mark.parametrize("kind", [LockSubject.RUN, LockSubject.TOKEN, LockSubject.CONNECTION, LockSubject.EVERYTHING])
async def test_what_is_not_somebody_cannot_be_exempted(freeze: Freeze, kind: LockSubject) -> None:
    await freeze.lock()
    with pytest.raises(AdministrationRefused, match="only a user, agent, owner or group"):
        await freeze.exempt(kind, "x")
    assert freeze.recorded == ["added"]


@pytest.mark.parametrize("for_s", [0, -1, MAX_EXEMPTION_S + 1])
async def test_it_lasts_a_day_at_most(freeze: Freeze, for_s: float) -> None:
    await freeze.lock()
    with pytest.raises(AdministrationRefused, match="24 hours at most"):
        await freeze.exempt(for_s=for_s)


async def test_a_lock_has_so_many_at_most(freeze: Freeze) -> None:
    await freeze.lock()
    for number in range(MAX_EXEMPTIONS):
        await freeze.exempt(subject=f"a{number}")
    with pytest.raises(AdministrationRefused, match="100 exemptions at most"):
        await freeze.exempt()
    await freeze.exempt(subject="a7")


async def test_without_the_lock_there_is_none(freeze: Freeze) -> None:
    with pytest.raises(NotFound, match="no lock '' in force"):
        await freeze.exempt()


# ---------------------------------------------------------------- open sessions


async def test_a_frozen_session_goes_on_and_is_frozen_again_at_the_end(freeze: Freeze) -> None:
    exempted, other = freeze.session(), freeze.session(agent(name="ci-2", owner="bob"))
    await freeze.lock(LockMode.FREEZE)
    await freeze.exempt()
    assert (exempted.state, other.state) == ("idle", "frozen")
    freeze.clock.advance(MINUTES_S)
    await freeze.tick()
    assert (exempted.state, other.state) == ("frozen", "frozen")
    assert (exempted.done, other.done) == (["freeze", "thaw", "freeze"], ["freeze"])
    assert freeze.recorded == ["added", "session", "session", "exempted", "exemption-ended", "session"]


async def test_what_has_written_is_cut_when_it_ends_and_approvals_are_void(freeze: Freeze) -> None:
    await freeze.lock()
    await freeze.exempt()
    session, reading = freeze.session(), freeze.session()
    session.may_have_written = True
    done = await freeze.locking.exemptions.end(freeze.lock_id, LockSubject.AGENT, "ci-1", "enough", EVE)
    assert done.text == f"Lock {freeze.lock_id} concerns agent ci-1 again."
    assert [one.action for one in done.sessions] == ["cut", "read-only"]
    assert done.voided_approvals == 2
    assert session.done == [f"cut 57P01 only reading is allowed now: code freeze (lock {freeze.lock_id})"]
    assert reading.done == []
    ended = next(record for record in freeze.ledger.records if isinstance(record, LockExemptionEnded))
    assert ended == LockExemptionEnded(freeze.lock_id, "agent", "ci-1", "eve", "enough")
    assert freeze.locking.store.locks[freeze.lock_id].exemptions == ()
    with pytest.raises(NotFound, match="agent 'ci-1' is not exempt"):
        await freeze.locking.exemptions.end(freeze.lock_id, LockSubject.AGENT, "ci-1", "again", EVE)


async def test_whoever_is_still_exempt_in_another_way_goes_on(freeze: Freeze) -> None:
    session = freeze.session(agent("ci-bots"))
    await freeze.lock(LockMode.FREEZE)
    await freeze.exempt()
    await freeze.exempt(LockSubject.GROUP, "ci-bots", 2 * MINUTES_S)
    freeze.clock.advance(MINUTES_S)
    await freeze.tick()
    assert session.state == "idle"
    assert freeze.modes(agent("ci-bots")) == set()


async def test_every_change_is_noticed_by_what_remembers_what_is_in_force(freeze: Freeze) -> None:
    await freeze.lock(LockMode.MASK_ALL)
    locks = freeze.locking.locks
    epochs = [(locks.epoch, locks.masking_epoch)]
    await freeze.exempt()
    epochs.append((locks.epoch, locks.masking_epoch))
    freeze.clock.advance(MINUTES_S)
    freeze.locking.exemptions.expire()
    epochs.append((locks.epoch, locks.masking_epoch))
    assert len({epoch for epoch, _ in epochs}) == len({masking for _, masking in epochs}) == 3


# ---------------------------------------------------------------- the end, and failures


async def test_it_ends_by_itself_and_at_once(freeze: Freeze) -> None:
    await freeze.lock()
    await freeze.exempt()
    freeze.clock.advance(MINUTES_S - 1)
    await freeze.tick()
    assert freeze.modes() == set()
    freeze.clock.advance(1)
    freeze.locking.exemptions.expire()
    assert freeze.modes() == {"read-only"}
    ended = freeze.ledger.records[-1]
    assert ended == LockExemptionEnded(freeze.lock_id, "agent", "ci-1", "gateway", "expired")


async def test_it_ends_with_the_lock(freeze: Freeze) -> None:
    await freeze.lock(for_s=MINUTES_S / 2)
    await freeze.exempt()
    freeze.clock.advance(MINUTES_S)
    await freeze.locking.locks.expire()
    await freeze.tick()
    assert freeze.modes(agent(name="ci-2")) == set()
    assert freeze.recorded == ["added", "exempted", "removed"]
    assert freeze.locking.store.locks == {}


@pytest.mark.parametrize("trouble", ["broken", "set back"])
async def test_clock_trouble_ends_it(freeze: Freeze, trouble: str) -> None:
    await freeze.lock()
    await freeze.exempt()
    if trouble == "broken":
        freeze.clock.broken = True
    else:
        freeze.clock.advance(-3600)
    await freeze.tick()
    assert freeze.modes() == {"read-only"}
    freeze.clock.broken = False
    await freeze.tick()
    assert freeze.modes() == {"read-only"}


async def test_without_a_clock_nobody_is_exempted(freeze: Freeze) -> None:
    await freeze.lock()
    freeze.clock.broken = True
    with pytest.raises(StateUnavailable, match="cannot tell the time"):
        await freeze.exempt()
    assert freeze.recorded == ["added"]


async def test_a_clock_that_is_set_back_makes_it_no_longer(freeze: Freeze) -> None:
    class SetBack(ManualClock):
        passed_s = 0.0

        def monotonic_s(self) -> float:
            return self.passed_s

    clock = SetBack()
    freeze.locking.start(clock)
    await freeze.lock()
    await freeze.exempt()
    clock.passed_s = MINUTES_S
    clock.advance(1)
    await freeze.tick()
    assert freeze.modes() == {"read-only"}


async def test_what_the_ledger_refuses_is_no_exemption(freeze: Freeze) -> None:
    await freeze.lock()
    freeze.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await freeze.exempt()
    assert freeze.modes() == {"read-only"}
    assert freeze.locking.store.locks[freeze.lock_id].exemptions == ()


async def test_what_cannot_be_kept_is_none_and_is_on_record_as_over(freeze: Freeze) -> None:
    await freeze.lock()
    freeze.locking.store.broken = True
    with pytest.raises(StateUnavailable, match="nobody is exempted: the disk is full"):
        await freeze.exempt()
    assert freeze.modes() == {"read-only"}
    assert freeze.recorded == ["added", "exempted", "exemption-ended"]


async def test_one_that_cannot_be_replaced_is_over(freeze: Freeze) -> None:
    await freeze.lock()
    await freeze.exempt()
    freeze.locking.store.broken = True
    with pytest.raises(StateUnavailable, match="nobody is exempted"):
        await freeze.exempt()
    assert freeze.modes() == {"read-only"}
    assert freeze.recorded == ["added", "exempted", "exempted", "exemption-ended"]
    freeze.locking.store.broken = False
    await freeze.tick()
    assert freeze.locking.store.locks[freeze.lock_id].exemptions == ()


async def test_a_lock_that_is_lifted_meanwhile_leaves_nothing(freeze: Freeze, monkeypatch: pytest.MonkeyPatch) -> None:
    await freeze.lock()
    save = freeze.locking.store.save_exemption

    async def save_late(lock_id: str, exemption: Exemption) -> None:
        await freeze.locking.locks.remove(lock_id, EVE, "over")
        await save(lock_id, exemption)

    monkeypatch.setattr(freeze.locking.store, "save_exemption", save_late)
    with pytest.raises(StateUnavailable, match="nobody is exempted"):
        await freeze.exempt()
    assert freeze.locking.store.locks == {}
    assert freeze.recorded == ["added", "exempted", "removed", "exemption-ended"]


async def test_it_ends_also_when_neither_ledger_nor_store_take_that(freeze: Freeze) -> None:
    session = freeze.session()
    await freeze.lock(LockMode.FREEZE)
    await freeze.exempt()
    freeze.ledger.broken = freeze.locking.store.broken = True
    done = await freeze.locking.exemptions.end(freeze.lock_id, LockSubject.AGENT, "ci-1", "enough", EVE)
    assert (session.state, freeze.modes()) == ("frozen", {"freeze"})
    assert [warning.partition(":")[0] for warning in done.warnings] == [
        "the exemption is over, but the ledger does not take that",
        "the exemption is over, but a restart now would bring it back until its time ends",
        "the ledger does not take what became of the sessions",
    ]
    freeze.ledger.broken = freeze.locking.store.broken = False
    await freeze.tick()
    assert freeze.locking.store.locks[freeze.lock_id].exemptions == ()


async def test_whatever_goes_wrong_with_one_the_others_end(freeze: Freeze, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(record: object) -> None:
        raise ZeroDivisionError

    await freeze.lock()
    await freeze.exempt()
    await freeze.exempt(LockSubject.OWNER, "alice")
    freeze.clock.advance(MINUTES_S)
    monkeypatch.setattr(freeze.ledger, "append", fail)
    await freeze.tick()
    assert freeze.modes(agent(owner="alice")) == {"read-only"}
    assert freeze.found.exemptions == ()


async def test_a_ledger_that_takes_it_late_is_waited_for(freeze: Freeze) -> None:
    freeze.ledger.delay = True
    await freeze.lock()
    await freeze.exempt()
    done = await freeze.locking.exemptions.end(freeze.lock_id, LockSubject.AGENT, "ci-1", "enough", EVE)
    assert done.warnings == ()
    assert freeze.recorded == ["added", "exempted", "exemption-ended"]


async def test_it_survives_a_restart_but_not_its_end(freeze: Freeze) -> None:
    await freeze.lock()
    await freeze.exempt()
    freeze.locking.start()
    assert freeze.modes() == set()
    freeze.clock.advance(MINUTES_S)
    freeze.locking.start()
    assert freeze.modes() == {"read-only"}
    await freeze.locking.exemptions.settle()
    assert freeze.locking.store.locks[freeze.lock_id].exemptions == ()
