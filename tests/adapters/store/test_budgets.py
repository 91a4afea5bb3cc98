"""What was counted against budgets, in a real state store: added up, forgotten, shared and read after a restart."""

from pathlib import Path

import pytest

from interlock.adapters.store.budgets import BudgetTable
from interlock.adapters.store.database import Database
from interlock.core.errors import BudgetsUnavailable
from interlock.services.budgets import Budgets
from tests.clocks import ManualClock
from tests.services.test_budgets import charge, counted


async def test_amounts_add_up_and_old_ones_go(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    try:
        table = BudgetTable(database)
        await table.add([("a", 1, 5), ("a", 2, 1), ("b", 1, 1)], {})
        assert await table.add([("a", 2, 3), ("b", 1, -1)], {"a": 2, "b": 0}) == [("a", 2, 4)]
        assert table.load() == [("a", 2, 4)]
    finally:
        database.close()


async def test_two_gateways_and_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    database, other = Database(tmp_path / "state.db"), Database(tmp_path / "state.db")
    try:
        first, second = Budgets(BudgetTable(database), clock), Budgets(BudgetTable(other), clock)
        for budgets in (first, second, first):
            charge(budgets, 10)
            await budgets.keep()
        assert (counted(first), counted(second)) == (30, 20)
        charge(second, 1)
        await second.keep()
        assert counted(second) == 31
        again = Budgets(BudgetTable(database), clock)
        again.load()
        assert counted(again) == 31
    finally:
        database.close()
        other.close()


async def test_a_closed_database_is_a_denial(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    budgets = Budgets(BudgetTable(database), ManualClock())
    charge(budgets, 1)
    database.close()
    await budgets.keep()
    with pytest.raises(BudgetsUnavailable):
        budgets.now_s()


async def test_amounts_beyond_every_limit_stay_there(tmp_path: Path) -> None:
    """Nothing is counted wrongly because numbers end somewhere: what is more than any limit stays more."""
    database = Database(tmp_path / "state.db")
    try:
        table, clock = BudgetTable(database), ManualClock()
        budgets = Budgets(table, clock)
        window = charge(budgets, 1)
        await budgets.keep()
        changes = [(window.key, bucket + 1, 2**63 - 1) for bucket in range(window.oldest, window.oldest + 60)]
        for _ in range(2):
            kept = await table.add(changes, {window.key: window.oldest})
        assert {type(amount) for _, _, amount in kept} == {int}
        again = Budgets(table, clock)
        again.load()
        assert counted(again) > 10**15, "than which no budget may be more"
        charge(again, 2**40)
        await again.keep()
        assert counted(again) > 10**15
    finally:
        database.close()
