"""Locks: what is in force, that it is on record before it is, and that every failure leaves more locked, not less."""

import msgspec
import pytest

from interlock.core.errors import AdministrationRefused, LedgerUnavailable, StateUnavailable
from interlock.core.identity import Actor, Principal, PrincipalKind
from interlock.core.ledger import LockAdded, LockRemoved, SessionCut
from interlock.core.lock import Lock, LockMode, LockReceipt, LockSubject
from tests.services.administration_bench import AdministrationBench
from tests.services.locks_bench import lock_records
from tests.services.policy.examples import agent, user

EVE = Actor(user(name="eve"))
RUN = "0af7651916cd43dd8448eb211c80319c"
HOUR_S = 3600.0
CI = Principal(
    PrincipalKind.AGENT,
    "ci-1",
    frozenset(["ci-bots"]),
    "alice",
    issuer="https://id.example",
    subject="7",
    token_id="jti-1",
    login="sid-1",
    ancestors=("jti-0",),
    run="nightly",
)


class Post:
    """A responder's post: the locks and everything around them."""

    def __init__(self) -> None:
        self.bench = AdministrationBench()
        self.locking = self.bench.locking

    async def lock(
        self,
        kind: LockSubject = LockSubject.AGENT,
        subject: str = "ci-1",
        mode: LockMode = LockMode.REFUSE,
        for_s: float | None = None,
        issued_before_s: float | None = None,
    ) -> LockReceipt:
        expires_at_s = None if for_s is None else self.bench.clock.now_s() + for_s
        return await self.locking.locks.add(
            kind, subject, mode, "looked at", "eve", expires_at_s=expires_at_s, issued_before_s=issued_before_s
        )

    def modes(self, principal: Principal | None = None, connection: str = "pg", run: str = "") -> set[str]:
        """What is in force for a session."""
        restriction = self.locking.locks.restriction(principal or agent(), connection, run)
        return {mode.value for mode in restriction.modes} if restriction is not None else set()

    @property
    def in_force(self) -> list[Lock]:
        return list(self.locking.locks.all())

    @property
    def recorded(self) -> list[str]:
        return lock_records(self.bench.ledger.records)


@pytest.fixture
def post() -> Post:
    return Post()


# ---------------------------------------------------------------- in force


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (LockSubject.AGENT, "ci-1"),
        (LockSubject.OWNER, "alice"),
        (LockSubject.GROUP, "ci-bots"),
        (LockSubject.CONNECTION, "pg"),
        (LockSubject.TOKEN, "jti-1"),
        (LockSubject.TOKEN, "jti-0"),
        (LockSubject.RUN, RUN),
        (LockSubject.RUN, "nightly"),
        (LockSubject.LOGIN, "https://id.example sid-1"),
        (LockSubject.SUBJECT, "https://id.example 7"),
        (LockSubject.EVERYTHING, ""),
    ],
)
@pytest.mark.parametrize("acting", [False, True])
async def test_whom_a_lock_is_about(post: Post, kind: LockSubject, subject: str, acting: bool) -> None:
    locked = CI if not acting else user(name="ada", acting=(agent(name="between"), CI))
    await post.lock(kind, subject)
    assert post.modes(locked, "pg", RUN) == {"refuse"}
    everybody = kind is LockSubject.EVERYTHING
    assert bool(post.modes(agent(name="ci-2", owner="bob"), "other")) is everybody
    assert bool(post.modes(user(name="ci-1"), "other")) is everybody


async def test_one_on_earlier_proofs_leaves_later_ones_alone(post: Post) -> None:
    await post.lock(LockSubject.SUBJECT, "https://id.example 7", issued_before_s=1000.0)
    assert post.modes(CI) == {"refuse"}, "when it was given is not known"
    for issued_at_s, refused in ((999.0, True), (1000.0, True), (1000.5, False)):
        again = msgspec.structs.replace(CI, issued_at_s=issued_at_s)
        assert bool(post.modes(again)) is refused
        assert bool(post.modes(user(name="ada", acting=(again,), issued_at_s=1.0))) is refused


