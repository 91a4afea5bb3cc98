"""Enforcement fails closed: whatever part of it breaks, the answer is a denial."""

import ast
import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock.core.decision import Decision, Hold, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.errors import LedgerUnavailable
from interlock.core.ledger import AlertRaised, AnyRecord, OperationCompleted, OperationDecided
from interlock.core.operation import Operation, Outcome, OutcomeStatus, Phase
from interlock.core.session import Session
from interlock.core.settings import AlertSettings
from interlock.services.alerts import DenialAlerts
from interlock.services.budgets import Budgets
from interlock.services.enforcement import Enforcement, SessionGuard
from interlock.services.policy import PolicyEngine, PolicyStore
from interlock.services.policy.session import SessionPolicy
from tests.clocks import ManualClock
from tests.services.policy.examples import BASIC, agent, meaning, source
from tests.services.test_budgets import MemoryStore

SESSION = Session("s1", "postgres", "pg", "app", agent("ci-bots"), "127.0.0.1:5000")
SOURCE = Path(interlock.__file__).parent


class WaywardLedger:
    """Accepts records, until ``misbehave`` is set: it is called with each record in place of accepting it."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []
        self.misbehave: Callable[[AnyRecord], asyncio.Future[None] | None] | None = None

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        if self.misbehave is not None:
            return self.misbehave(record)
        self.records.append(record)
        return None

    def note(self, record: AnyRecord) -> None:
        self.append(record)


class StubRecorder:
    """Seals nothing; ``failure`` makes it fail."""

    wrapped_key = b""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.over: list[int] = []

    def seal(self, operation: Operation) -> bytes:
        if self.failure is not None:
            raise self.failure
        return b"sealed"

    def answer(self, number: int, data: bytes) -> None:
        raise AssertionError("enforcement records no answers")

    request = answer

    def ended(self, number: int) -> None:
        self.over.append(number)

    def close(self) -> None:
        raise AssertionError("enforcement closes no recording")


class Bench:
    """A guard and the parts behind it."""

    def __init__(self) -> None:
        self.ledger, self.recorder, self.clock = WaywardLedger(), StubRecorder(), ManualClock()
        self.policies = PolicyStore(WaywardLedger())
        self.enforcement = Enforcement(self.policies, self.ledger, self.clock)
        self.guard: SessionGuard = self.enforcement.guard(SESSION, self.recorder)

    async def decide(self, *actions: str, phase: Phase = Phase.EXECUTE) -> list[Decision]:
        operations = [Operation(n, meaning(action), b"SELECT 1", phase=phase) for n, action in enumerate(actions, 1)]
        decisions = self.guard.authorize(operations)
        return list(await decisions if isinstance(decisions, Awaitable) else decisions)

    @property
    def recorded(self) -> list[str]:
        return [record.decision for record in self.ledger.records if isinstance(record, OperationDecided)]


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.policies.start([source(BASIC)])
    return bench


def reasons(decisions: list[Decision]) -> list[DenialReason]:
    assert all(isinstance(decision, Denial) for decision in decisions), decisions
    return [decision.reason for decision in decisions if isinstance(decision, Denial)]


def refuse(_record: AnyRecord) -> None:
    raise LedgerUnavailable("the disk is full")


def explode(_record: AnyRecord) -> None:
    raise ZeroDivisionError


def fail_later(_record: AnyRecord) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, LedgerUnavailable("the disk is full"))
    return future


def cancel_later(_record: AnyRecord) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    return future


async def test_the_recorder_hears_of_the_end_of_an_operation_before_the_ledger_does(bench: Bench) -> None:
    await bench.decide("select")
    ends: list[list[int]] = []

    def note_when(record: AnyRecord) -> None:
        if isinstance(record, OperationCompleted):
            ends.append(list(bench.recorder.over))

    bench.ledger.misbehave = note_when
    bench.guard.report(Outcome(1, OutcomeStatus.COMPLETED))
    assert ends == [[1]]


async def test_decisions_are_on_record_when_they_are_handed_out(bench: Bench) -> None:
    permit, hold, denial = await bench.decide("select", "insert", "drop")
    assert isinstance(permit, Permit)
    assert isinstance(hold, Hold)
    assert isinstance(denial, Denial)
    assert permit.rules == ("ci-reads",)
    assert bench.recorded == ["allowed", "held", "denied"]
    assert (bench.guard.operations, bench.guard.denied) == (3, 2)


async def test_what_is_permitted_is_noted_once(bench: Bench) -> None:
    noted: list[str] = []
    bench.guard.note_use = noted.append
    await bench.decide("select", "insert", "drop", "select")
    await bench.decide("select")
    assert noted == ["select"]


async def test_a_use_that_cannot_be_noted_is_one_all_the_same(bench: Bench) -> None:
    def explode(action: str) -> None:
        raise ZeroDivisionError

    bench.guard.note_use = explode
    (permit,) = await bench.decide("select")
    assert isinstance(permit, Permit)


async def test_no_policy_is_a_denial() -> None:
    bench = Bench()
    assert reasons(await bench.decide("select")) == [DenialReason.POLICY_ERROR]
    assert bench.recorded == ["denied"]


@pytest.mark.parametrize("error", [RuntimeError, RecursionError, MemoryError, KeyError, OSError])
async def test_broken_policy_is_a_denial(bench: Bench, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def decide(*_: object) -> None:
        raise error("something with a secret in it")

    monkeypatch.setattr(SessionPolicy, "decide", decide)
    decisions = await bench.decide("select", "drop")
    assert reasons(decisions) == [DenialReason.POLICY_ERROR] * 2
    assert bench.recorded == ["denied", "denied"]
    assert "secret" not in repr(decisions)


async def test_policy_that_cannot_be_prepared_does_not_leave_the_one_before_in_force(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change every statement is refused until the new policy can be asked."""

    def for_session(*_: object) -> None:
        raise RuntimeError

    assert isinstance((await bench.decide("select"))[0], Permit)
    await bench.policies.activate([source('@id("nothing") forbid (principal, action, resource);')], by="test")
    with monkeypatch.context() as patch:
        patch.setattr(PolicyEngine, "for_session", for_session)
        for _ in range(2):
            assert reasons(await bench.decide("select")) == [DenialReason.POLICY_ERROR]
    assert reasons(await bench.decide("select")) == [DenialReason.FORBIDDEN]


