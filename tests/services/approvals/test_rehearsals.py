"""Rehearsals: recorded before anything runs, one at a time, and shown as open only while the transaction is."""

import asyncio

import pytest

from interlock.core.approval import ApprovalRequest, ApprovalStatus, Rehearsal, RowSample
from interlock.core.decision import Trial
from interlock.core.errors import AdministrationRefused, CatalogueUnavailable, LedgerUnavailable, MaskingUnavailable
from interlock.core.identity import Principal
from interlock.core.ledger import ApprovalRefused, OperationRehearsed
from interlock.core.operation import Meaning
from interlock.core.rehearsal import RehearsalOutcome, SampledTable
from interlock.core.session import Session
from interlock.runtime.tasks import spawn
from interlock.services.approvals import rehearsals as module
from interlock.services.approvals.holding import Answer, Holding
from interlock.services.approvals.rehearsals import Rehearsals
from interlock.services.approvals.sampling import Sampling
from tests.services.approvals.bench import DANA, DBA, DIRK, QUESTION, SVEN, ApprovalsBench, draft, held_operation, why

TABLE = SampledTable("public", "users")
BEFORE = (RowSample("public.users", ("id",), (("1",),)),)
OUTCOME = RehearsalOutcome("DELETE 1", transaction="42")


class Stage(Sampling):
    """A session whose statement is held, and what its target answers."""

    def __init__(self, bench: ApprovalsBench, rehearsal_s: float = 60.0) -> None:
        self.bench = bench
        self.outcome = OUTCOME
        self.ran: list[tuple[int, tuple[SampledTable, ...], int]] = []
        self.ended = 0
        self.unavailable: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.trial: Trial | None = Trial(1)
        self.rehearsals = Rehearsals(bench.board, self, self, bench.ledger, rehearsal_s)

    def tables(self, session: Session, meaning: Meaning, reviewer: Principal) -> tuple[SampledTable, ...]:
        if isinstance(self.unavailable, MaskingUnavailable):
            raise self.unavailable
        return (TABLE,)

    async def replaced(
        self, connection: str, database: str, transaction: str, tables: tuple[SampledTable, ...]
    ) -> tuple[RowSample, ...]:
        if self.unavailable is not None:
            raise self.unavailable
        return BEFORE

    async def run(self, trial: Trial, tables: tuple[SampledTable, ...], timeout_ms: int) -> RehearsalOutcome:
        self.ran.append((trial.number, tables, timeout_ms))
        await self.gate.wait()
        return self.outcome

    def end(self) -> None:
        self.ended += 1

    async def hold(self, wait_s: float = 30.0) -> tuple["asyncio.Task[list[Answer]]", ApprovalRequest, Holding]:
        holding = self.bench.holding(wait_s)
        holding.run_rehearsal, holding.end_rehearsal = self.run, self.end
        held = held_operation(1, b"DELETE FROM users")
        asked = type(held)(held.operation, held.hold, held.accesses, lambda: self.trial)
        told = len(self.bench.told)
        waiting = spawn(holding.ask([asked], lambda request, _: self.bench.told.append(request.id)), "held")
        await self.bench.until(lambda: len(self.bench.told) > told)
        request = self.bench.board.current(self.bench.told[-1])
        assert request is not None
        return waiting, request, holding


@pytest.fixture
def stage(bench: ApprovalsBench) -> Stage:
    return Stage(bench)


async def test_it_is_recorded_run_and_shown(stage: Stage) -> None:
    _, request, holding = await stage.hold()
    seen = await stage.rehearsals.rehearse(request.id, DANA)
    assert seen == Rehearsal("DELETE 1", before=BEFORE, held=True)
    assert stage.ran == [(1, (TABLE,), 30_000)]
    assert [record.by for record in stage.bench.ledger.of(OperationRehearsed)] == ["dana"]
    assert stage.rehearsals.of(request, DANA) == seen
    assert stage.rehearsals.of(request, DIRK) == Rehearsal("DELETE 1", held=True)
    holding.give_up("over")


async def test_nothing_runs_unrecorded(stage: Stage) -> None:
    _, request, holding = await stage.hold()
    for later in (False, True):
        stage.bench.ledger.later, stage.bench.ledger.refuses = later, {OperationRehearsed}
        with pytest.raises(LedgerUnavailable):
            await stage.rehearsals.rehearse(request.id, DANA)
    assert stage.ran == []
    stage.bench.ledger.later = False
    holding.give_up("over")