async def test_a_run_is_locked_by_any_text_that_names_it(post: Post) -> None:
    receipt = await post.lock(LockSubject.RUN, f"00-{RUN}-b7ad6b7169203331-01")
    assert receipt.lock.subject == RUN
    assert post.modes(run=RUN) == {"refuse"}


async def test_locks_add_up_and_the_strictest_speaks(post: Post) -> None:
    await post.lock(mode=LockMode.MASK_ALL)
    await post.lock(LockSubject.GROUP, "ci-bots", LockMode.READ_ONLY)
    restriction = post.locking.locks.restriction(agent("ci-bots"), "pg", "")
    assert restriction is not None
    assert not restriction.keeps_out
    assert restriction.message.startswith("only reading is allowed now: looked at")
    assert len(restriction.locks) == 2


async def test_one_that_is_not_there_cannot_be_lifted(post: Post) -> None:
    with pytest.raises(AdministrationRefused, match="there is no lock 'x' in force"):
        await post.locking.locks.remove("x", EVE, "looked at")


@pytest.mark.parametrize(("kind", "subject"), [(LockSubject.EVERYTHING, "something"), (LockSubject.AGENT, "")])
async def test_a_lock_needs_whom_it_is_about(post: Post, kind: LockSubject, subject: str) -> None:
    with pytest.raises(AdministrationRefused, match="name"):
        await post.lock(kind, subject)
    assert post.recorded == []


async def test_one_that_has_ended_already_is_refused(post: Post) -> None:
    with pytest.raises(AdministrationRefused, match="ended already"):
        await post.lock(for_s=0)


# ---------------------------------------------------------------- the end


async def test_it_ends_when_its_time_has_come(post: Post) -> None:
    lock = (await post.lock(for_s=HOUR_S)).lock
    post.bench.clock.advance(HOUR_S - 1)
    await post.locking.locks.expire()
    assert post.in_force == [lock]
    post.bench.clock.advance(2)
    await post.locking.locks.expire()
    assert post.in_force == []
    assert post.locking.store.locks == {}
    removed = post.bench.ledger.records[-1]
    assert isinstance(removed, LockRemoved)
    assert (removed.by, removed.reason) == ("gateway", "expired")


async def test_a_clock_that_goes_back_makes_it_longer_never_shorter(post: Post) -> None:
    await post.lock(for_s=HOUR_S)
    post.bench.clock.advance(-2 * HOUR_S)
    await post.locking.locks.expire()
    assert post.modes() == {"refuse"}
    post.bench.clock.advance(2 * HOUR_S + 1)
    await post.locking.locks.expire()
    assert post.modes() == {"refuse"}
    post.bench.clock.advance(HOUR_S)
    await post.locking.locks.expire()
    assert post.modes() == set()


async def test_without_a_clock_none_ends(post: Post) -> None:
    await post.lock(for_s=HOUR_S)
    post.bench.clock.broken = True
    await post.locking.locks.expire()
    assert post.modes() == {"refuse"}
    with pytest.raises(StateUnavailable, match="cannot tell the time"):
        await post.lock(subject="ci-2")


async def test_frozen_sessions_go_on_once_no_lock_holds_them(post: Post) -> None:
    session = post.locking.sessions.add(agent())
    first = await post.lock(mode=LockMode.FREEZE)
    second = await post.lock(LockSubject.OWNER, "alice", LockMode.FREEZE)
    await post.locking.locks.remove(first.lock.id, EVE, "looked at")
    assert session.state == "frozen"
    await post.locking.locks.remove(second.lock.id, EVE, "looked at")
    assert session.state == "idle"


# ---------------------------------------------------------------- failures


async def test_before_they_are_loaded_nobody_gets_in(post: Post) -> None:
    post.locking.store.broken = True
    post.locking.start()
    for ask in (post.modes, lambda: post.in_force, lambda: post.locking.locks.bar_on(user())):
        with pytest.raises(StateUnavailable, match="not known what is locked"):
            ask()
    with pytest.raises(StateUnavailable, match="disk is full"):
        post.locking.locks.load()
    with pytest.raises(StateUnavailable, match="not known what is locked"):
        await post.lock()
    assert post.recorded == []


