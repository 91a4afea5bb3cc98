"""The board: one question, its answers, and a grant that is good once, for so long, for exactly that."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from interlock.core.approval import ApprovalStatus
from interlock.core.decision import ApprovalDemand
from interlock.core.errors import AdministrationRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.ledger import ApprovalRefused, ApprovalRequested, ApprovalSettled, ApprovalVoted
from interlock.core.lock import Exemption, Lock, LockMode, LockSubject
from interlock.core.settings import ApprovalSettings
from interlock.services.approvals.board import NotAsked
from tests.clocks import ManualClock
from tests.services.approvals.bench import DANA, DBA, DIRK, SVEN, ApprovalsBench, reviewer


async def test_a_grant_is_spent_once(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    assert not await bench.spend(request)
    assert (await bench.vote(request, DANA)).status is ApprovalStatus.APPROVED
    assert [await bench.spend(request) for _ in range(3)] == [True, False, False]
    assert [record.status for record in bench.ledger.of(ApprovalSettled)] == ["approved", "spent"]


async def test_of_many_that_spend_at_once_one_may(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    await bench.vote(request, DANA)
    assert sorted(await asyncio.gather(*(bench.spend(request) for _ in range(20)))) == [False] * 19 + [True]


async def test_a_grant_is_for_its_digest_only(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    await bench.vote(request, DANA)
    assert not await bench.board.spend(request.id, "e" * 64, "s1")
    assert not await bench.board.spend("unknown", request.digest, "s1")


async def test_of_two_answers_at_once_one_decides(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    answers = await asyncio.gather(
        bench.vote(request, DANA), bench.vote(request, DIRK, approves=False), return_exceptions=True
    )
    refused = [str(answer) for answer in answers if isinstance(answer, AdministrationRefused)]
    assert refused == ["the request is approved already"]
    assert [record.reviewer for record in bench.ledger.of(ApprovalVoted)] == ["dana"]


async def test_equal_questions_are_one_card_with_a_count(bench: ApprovalsBench) -> None:
    first, second = await bench.ask(), await bench.ask(session="s2")
    assert (second.id, second.asked) == (first.id, 2)
    assert len(bench.ledger.of(ApprovalRequested)) == 1
    assert (await bench.ask(digest="e" * 64)).id != first.id


async def test_what_was_denied_stays_denied_until_it_expires(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    await bench.vote(request, DANA, approves=False)
    assert (await bench.ask()).status is ApprovalStatus.DENIED
    bench.clock.advance(601)
    assert (await bench.ask()).id != request.id


async def test_nobody_answers_in_time(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    bench.clock.advance(599)
    await bench.board.tick()
    assert bench.status(request) is ApprovalStatus.PENDING
    bench.clock.advance(1)
    assert await bench.refusal(request, DANA) == "the request has expired"
    await bench.board.tick()
    assert bench.status(request) is ApprovalStatus.EXPIRED
    assert await bench.refusal(request, DANA) == "the request is expired already"


async def test_an_approval_ends(bench: ApprovalsBench) -> None:
    """Also when nobody has looked yet whether it has."""
    request = await bench.ask()
    bench.clock.advance(500)
    await bench.vote(request, DANA)
    bench.clock.advance(600)
    assert not await bench.spend(request)
    assert (await bench.ask()).id != request.id
    await bench.board.tick()
    assert bench.status(request) is ApprovalStatus.EXPIRED


async def test_the_shortest_rule_says_how_long(bench: ApprovalsBench) -> None:
    request = await bench.ask(DBA, ApprovalDemand("two", "security", 1, 30.0))
    assert request.expires_at_s == bench.clock.at_s + 30


async def test_several_people_and_several_rules(bench: ApprovalsBench) -> None:
    request = await bench.ask(ApprovalDemand("two-dbas", "dba", 2), ApprovalDemand("security", "security"))
    assert (await bench.vote(request, DANA)).status is ApprovalStatus.PENDING
    assert await bench.refusal(request, DANA) == "this person has answered already"
    assert (await bench.vote(request, SVEN)).status is ApprovalStatus.PENDING
    assert not await bench.spend(request)
    assert (await bench.vote(request, DIRK)).status is ApprovalStatus.APPROVED
    assert await bench.spend(request)


async def test_one_person_in_two_groups_counts_in_both(bench: ApprovalsBench) -> None:
    request = await bench.ask(DBA, ApprovalDemand("security", "security"))
    vote = await bench.vote(request, reviewer("both", "dba", "security", "more"))
    assert vote.status is ApprovalStatus.APPROVED
    assert vote.votes[0].groups == ("dba", "security")


async def test_one_no_is_enough(bench: ApprovalsBench) -> None:
    request = await bench.ask(ApprovalDemand("two-dbas", "dba", 2))
    await bench.vote(request, DANA)
    assert (await bench.vote(request, DIRK, approves=False)).status is ApprovalStatus.DENIED
    assert not await bench.spend(request)


async def test_only_what_was_looked_at_is_approved(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    assert "not the one that was looked at" in await bench.refusal(request, DANA, digest="e" * 64)
    assert (await bench.vote(request, DANA, digest=request.digest)).status is ApprovalStatus.APPROVED


async def test_every_refusal_is_on_record(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    await bench.refusal(request, SVEN)
    await bench.vote(request, DANA)
    await bench.spend(request)
    await bench.refusal(request, DIRK, approves=False)
    with pytest.raises(AdministrationRefused, match="there is no request"):
        await bench.board.vote("x" * 1000, DANA, approves=True, reason="why not")
    refused = [(record.reviewer, record.verdict, record.why[:30]) for record in bench.ledger.of(ApprovalRefused)]
    assert refused == [
        ("sven", "approve", "only members of dba are asked"),
        ("dirk", "deny", "the request is spent already"),
        ("dana", "approve", "there is no request 'xxxxxxxxx"),
    ]


async def test_withdrawn_only_when_nobody_else_waits(bench: ApprovalsBench) -> None:
    class Somebody:
        woken = asyncio.Event()

    request, other = await bench.ask(), Somebody()
    bench.board.watch(request.id, other)
    await bench.board.withdraw(request.id, "gone")
    assert bench.status(request) is ApprovalStatus.PENDING
    bench.board.unwatch(request.id, other)
    await bench.board.withdraw(request.id, "gone")
    assert bench.status(request) is ApprovalStatus.WITHDRAWN
    assert await bench.refusal(request, DANA) == "the request is withdrawn already"


async def test_an_approval_that_was_given_outlives_who_asked(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    await bench.vote(request, DANA)
    await bench.board.withdraw(request.id, "gone")
    assert await bench.spend(request)


@pytest.mark.parametrize(("mode", "left"), [(LockMode.REFUSE, 0), (LockMode.FREEZE, 0), (LockMode.MASK_ALL, 2)])
async def test_a_lock_takes_away_what_is_open(bench: ApprovalsBench, mode: LockMode, left: int) -> None:
    pending, approved = await bench.ask(), await bench.ask(digest="e" * 64)
    other = await bench.ask(digest="f" * 64, principal="another", owner="")
    await bench.vote(approved, DANA)
    lock = Lock("l1", LockSubject.OWNER, "olga", mode, "an incident", "rita", 0.0)
    assert await bench.board.void_matching(lock) == 2 - left
    assert await bench.spend(approved) == bool(left)
    assert bench.status(other) is ApprovalStatus.PENDING
    if not left:
        assert await bench.refusal(pending, DANA) == "the request is void already"


async def test_and_only_of_whom_it_did_not_concern_before(bench: ApprovalsBench) -> None:
    was_exempt, other = await bench.ask(), await bench.ask(digest="f" * 64, principal="another", owner="")
    lock = Lock("l1", LockSubject.CONNECTION, was_exempt.connection, LockMode.READ_ONLY, "code freeze", "rita", 0.0)
    exemption = Exemption(LockSubject.OWNER, "olga", "hotfix", "rita", 0.0, 1.0)
    before = msgspec.structs.replace(lock, exemptions=(exemption,))
    assert await bench.board.void_matching(lock, before) == 1
    assert bench.status(was_exempt) is ApprovalStatus.VOID
    assert bench.status(other) is ApprovalStatus.PENDING


# ---------------------------------------------------------------- fatigue


def small(directory: Path, **settings: int) -> ApprovalsBench:
    return ApprovalsBench(directory, ApprovalSettings(**settings))


async def test_requests_of_a_session_are_capped(tmp_path: Path) -> None:
    bench = small(tmp_path, max_open_per_session=2)
    first = await bench.ask(digest="1")
    await bench.ask(digest="2")
    with pytest.raises(NotAsked, match="this session has 2 requests open"):
        await bench.ask(digest="3")
    assert (await bench.ask(digest="1")).asked == 2
    await bench.ask(digest="4", session="s2")
    await bench.vote(first, DANA)
    await bench.ask(digest="3")
    bench.close()


async def test_requests_of_an_identity_are_capped_over_its_sessions(tmp_path: Path) -> None:
    bench = small(tmp_path, max_open_per_identity=2)
    for number in range(2):
        await bench.ask(digest=str(number), session=f"s{number}")
    with pytest.raises(NotAsked, match="2 requests of bot are open already"):
        await bench.ask(digest="3", session="s3")
    await bench.ask(digest="3", principal="another")
    bench.close()


async def test_what_somebody_asks_for_others_counts_for_them(tmp_path: Path) -> None:
    bench = small(tmp_path, max_open_per_identity=2)
    crm = Principal(PrincipalKind.AGENT, "crm")
    for name in ("ada", "eve"):
        await bench.ask(digest=name, session=name, principal=name, acting=(crm,))
    with pytest.raises(NotAsked, match="2 requests of crm are open already"):
        await bench.ask(digest="3", session="s3", principal="zoe", acting=(crm,))
    await bench.ask(digest="4", session="s4", principal="ada")
    with pytest.raises(NotAsked, match="2 requests of ada are open already"):
        await bench.ask(digest="5", session="s5", principal="ada")
    bench.close()


async def test_requests_in_a_minute_are_capped(tmp_path: Path) -> None:
    bench = small(tmp_path, requests_per_minute=2)
    for number in range(2):
        request = await bench.ask(digest=str(number))
        await bench.vote(request, DANA, approves=False)
    with pytest.raises(NotAsked, match="2 requests within a minute"):
        await bench.ask(digest="3")
    bench.clock.advance(60)
    await bench.ask(digest="3")
    bench.close()


# ---------------------------------------------------------------- starts and clocks


async def test_a_start_withdraws_what_waited_and_keeps_what_was_granted(bench: ApprovalsBench) -> None:
    pending, approved = await bench.ask(), await bench.ask(digest="e" * 64)
    await bench.vote(approved, DANA)
    bench.close()
    bench.open()
    await bench.board.interrupt_open()
    assert bench.status(pending) is ApprovalStatus.WITHDRAWN
    assert await bench.spend(approved)


async def test_a_clock_that_is_set_back_lengthens_nothing(bench: ApprovalsBench) -> None:
    approved, pending = await bench.ask(), await bench.ask(digest="e" * 64)
    await bench.vote(approved, DANA)
    bench.clock.advance(590)
    await bench.board.tick()
    bench.clock.set_by(-3600)
    bench.clock.advance(10)
    assert not await bench.spend(approved)
    assert await bench.refusal(pending, DANA) == "the request has expired"
    await bench.board.tick()
    assert {bench.status(approved), bench.status(pending)} == {ApprovalStatus.EXPIRED}


async def test_what_comes_from_the_future_is_over(bench: ApprovalsBench) -> None:
    """After a start with a clock that was set back, nobody knows how old it is."""
    approved, pending = await bench.ask(), await bench.ask(digest="e" * 64)
    await bench.vote(approved, DANA)
    bench.close()
    bench.open(ManualClock(bench.clock.at_s - 3600))
    assert not await bench.spend(approved)
    assert await bench.refusal(pending, DANA) == "the request has expired"
    assert (await bench.ask()).id != approved.id


async def test_a_clock_that_cannot_be_read_releases_nothing(bench: ApprovalsBench) -> None:
    pending, approved = await bench.ask(), await bench.ask(digest="e" * 64)
    await bench.vote(approved, DANA)
    bench.clock.broken = True
    with pytest.raises(OSError, match="no clock"):
        await bench.spend(approved)
    with pytest.raises(OSError, match="no clock"):
        await bench.vote(pending, DANA)
    with pytest.raises(OSError, match="no clock"):
        await bench.ask(digest="f" * 64)
    await bench.board.tick()
    bench.clock.broken = False
    assert bench.status(pending) is ApprovalStatus.PENDING