async def test_only_for_whoever_may_say_yes(stage: Stage) -> None:
    _, request, holding = await stage.hold()
    with pytest.raises(AdministrationRefused, match="only members of dba"):
        await stage.rehearsals.rehearse(request.id, SVEN)
    (record,) = stage.bench.ledger.of(ApprovalRefused)
    assert (record.reviewer, record.verdict) == ("sven", "rehearse")
    assert stage.ran == []
    holding.give_up("over")


async def test_not_when_nobody_waits(stage: Stage) -> None:
    request = await stage.bench.board.ask(draft("d" * 64, (DBA,)), QUESTION)
    with pytest.raises(AdministrationRefused, match="nobody waits"):
        await stage.rehearsals.rehearse(request.id, DANA)


async def test_not_when_a_rollback_does_not_take_it_back(stage: Stage) -> None:
    _, request, holding = await stage.hold()
    stage.trial = None
    with pytest.raises(AdministrationRefused, match="would not take all of it back"):
        await stage.rehearsals.rehearse(request.id, DANA)
    assert not stage.bench.ledger.of(OperationRehearsed)
    holding.give_up("over")


async def test_one_at_a_time_and_not_over_an_open_one(stage: Stage) -> None:
    _, request, holding = await stage.hold()
    stage.gate.clear()
    first = spawn(stage.rehearsals.rehearse(request.id, DANA), "first")
    await stage.bench.until(lambda: stage.ran)
    with pytest.raises(AdministrationRefused, match="being rehearsed already"):
        await stage.rehearsals.rehearse(request.id, DIRK)
    stage.gate.set()
    await first
    with pytest.raises(AdministrationRefused, match="its transaction is open"):
        await stage.rehearsals.rehearse(request.id, DIRK)
    assert len(stage.ran) == 1
    assert stage.rehearsals.of(request, DIRK) == Rehearsal("DELETE 1", held=True)
    holding.give_up("over")


async def test_what_the_target_refuses_can_be_tried_again(stage: Stage) -> None:
    _, request, holding = await stage.hold()
    stage.outcome = RehearsalOutcome(problem="it is locked")
    assert (await stage.rehearsals.rehearse(request.id, DANA)).problem == "it is locked"
    stage.outcome = OUTCOME
    assert (await stage.rehearsals.rehearse(request.id, DANA)).held
    holding.give_up("over")


@pytest.mark.parametrize("unavailable", [MaskingUnavailable("no catalogue"), CatalogueUnavailable("no connection")])
async def test_rows_that_cannot_be_masked_or_read_are_not_shown(stage: Stage, unavailable: Exception) -> None:
    _, request, holding = await stage.hold()
    stage.unavailable = unavailable
    assert await stage.rehearsals.rehearse(request.id, DANA) == Rehearsal("DELETE 1", held=True)
    holding.give_up("over")


async def test_time_is_up(bench: ApprovalsBench) -> None:
    stage = Stage(bench, rehearsal_s=0.1)
    _, request, holding = await stage.hold()
    await stage.rehearsals.rehearse(request.id, DANA)
    await bench.until(lambda: stage.ended)
    seen = stage.rehearsals.of(request, DANA)
    assert (stage.ended, seen) == (1, Rehearsal("DELETE 1", before=BEFORE))
    holding.give_up("over")


async def test_it_is_not_open_any_more_when_whoever_waited_has_gone(stage: Stage) -> None:
    """The request stays, for whoever comes back; the transaction ended with the wait."""
    waiting, request, _ = await stage.hold(wait_s=0.2)
    await stage.rehearsals.rehearse(request.id, DANA)
    assert "nobody has answered yet" in why((await waiting)[0])
    assert stage.bench.status(request) is ApprovalStatus.PENDING
    seen = stage.rehearsals.of(request, DANA)
    assert seen is not None
    assert not seen.held
    _, again, holding = await stage.hold()
    assert again.id == request.id
    assert (await stage.rehearsals.rehearse(request.id, DANA)).held
    holding.give_up("over")


async def test_what_was_seen_of_a_settled_request_is_forgotten(stage: Stage) -> None:
    waiting, request, _ = await stage.hold()
    await stage.rehearsals.rehearse(request.id, DANA)
    await stage.bench.vote(request, DIRK, approves=False)
    await waiting
    current = stage.bench.board.current(request.id)
    assert current is not None
    assert stage.rehearsals.of(current, DANA) is None


async def test_however_many_were_seen_there_is_room(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_KEPT", 1)
    stage.outcome = RehearsalOutcome(problem="it is locked")
    for _ in range(3):
        waiting, request, _ = await stage.hold()
        assert (await stage.rehearsals.rehearse(request.id, DANA)).problem
        await stage.bench.vote(request, DANA, approves=False)
        await waiting
        stage.bench.clock.advance(601)
