"""Whatever part breaks while a statement is held: it stays held or is refused, and is never released."""

import asyncio

import pytest

from interlock.core.approval import ApprovalRequest, ApprovalStatus
from interlock.core.denial import Denial
from interlock.core.errors import InterlockError, LedgerUnavailable, StateUnavailable
from interlock.core.ledger import ApprovalRefused, ApprovalRequested, ApprovalSettled, ApprovalVoted
from interlock.runtime.tasks import spawn
from interlock.services.approvals.holding import Answer, Granted
from tests.services.approvals.bench import DANA, DIRK, ApprovalsBench, why

TEXT = b"DELETE FROM users"


async def held(bench: ApprovalsBench, wait_s: float = 30.0) -> tuple["asyncio.Task[list[Answer]]", ApprovalRequest]:
    """A statement that waits, and its request."""
    waiting = spawn(bench.hold(bench.holding(wait_s), TEXT), "held")
    await bench.until(lambda: bench.told)
    request = bench.board.current(bench.told[-1])
    assert request is not None
    return waiting, request


async def test_an_approved_statement_is_released(bench: ApprovalsBench) -> None:
    """So that the others show something."""
    waiting, request = await held(bench)
    await bench.vote(request, DANA)
    assert await waiting == [Granted(request.id, ("dana",))]
    assert bench.status(request) is ApprovalStatus.SPENT


async def test_a_store_that_is_gone_keeps_it_waiting(bench: ApprovalsBench) -> None:
    waiting, request = await held(bench)
    bench.break_store()
    with pytest.raises(StateUnavailable):
        await bench.vote(request, DANA)
    for _ in range(5):
        await bench.board.tick()
        await asyncio.sleep(0.01)
    assert not waiting.done()
    bench.mend_store()
    await bench.vote(request, DANA)
    assert isinstance((await waiting)[0], Granted)


async def test_a_store_that_stays_gone_refuses_in_the_end(bench: ApprovalsBench) -> None:
    waiting, _ = await held(bench, wait_s=0.3)
    bench.break_store()
    await bench.board.tick()
    assert isinstance((await waiting)[0], Denial)


async def test_a_store_that_is_gone_asks_nobody(bench: ApprovalsBench) -> None:
    bench.break_store()
    (answer,) = await bench.hold(bench.holding(), TEXT)
    assert "nobody can be asked now" in why(answer)


async def test_a_store_that_cannot_be_written_when_it_is_spent(bench: ApprovalsBench) -> None:
    waiting, request = await held(bench)
    bench.damage(
        "CREATE TRIGGER stop BEFORE UPDATE ON approvals WHEN new.status = 'spent' BEGIN SELECT RAISE(ABORT, 'x'); END"
    )
    await bench.vote(request, DANA)
    assert "nobody can be asked now" in why((await waiting)[0])
    assert bench.status(request) is ApprovalStatus.APPROVED


async def test_a_closed_store_releases_nothing(bench: ApprovalsBench) -> None:
    waiting, request = await held(bench, wait_s=0.3)
    bench.close()
    with pytest.raises(StateUnavailable):
        await bench.vote(request, DANA)
    assert isinstance((await waiting)[0], Denial)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_nobody_is_asked_unrecorded(bench: ApprovalsBench, later: bool) -> None:
    bench.ledger.later, bench.ledger.refuses = later, {ApprovalRequested}
    (answer,) = await bench.hold(bench.holding(), TEXT)
    assert "nobody can be asked now" in why(answer)
    assert not bench.table.recent(None, 10)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("kind", [ApprovalVoted, ApprovalSettled])
async def test_a_yes_that_is_not_recorded_is_none(bench: ApprovalsBench, later: bool, kind: type) -> None:
    waiting, request = await held(bench)
    bench.ledger.later, bench.ledger.refuses = later, {kind}
    with pytest.raises(LedgerUnavailable):
        await bench.vote(request, DANA)
    await bench.board.tick()
    await asyncio.sleep(0.01)
    assert (waiting.done(), bench.status(request)) == (False, ApprovalStatus.PENDING)
    bench.ledger.refuses = set()
    await bench.vote(request, DIRK)
    assert (await waiting) == [Granted(request.id, ("dirk",))]


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_what_cannot_be_recorded_as_spent_is_not_released(bench: ApprovalsBench, later: bool) -> None:
    request = await bench.ask()
    await bench.vote(request, DANA)
    bench.ledger.later, bench.ledger.refuses = later, {ApprovalSettled}
    with pytest.raises(LedgerUnavailable):
        await bench.spend(request)
    assert bench.status(request) is ApprovalStatus.APPROVED


