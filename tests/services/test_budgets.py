"""Budgets are kept, survive a restart, are shared between gateways, and fail closed."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from interlock.core.budget import Purse, Window
from interlock.core.decision import BudgetDemand, BudgetKind
from interlock.core.errors import BudgetsUnavailable, StateUnavailable
from interlock.services import budgets as module
from interlock.services.budgets import Budgets
from interlock.services.state import KeptAmount
from tests.clocks import ManualClock
from tests.services.policy.examples import agent

ROWS = BudgetDemand("rows", BudgetKind.ROWS, 1000, "1h", 3600.0)
RUN = BudgetDemand("run", BudgetKind.BYTES, 1000, "run", 0.0)
WHO = agent()


class MemoryStore:
    """Implements ``services.state.BudgetStore``. ``failure`` is raised; ``slow`` is waited for."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], int] = {}
        self.failure: Exception | None = None
        self.slow: asyncio.Event | None = None
        self.additions = 0
        self.added = asyncio.Event()

    def load(self) -> list[KeptAmount]:
        if self.failure is not None:
            raise self.failure
        return [(key, bucket, amount) for (key, bucket), amount in self.kept.items()]

    async def add(self, changes: Sequence[KeptAmount], oldest: Mapping[str, int]) -> list[KeptAmount]:
        self.additions += 1
        if self.slow is not None:
            await self.slow.wait()
        if self.failure is not None:
            raise self.failure
        for key, bucket, amount in changes:
            self.kept[key, bucket] = self.kept.get((key, bucket), 0) + amount
        self.kept = {
            (key, bucket): amount
            for (key, bucket), amount in self.kept.items()
            if amount and bucket >= oldest.get(key, bucket)
        }
        self.added.set()
        return [(key, bucket, amount) for (key, bucket), amount in self.kept.items() if key in oldest]


def charge(budgets: Budgets, amount: int, demand: BudgetDemand = ROWS, run: str = "") -> Window:
    window = budgets.window(demand, WHO, run)
    window.count(budgets.now_s())
    window.charge(amount, demand.limit)
    return window


def counted(budgets: Budgets, demand: BudgetDemand = ROWS, run: str = "") -> int:
    return budgets.window(demand, WHO, run).count(budgets.now_s())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class TestCounters:
    async def test_each_identity_rule_kind_time_and_run_has_its_own(self, clock: ManualClock) -> None:
        budgets = Budgets(MemoryStore(), clock)
        other = BudgetDemand("other", BudgetKind.ROWS, 1000, "1h", 3600.0)
        found = [
            budgets.window(ROWS, WHO, ""),
            budgets.window(other, WHO, ""),
            budgets.window(BudgetDemand("rows", BudgetKind.BYTES, 1000, "1h", 3600.0), WHO, ""),
            budgets.window(BudgetDemand("rows", BudgetKind.ROWS, 1000, "1d", 86400.0), WHO, ""),
            budgets.window(ROWS, agent(name="ci-2"), ""),
            budgets.window(RUN, WHO, "a"),
            budgets.window(RUN, WHO, "b"),
            budgets.window(ROWS, agent(name="n" * 300), ""),
            budgets.window(ROWS, agent(name="n" * 301), ""),
        ]
        assert len(set(found)) == len(found)
        assert budgets.window(ROWS, agent("some", "groups", owner="bob"), "run") is found[0]

    async def test_a_new_limit_does_not_begin_anew(self, clock: ManualClock) -> None:
        budgets = Budgets(MemoryStore(), clock)
        wider = BudgetDemand("rows", BudgetKind.ROWS, 2000, "1h", 3600.0)
        assert budgets.window(wider, WHO, "") is budgets.window(ROWS, WHO, "")

    async def test_denials_are_counted_once_for_all_rules(self, clock: ManualClock) -> None:
        budgets = Budgets(MemoryStore(), clock)
        demand = BudgetDemand("any", BudgetKind.DENIALS, 5, "10m", 600.0)
        assert budgets.window(demand, WHO, "") is budgets.denials(600.0, WHO, "")

    async def test_they_are_bounded(self, clock: ManualClock) -> None:
        budgets = Budgets(MemoryStore(), clock, max_windows=1)
        charge(budgets, 1)
        with pytest.raises(BudgetsUnavailable, match="as many budget counters"):
            budgets.window(RUN, WHO, "a")
        await budgets.keep()
        clock.advance(3700)
        budgets.now_s()
        await budgets.keep()
        assert counted(budgets, RUN, "a") == 0


