"""What a lock does to open sessions by its mode and by what they are at, and what is watched at their targets."""

import pytest

from interlock.core.lock import LockMode, LockReceipt, LockSubject
from interlock.services.cutting import WATCH_S
from interlock.services.live import BackendState
from tests.services.administration_bench import AdministrationBench
from tests.services.locks_bench import FakeSession
from tests.services.policy.examples import agent

WORKING, RESTING = BackendState.WORKING, BackendState.RESTING


class Post:
    """One agent's sessions, and the lock on it."""

    def __init__(self) -> None:
        self.bench = AdministrationBench()
        self.locking = self.bench.locking
        self.target = self.locking.target

    def session(self, verb: str = "", connection: str = "pg") -> FakeSession:
        session = self.locking.sessions.add(agent(), connection)
        if verb:
            session.run(verb)
        return session

    async def lock(self, mode: LockMode = LockMode.REFUSE) -> LockReceipt:
        return await self.locking.locks.add(LockSubject.AGENT, "ci-1", mode, "looked at", "eve")


@pytest.fixture
def post() -> Post:
    return Post()


def backend_of(session: FakeSession) -> object:
    assert session.backend is not None
    return session.backend


@pytest.mark.parametrize(
    ("mode", "at_rest", "showing", "written"),
    [
        (LockMode.REFUSE, "cut", "cut", "cut"),
        (LockMode.FREEZE, "frozen", "frozen", "frozen"),
        (LockMode.READ_ONLY, "read-only", "read-only", "cut"),
        (LockMode.MASK_ALL, "masked", "cut", "masked"),
    ],
)
async def test_what_could_still_do_what_is_forbidden_is_cut(
    post: Post, mode: LockMode, at_rest: str, showing: str, written: str
) -> None:
    _, shows, wrote = post.session(), post.session(), post.session()
    shows.may_show = wrote.may_have_written = True
    receipt = await post.lock(mode)
    assert [one.action for one in receipt.sessions] == [at_rest, showing, written]


async def test_a_session_that_the_target_has_not_taken_cannot_be_frozen(post: Post) -> None:
    opening = post.session()
    opening.backend = None
    receipt = await post.lock(LockMode.FREEZE)
    assert [(one.action, one.gone_after_ms) for one in receipt.sessions] == [("cut", None)]
    assert opening.done[0].startswith("cut")
    assert post.target.opened == []


async def test_all_targets_are_looked_at_once_each(post: Post) -> None:
    for connection in ("pg", "pg", "other"):
        post.session(connection=connection)
    receipt = await post.lock()
    assert sorted(post.target.opened) == ["other", "pg"]
    assert all(one.gone_after_ms is not None for one in receipt.sessions)
    assert receipt.warnings == ()


async def test_what_works_is_ended_at_the_first_look_and_what_rests_may_go_by_itself(post: Post) -> None:
    works, rests = post.session("UPDATE"), post.session()
    post.target.stubborn = {backend_of(works): WORKING, backend_of(rests): RESTING}  # type: ignore[dict-item]
    receipt = await post.lock()
    assert post.target.terminated[0] == works.backend
    assert rests.backend in post.target.terminated, "but not for ever"
    assert [one.in_flight for one in receipt.sessions] == ["UPDATE", ""]
    assert all(one.gone_after_ms is not None for one in receipt.sessions)


async def test_what_does_not_end_is_said_and_not_waited_for_without_end(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.services.cutting.WATCH_S", 0.2)
    session = post.session("UPDATE")
    post.target.immortal = {backend_of(session): WORKING}  # type: ignore[dict-item]
    receipt = await post.lock()
    assert WATCH_S > 0.2
    assert [one.gone_after_ms for one in receipt.sessions] == [None]
    assert receipt.warnings == (f"still at work at the target of 'pg', for sessions {session.session.id}",)


async def test_a_frozen_session_is_asked_to_stop_and_has_to_be_seen_at_rest_twice(post: Post) -> None:
    works, rests = post.session("SELECT"), post.session()
    post.target.immortal = {backend_of(works): RESTING}  # type: ignore[dict-item]
    receipt = await post.lock(LockMode.FREEZE)
    assert post.target.cancelled == [works.backend]
    assert post.target.terminated == []
    first, second = receipt.sessions
    assert first.gone_after_ms == pytest.approx(10), "since the first of the two looks"
    assert second.gone_after_ms is None, "there was nothing to stop"
    assert receipt.warnings == ()
    assert rests.state == "frozen"


async def test_what_was_on_its_way_when_it_was_frozen_is_said(post: Post) -> None:
    session = post.session()
    session.unsent_bytes = 17
    receipt = await post.lock(LockMode.FREEZE)
    assert receipt.warnings == (f"17 bytes were on their way to the client of session {session.session.id}",)


async def test_the_receipt_says_what_the_client_had(post: Post) -> None:
    session = post.session("SELECT")
    session.rows, session.bytes_sent = 70, 1234
    (receipt,) = (await post.lock()).sessions
    assert (receipt.node, receipt.principal, receipt.connection) == ("node-1", "ci-1", "pg")
    assert (receipt.rows, receipt.bytes_sent) == (70, 1234)
    assert 0 <= receipt.stopped_after_ms <= (receipt.gone_after_ms or -1)