async def test_a_refusal_that_is_not_recorded_fails(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    bench.ledger.refuses = {ApprovalRefused}
    with pytest.raises(LedgerUnavailable):
        await bench.vote(request, DANA, digest="e" * 64)


async def test_a_clock_that_breaks_while_it_waits(bench: ApprovalsBench) -> None:
    waiting, request = await held(bench, wait_s=0.3)
    bench.clock.broken = True
    with pytest.raises(OSError, match="no clock"):
        await bench.vote(request, DANA)
    await bench.board.tick()
    assert isinstance((await waiting)[0], Denial)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE approvals SET request = 'not json'",
        "UPDATE approvals SET request = '{}'",
        "UPDATE approvals SET request = replace(request, 'pending', 'granted')",
    ],
)
async def test_a_damaged_request_is_never_released(bench: ApprovalsBench, sql: str) -> None:
    waiting, request = await held(bench, wait_s=0.4)
    bench.damage(sql)
    with pytest.raises(StateUnavailable, match="cannot be read"):
        await bench.vote(request, DANA)
    await bench.board.tick()
    assert isinstance((await waiting)[0], Denial)


async def test_a_damaged_request_is_in_nobody_elses_way(bench: ApprovalsBench) -> None:
    await bench.ask()
    bench.damage("UPDATE approvals SET request = 'not json'")
    other = await bench.ask(digest="e" * 64)
    await bench.board.tick()
    await bench.board.interrupt_open()
    assert bench.status(other) is ApprovalStatus.WITHDRAWN
    again = await bench.ask()
    await bench.vote(again, DANA)
    assert await bench.spend(again)


async def test_a_request_that_is_gone_refuses(bench: ApprovalsBench) -> None:
    waiting, _ = await held(bench)
    bench.damage("DELETE FROM approvals")
    await bench.board.tick()
    assert "void" in why((await waiting)[0])


@pytest.mark.parametrize(
    "damage", ["UPDATE approvals SET sealed = x'00'", "UPDATE approvals SET sealed = zeroblob(80)"]
)
async def test_a_statement_that_cannot_be_opened_is_not_shown(bench: ApprovalsBench, damage: str) -> None:
    request = await bench.ask()
    assert bench.board.question(request.id) is not None
    bench.damage(damage)
    with pytest.raises(InterlockError):
        bench.board.question(request.id)


async def test_what_nobody_can_see_nobody_can_approve(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    bench.damage("UPDATE approvals SET sealed = zeroblob(80)")
    assert "cannot be shown" in await bench.refusal(request, DANA)
    assert [record.reviewer for record in bench.ledger.of(ApprovalRefused)] == ["dana"]
    assert (await bench.vote(request, DANA, approves=False)).status is ApprovalStatus.DENIED


async def test_a_statement_of_another_request_cannot_be_put_in_its_place(bench: ApprovalsBench) -> None:
    request, other = await bench.ask(), await bench.ask(digest="e" * 64)
    bench.damage(f"UPDATE approvals SET sealed = (SELECT sealed FROM approvals WHERE id = '{other.id}')")
    with pytest.raises(InterlockError):
        bench.board.question(request.id)


@pytest.mark.parametrize("leave", [True, False], ids=["gone while it is spent", "approved and gone"])
async def test_whoever_has_gone_is_not_given_anything(bench: ApprovalsBench, leave: bool) -> None:
    holding = bench.holding()
    waiting = spawn(bench.hold(holding, TEXT), "held")
    await bench.until(lambda: bench.told)
    request = bench.board.current(bench.told[0])
    assert request is not None
    bench.ledger.later = leave
    await bench.vote(request, DANA)
    holding.give_up("the client has left")
    (answer,) = await waiting
    assert "the client has left" in why(answer)


async def test_one_no_takes_those_behind_it_back(bench: ApprovalsBench) -> None:
    waiting = spawn(bench.hold(bench.holding(), b"first", b"second"), "held")
    await bench.until(lambda: len(bench.told) == 2)
    first = bench.board.current(bench.told[0])
    assert first is not None
    await bench.vote(first, DANA, approves=False)
    answers = await waiting
    assert ["denied it" in why(answers[0]), "was not approved" in why(answers[1])] == [True, True]
    assert {request.status for request in bench.table.recent(None, 9)} == {
        ApprovalStatus.DENIED,
        ApprovalStatus.WITHDRAWN,
    }