async def test_what_the_ledger_refuses_is_not_locked(post: Post) -> None:
    session = post.locking.sessions.add(agent())
    post.bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await post.lock()
    assert post.in_force == []
    assert session.done == []
    assert post.locking.store.locks == {}


async def test_one_that_cannot_be_kept_is_in_force_and_says_so(post: Post) -> None:
    session = post.locking.sessions.add(agent())
    post.locking.store.broken = True
    receipt = await post.lock()
    assert receipt.warnings == (
        "the lock is in force, but ends with this process: it could not be kept (the disk is full)",
    )
    assert session.done == [f"cut 57P01 access is locked: looked at (lock {receipt.lock.id})"]
    assert post.modes() == {"refuse"}
    assert post.recorded == ["added", "session"]


async def test_one_that_cannot_be_recorded_as_lifted_stays(post: Post) -> None:
    lock = (await post.lock(for_s=HOUR_S)).lock
    post.bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await post.locking.locks.remove(lock.id, EVE, "looked at")
    post.bench.clock.advance(HOUR_S + 1)
    await post.locking.locks.expire()
    assert post.in_force == [lock]
    assert post.locking.store.locks == {lock.id: lock}


async def test_one_that_cannot_be_forgotten_stays_and_is_on_record_again(post: Post) -> None:
    lock = (await post.lock()).lock
    post.locking.store.broken = True
    with pytest.raises(StateUnavailable, match="the lock stays in force"):
        await post.locking.locks.remove(lock.id, EVE, "looked at")
    assert post.in_force == [lock]
    assert post.recorded == ["added", "removed", "added"]


async def test_a_store_that_fails_for_long_does_not_fill_the_ledger(post: Post) -> None:
    lock = (await post.lock(for_s=HOUR_S)).lock
    post.locking.store.broken = True
    post.bench.clock.advance(HOUR_S + 1)
    for _ in range(40):
        await post.locking.locks.expire()
        post.bench.clock.advance(0.25)
    assert post.in_force == [lock]
    assert post.recorded == ["added", "removed", "added"]
    post.locking.store.broken = False
    post.bench.clock.advance(60)
    await post.locking.locks.expire()
    assert post.in_force == []


async def test_approvals_that_cannot_be_made_void_are_said(post: Post) -> None:
    post.locking.approvals.broken = True
    receipt = await post.lock()
    assert receipt.warnings == ("approvals could not be made void: ZeroDivisionError",)
    assert post.modes() == {"refuse"}


async def test_they_survive_a_restart(post: Post) -> None:
    lock = (await post.lock(for_s=HOUR_S)).lock
    post.locking.start()
    assert post.in_force == [lock]
    post.bench.clock.advance(HOUR_S + 1)
    await post.locking.locks.expire()
    assert post.in_force == []


# ---------------------------------------------------------------- at the target


async def test_a_target_that_cannot_be_asked_is_a_warning_not_a_guess(post: Post) -> None:
    session = post.locking.sessions.add(agent())
    post.locking.target.hidden = "nobody answers"
    receipt = await post.lock()
    assert [(one.action, one.gone_after_ms) for one in receipt.sessions] == [("cut", None)]
    assert receipt.warnings == ("what runs at the target of 'pg' cannot be verified: nobody answers",)
    cut = post.bench.ledger.records[-1]
    assert isinstance(cut, SessionCut)
    assert (cut.session, cut.gone_after_ms) == (session.session.id, -1.0)


async def test_a_session_that_cannot_be_cut_does_not_keep_others_from_it(post: Post) -> None:
    broken, other = post.locking.sessions.add(agent()), post.locking.sessions.add(agent())
    broken.failure = ZeroDivisionError()
    receipt = await post.lock()
    assert other.done
    assert f"session {broken.session.id} could not be stopped: ZeroDivisionError" in receipt.warnings


async def test_what_the_ledger_does_not_take_of_sessions_is_in_the_receipt(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise LedgerUnavailable("the disk is full")

    post.locking.sessions.add(agent())
    monkeypatch.setattr(post.bench.ledger, "note", refuse)
    receipt = await post.lock()
    assert receipt.warnings == ("the ledger does not take what became of the sessions: the disk is full",)
    assert isinstance(post.bench.ledger.records[-1], LockAdded)
