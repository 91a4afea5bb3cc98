"""Locks at the moment of decision: nothing that a lock is about passes, and a look-up that fails is a denial."""

import pytest

from interlock.core.decision import Permit
from interlock.core.denial import DenialReason
from interlock.core.errors import StateUnavailable
from interlock.core.identity import Principal
from interlock.core.lock import LockMode, Restriction
from interlock.protocols.ssh.written import meaning_of_written
from interlock.services.enforcement import Enforcement
from interlock.services.enforcement.judge import reads_only
from tests.services.policy.examples import BASIC, source
from tests.services.test_enforcement import SESSION, Bench, reasons


class Restrictions:
    """Implements ``LocksInForce``; ``failure`` makes a look-up fail."""

    def __init__(self) -> None:
        self.epoch = self.masking_epoch = 0
        self.modes: frozenset[LockMode] = frozenset()
        self.failure: Exception | None = None
        self.asked = 0

    def restriction(self, principal: Principal, connection: str, run: str) -> Restriction | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return Restriction(self.modes, "looked at", ("lock-1",)) if self.modes else None

    def change(self, *modes: LockMode) -> None:
        self.modes = frozenset(modes)
        self.epoch += 1


class LockedBench(Bench):
    """With locks."""

    def __init__(self) -> None:
        super().__init__()
        self.locks = Restrictions()
        self.enforcement = Enforcement(self.policies, self.ledger, self.clock, self.locks)
        self.guard = self.enforcement.guard(SESSION, self.recorder)


@pytest.fixture
async def locked() -> LockedBench:
    bench = LockedBench()
    await bench.policies.start([source(BASIC)])
    return bench


@pytest.mark.parametrize("mode", [LockMode.REFUSE, LockMode.FREEZE])
async def test_whoever_is_locked_is_denied_everything(locked: LockedBench, mode: LockMode) -> None:
    assert isinstance((await locked.decide("select"))[0], Permit)
    locked.locks.change(mode)
    assert reasons(await locked.decide("select", "insert")) == [DenialReason.LOCKED] * 2
    locked.locks.change()
    assert isinstance((await locked.decide("select"))[0], Permit)


async def test_a_code_freeze_lets_reading_through(locked: LockedBench) -> None:
    locked.locks.change(LockMode.READ_ONLY)
    select, insert = await locked.decide("select", "insert")
    assert isinstance(select, Permit)
    assert reasons([insert]) == [DenialReason.LOCKED]


@pytest.mark.parametrize("failure", [StateUnavailable("not loaded"), RuntimeError(), OSError()])
async def test_locks_that_cannot_be_looked_up_are_a_denial(locked: LockedBench, failure: Exception) -> None:
    assert isinstance((await locked.decide("select"))[0], Permit)
    locked.locks.failure = failure
    locked.locks.change()
    for _ in range(2):
        assert reasons(await locked.decide("select")) == [DenialReason.POLICY_ERROR]
    locked.locks.failure = None
    assert isinstance((await locked.decide("select"))[0], Permit)
    assert locked.recorded == ["allowed", "denied", "denied", "allowed"]


async def test_locks_are_looked_up_once_as_long_as_nothing_changes(locked: LockedBench) -> None:
    await locked.decide("select", "select")
    await locked.decide("insert")
    assert locked.locks.asked == 1


@pytest.mark.parametrize(
    ("asked", "reads"),
    [
        ("$ cat /srv/x | grep y", True),
        ("sftp list /srv", True),
        ("sftp open /srv/x for reading", True),
        ("$ cat /srv/x > /tmp/y", False),
        ("$ curl https://example.org", False),
        ("$ ./report.sh", False),
        ("sftp open /srv/x for writing", False),
        ("sftp remove /srv/x", False),
        ("shell", False),
        ("forward db:5432", False),
    ],
)
def test_what_of_a_host_a_code_freeze_lets_through(asked: str, reads: bool) -> None:
    assert reads_only(meaning_of_written(asked, None)) is reads