async def test_broken_clock_is_a_denial(bench: Bench) -> None:
    bench.clock.broken = True
    assert reasons(await bench.decide("select")) == [DenialReason.POLICY_ERROR]


@pytest.mark.parametrize("misbehave", [refuse, explode, fail_later, cancel_later])
async def test_broken_ledger_is_a_denial(
    bench: Bench, misbehave: Callable[[AnyRecord], asyncio.Future[None] | None]
) -> None:
    bench.ledger.misbehave = misbehave
    assert reasons(await bench.decide("select", "drop")) == [DenialReason.UNRECORDED] * 2
    assert bench.guard.denied == 2
    bench.ledger.misbehave = None
    assert isinstance((await bench.decide("select"))[0], Permit)


LIMITED = (
    BASIC
    + """
@id("few-rows") @budget("rows=3 per 1h, statements=2 per 1h")
forbid (principal, action == Action::"select", resource);
@id("no-storms") @budget("denials=2 per 1h") forbid (principal, action == Action::"copy-out", resource);
"""
)


class LimitedBench(Bench):
    """With budgets and alerts."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.budgets = Budgets(self.store, self.clock)
        self.alerts = DenialAlerts(AlertSettings(denials=3), self.ledger, self.clock, self.spawn)
        self.enforcement = Enforcement(self.policies, self.ledger, self.clock, budgets=self.budgets, alerts=self.alerts)
        self.guard = self.enforcement.guard(SESSION, self.recorder)

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> object:
        return asyncio.ensure_future(work)


@pytest.fixture
async def limited() -> LimitedBench:
    bench = LimitedBench()
    await bench.policies.start([source(LIMITED)])
    return bench


async def test_a_policy_with_budgets_needs_somebody_who_counts(bench: Bench) -> None:
    await bench.policies.activate([source(LIMITED)], by="test")
    assert reasons(await bench.decide("select")) == [DenialReason.POLICY_ERROR]
    assert isinstance((await bench.decide("insert"))[0], Hold)


async def test_what_is_within_budget_is_permitted_and_counted(limited: LimitedBench) -> None:
    first, second, third = await limited.decide("select", "select", "select")
    assert isinstance(first, Permit)
    assert first.rules == ("ci-reads", "few-rows")
    assert first.allowance is not None
    assert isinstance(second, Permit)
    assert reasons([third]) == [DenialReason.BUDGET_SPENT]
    assert limited.recorded == ["allowed", "allowed", "denied"]


async def test_preparing_is_judged_and_does_not_count(limited: LimitedBench) -> None:
    for _ in range(5):
        assert isinstance((await limited.decide("select", phase=Phase.PREPARE))[0], Permit)
    await limited.decide("select", "select")
    assert reasons(await limited.decide("select", phase=Phase.PREPARE)) == [DenialReason.BUDGET_SPENT]


async def test_every_denial_counts_for_budgets_of_denials_and_for_alerts(limited: LimitedBench) -> None:
    assert isinstance((await limited.decide("copy-out"))[0], Permit)
    await limited.decide("drop", "insert", "drop")
    assert reasons(await limited.decide("copy-out")) == [DenialReason.BUDGET_SPENT]
    assert [record.count for record in limited.ledger.records if isinstance(record, AlertRaised)] == []
    await asyncio.sleep(0)
    assert [record.count for record in limited.ledger.records if isinstance(record, AlertRaised)] == [3]


async def test_what_is_not_on_record_does_not_count(limited: LimitedBench) -> None:
    limited.ledger.misbehave = refuse
    await limited.decide("drop", "drop", "drop")
    limited.ledger.misbehave = None
    assert isinstance((await limited.decide("copy-out"))[0], Permit)


async def test_broken_counters_are_a_denial(limited: LimitedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(limited.budgets, "now_s", break_down)
    assert reasons(await limited.decide("select", "drop")) == [DenialReason.POLICY_ERROR, DenialReason.FORBIDDEN]


async def test_a_new_policy_counts_on_with_its_own_limit(limited: LimitedBench) -> None:
    await limited.decide("select", "select")
    wider = LIMITED.replace("statements=2", "statements=3")
    await limited.policies.activate([source(wider)], by="test")
    allowed, denied = await limited.decide("select", "select")
    assert isinstance(allowed, Permit)
    assert reasons([denied]) == [DenialReason.BUDGET_SPENT]


async def test_one_record_that_fails_later_refuses_what_is_decided_with_it(bench: Bench) -> None:
    """Operations of one group take effect together."""
    answers = iter([None, fail_later])

    def misbehave(record: AnyRecord) -> asyncio.Future[None] | None:
        answer = next(answers)
        return answer(record) if answer else None

    bench.ledger.misbehave = misbehave
    assert reasons(await bench.decide("select", "select")) == [DenialReason.UNRECORDED] * 2


@pytest.mark.parametrize("failure", [LedgerUnavailable("no room"), RuntimeError(), OSError()])
async def test_request_that_cannot_be_sealed_is_a_denial(bench: Bench, failure: Exception) -> None:
    bench.recorder.failure = failure
    assert reasons(await bench.decide("select")) == [DenialReason.UNRECORDED]
    assert bench.recorded == []


def test_only_enforcement_makes_permits() -> None:
    """Also under another name, and by copying one or reading one from somewhere."""
    makers = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if makes_permits(path)}
    assert makers == {"services/enforcement/judge.py"}


def makes_permits(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    aliases = {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.name == "Permit"
    }
    return any(isinstance(node, ast.Call) and names_permit(node, aliases) for node in ast.walk(tree))


def names_permit(call: ast.Call, aliases: set[str]) -> bool:
    """Whether ``Permit`` is what is called, or is handed to a call that is not a mere check of a type."""
    if isinstance(call.func, ast.Name) and call.func.id == "isinstance":
        return False
    named = [call.func, *call.args, *(keyword.value for keyword in call.keywords)]
    return any(
        (isinstance(node, ast.Name) and node.id in aliases)
        or (isinstance(node, ast.Attribute) and node.attr == "Permit")
        for node in named
    )
