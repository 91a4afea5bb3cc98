"""An alert's own lock: expiring, on record under the gateway's name, once, and nothing is let through when it fails."""

import asyncio

import pytest

from interlock.core.errors import LedgerUnavailable, StateUnavailable
from interlock.core.identity import Actor, Principal
from interlock.core.ledger import AlertRaised, LockAdded
from interlock.core.lock import Lock, LockMode, LockSubject
from interlock.core.settings import AlertLock, AlertLockSubject, AlertSettings
from interlock.services.alert_lock import AlertLocks
from interlock.services.locks import GATEWAY
from tests.services.administration_bench import AdministrationBench
from tests.services.policy.examples import agent, user

ALERT = AlertRaised("denials", "ci-1", "Agent ci-1 was denied 50 times", 50)
REFUSE = AlertSettings(lock=AlertLock.REFUSE, lock_s=90.0)
RUN = "0af7651916cd43dd8448eb211c80319c"


class Desk:
    """An alert's locks with everything around them."""

    def __init__(self, settings: AlertSettings = REFUSE) -> None:
        self.bench = AdministrationBench()
        self.locking = self.bench.locking
        self.alert_locks = AlertLocks(settings, self.locking.locks, self.bench.clock)

    async def trip(self, principal: Principal | None = None, run: str = "") -> None:
        await self.alert_locks.trip(principal or agent(), run, ALERT)

    @property
    def locks(self) -> list[Lock]:
        return list(self.locking.locks.all())

    @property
    def recorded(self) -> list[LockAdded]:
        return [record for record in self.bench.ledger.records if isinstance(record, LockAdded)]


@pytest.mark.parametrize(
    ("setting", "mode"), [(AlertLock.FREEZE, LockMode.FREEZE), (AlertLock.REFUSE, LockMode.REFUSE)]
)
async def test_it_is_an_ordinary_lock_of_the_gateway(setting: AlertLock, mode: LockMode) -> None:
    desk = Desk(AlertSettings(lock=setting, lock_s=90.0))
    session = desk.locking.sessions.add(agent())
    bystander = desk.locking.sessions.add(agent(name="ci-2"))
    await desk.trip()
    (lock,), (record,) = desk.locks, desk.recorded
    assert (lock.subject_kind, lock.subject, lock.mode) == (LockSubject.AGENT, "ci-1", mode)
    assert (lock.by, lock.reason, lock.cause) == (GATEWAY, ALERT.text, "alert denials")
    assert lock.expires_at_s == lock.created_at_s + 90
    assert (record.lock, record.by, record.cause, record.expires_at_s) == (
        lock.id,
        GATEWAY,
        "alert denials",
        lock.expires_at_s,
    )
    assert desk.locking.store.locks == {lock.id: lock}
    assert session.done[0].startswith("cut" if mode is LockMode.REFUSE else "freeze")
    assert bystander.done == []


async def test_it_ends_by_itself_and_the_next_storm_locks_again() -> None:
    desk = Desk()
    await desk.trip()
    desk.bench.clock.advance(91)
    await desk.locking.locks.expire()
    assert desk.locks == []
    await desk.trip()
    assert len(desk.locks) == 1


async def test_without_the_setting_there_is_none() -> None:
    desk = Desk(AlertSettings())
    await desk.trip()
    assert desk.locks == []


@pytest.mark.parametrize(
    ("principal", "run", "subject"),
    [
        (agent(), RUN, (LockSubject.RUN, RUN)),
        (agent(), "", (LockSubject.AGENT, "ci-1")),
        (user(), "", (LockSubject.USER, "sam")),
    ],
)
async def test_it_can_be_on_the_run_where_there_is_one(
    principal: Principal, run: str, subject: tuple[LockSubject, str]
) -> None:
    desk = Desk(AlertSettings(lock=AlertLock.REFUSE, lock_on=AlertLockSubject.RUN))
    await desk.trip(principal, run)
    assert [(lock.subject_kind, lock.subject) for lock in desk.locks] == [subject]


async def test_there_are_never_two_for_the_same() -> None:
    desk = Desk()
    desk.bench.ledger.delay = True
    await asyncio.gather(*(desk.trip() for _ in range(5)))
    await desk.trip()
    assert len(desk.locks) == len(desk.recorded) == 1


@pytest.mark.parametrize(
    ("there", "locks"), [(LockMode.REFUSE, 1), (LockMode.FREEZE, 2), (LockMode.READ_ONLY, 2), (LockMode.MASK_ALL, 2)]
)
async def test_a_responders_lock_makes_it_superfluous_when_it_keeps_out(there: LockMode, locks: int) -> None:
    desk = Desk()
    await desk.locking.locks.add(LockSubject.AGENT, "ci-1", there, "looked at", "ada")
    await desk.trip()
    assert len(desk.locks) == locks


async def test_a_lock_that_somebody_is_exempt_from_does_not() -> None:
    desk = Desk()
    there = (await desk.locking.locks.add(LockSubject.AGENT, "ci-1", LockMode.REFUSE, "looked at", "ada")).lock
    await desk.locking.exemptions.add(there.id, LockSubject.AGENT, "ci-1", 600, "hotfix", Actor(user(name="eve")))
    await desk.trip()
    assert len(desk.locks) == 2


async def test_what_is_not_recorded_is_not_locked() -> None:
    desk = Desk()
    desk.bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await desk.trip()
    assert desk.locks == []
    desk.bench.ledger.broken = False
    await desk.trip()
    assert len(desk.locks) == 1


async def test_without_a_clock_there_is_none() -> None:
    desk = Desk()
    desk.bench.clock.broken = True
    with pytest.raises(StateUnavailable, match="cannot tell the time"):
        await desk.trip()
    assert desk.locks == []


async def test_one_that_is_not_kept_is_in_force_and_said_to_end_with_the_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk()
    desk.locking.store.broken = True
    await desk.trip()
    assert len(desk.locks) == len(desk.recorded) == 1
    told = capsys.readouterr()
    assert "could not be kept" in told.out + told.err
    restriction = desk.locking.locks.restriction(agent(), "pg", "")
    assert restriction is not None
    assert restriction.keeps_out