class TestKeeping:
    async def test_they_survive_a_restart(self, clock: ManualClock) -> None:
        store = MemoryStore()
        budgets = Budgets(store, clock)
        charge(budgets, 40)
        charge(budgets, 7, RUN, "a")
        await budgets.keep()
        clock.advance(60)
        charge(budgets, 2)
        await budgets.keep()
        again = Budgets(store, clock)
        again.load()
        assert (counted(again), counted(again, RUN, "a"), counted(again, RUN, "b")) == (42, 7, 0)
        clock.advance(3601)
        assert counted(again) == 2

    async def test_gateways_on_one_store_see_each_other(self, clock: ManualClock) -> None:
        store = MemoryStore()
        first, second = Budgets(store, clock), Budgets(store, clock)
        charge(first, 40)
        charge(second, 5)
        await first.keep()
        await second.keep()
        assert counted(second) == 45
        charge(first, 1)
        await first.keep()
        assert counted(first) == 46

    async def test_what_is_taken_in_advance_is_not_kept(self, clock: ManualClock) -> None:
        store = MemoryStore()
        budgets = Budgets(store, clock)
        purse = Purse([budgets.window(ROWS, WHO, "")], [1000], 500)
        assert purse.ready(3, budgets.now_s())
        purse.spend(3)
        assert counted(budgets) > 3
        await budgets.keep()
        assert list(store.kept.values()) == [3]
        assert counted(budgets) == 3

    async def test_what_is_over_is_forgotten_in_the_store(self, clock: ManualClock) -> None:
        store = MemoryStore()
        budgets = Budgets(store, clock)
        charge(budgets, 40)
        await budgets.keep()
        clock.advance(3700)
        budgets.now_s()
        await budgets.keep()
        assert store.kept == {}

    async def test_nothing_is_written_when_nothing_was_counted(self, clock: ManualClock) -> None:
        store = MemoryStore()
        budgets = Budgets(store, clock)
        charge(budgets, 1)
        await budgets.keep()
        await budgets.keep()
        assert store.additions == 1

    async def test_run_keeps_what_is_much_at_once_and_the_rest_at_the_end(self, clock: ManualClock) -> None:
        store = MemoryStore()
        budgets = Budgets(store, clock)
        running = asyncio.ensure_future(budgets.run())
        charge(budgets, 500)
        async with asyncio.timeout(20):
            await store.added.wait()
        charge(budgets, 1)
        await budgets.close()
        await running
        assert sum(store.kept.values()) == 501

    async def test_amounts_that_a_wrong_clock_put_into_the_future_count_as_of_now(self, clock: ManualClock) -> None:
        store = MemoryStore()
        ahead = Budgets(store, ManualClock(clock.now_s() + 10 * 86400))
        charge(ahead, 40)
        await ahead.keep()
        budgets = Budgets(store, clock)
        budgets.load()
        assert counted(budgets) == 40
        await budgets.keep()
        assert counted(budgets) == 40
        clock.advance(3700)
        assert counted(budgets) == 0


class TestFailingClosed:
    async def test_a_store_that_cannot_be_read(self, clock: ManualClock) -> None:
        store = MemoryStore()
        store.failure = StateUnavailable("no")
        with pytest.raises(StateUnavailable):
            Budgets(store, clock).load()

    async def test_a_counter_that_is_not_understood(self, clock: ManualClock) -> None:
        store = MemoryStore()
        store.kept["something", 1] = 1
        with pytest.raises(StateUnavailable, match="does not understand"):
            Budgets(store, clock).load()

    async def test_more_counters_than_there_may_be(self, clock: ManualClock) -> None:
        store = MemoryStore()
        budgets = Budgets(store, clock)
        charge(budgets, 1)
        charge(budgets, 1, RUN, "a")
        await budgets.keep()
        with pytest.raises(StateUnavailable, match="more budget counters"):
            Budgets(store, clock, max_windows=1).load()

    @pytest.mark.parametrize("failure", [StateUnavailable("disk full"), RuntimeError("odd")])
    async def test_a_store_that_takes_nothing(self, clock: ManualClock, failure: Exception) -> None:
        store = MemoryStore()
        budgets = Budgets(store, clock)
        charge(budgets, 5)
        store.failure = failure
        await budgets.keep()
        with pytest.raises(BudgetsUnavailable, match="cannot be kept"):
            budgets.now_s()
        store.failure = None
        await budgets.keep()
        assert counted(budgets) == 5
        assert list(store.kept.values()) == [5]

    async def test_a_store_that_does_not_answer(self, clock: ManualClock) -> None:
        store = MemoryStore()
        store.slow = asyncio.Event()
        budgets = Budgets(store, clock)
        charge(budgets, 5)
        keeping = asyncio.ensure_future(budgets.keep())
        await asyncio.sleep(0)
        charge(budgets, 1)
        clock.advance(module.MAX_UNKEPT_S + 1)
        with pytest.raises(BudgetsUnavailable, match="in time"):
            budgets.now_s()
        store.slow.set()
        await keeping
        assert counted(budgets) == 6

    async def test_no_clock(self, clock: ManualClock) -> None:
        clock.broken = True
        with pytest.raises(OSError, match="no clock"):
            Budgets(MemoryStore(), clock).now_s()

    async def test_a_clock_that_is_set_back(self, clock: ManualClock) -> None:
        budgets = Budgets(MemoryStore(), clock)
        before_s = budgets.now_s()
        clock.advance(-1)
        assert budgets.now_s() == before_s
        clock.advance(-60)
        with pytest.raises(BudgetsUnavailable, match="set back"):
            budgets.now_s()
        clock.advance(61)
        assert budgets.now_s() == before_s
