"""Statements of agents: run at once, or kept while people are asked; never more of them than there is room for."""

import asyncio
from collections.abc import Callable

import pytest

from interlock.core.errors import AdministrationRefused
from interlock.runtime.tasks import spawn
from interlock.services.self_service.queries import (
    KEPT_S,
    MAX_HELD_EACH,
    HeldNotice,
    Queries,
    QueryFailed,
    QueryResult,
    Statement,
)
from tests.clocks import ManualClock
from tests.services.policy.examples import agent, user

ANN, BOB = agent(name="ann"), agent(name="bob")
ROWS = QueryResult(("id",), ((1,),), "SELECT 1")


class Runner:
    """Holds statements until ``answers`` has one for them; ``cancelled`` are those that were given up."""

    def __init__(self) -> None:
        self.answers: dict[str, asyncio.Future[QueryResult]] = {}
        self.cancelled: list[str] = []
        self.runs = 0

    async def run(self, statement: Statement, held: Callable[[HeldNotice], None]) -> QueryResult:
        self.runs += 1
        if statement.sql == "FAIL":
            raise QueryFailed("denied: never")
        if not statement.sql.startswith("HOLD"):
            return ROWS
        answer = self.answers.setdefault(statement.sql, asyncio.get_running_loop().create_future())
        held(HeldNotice(f"r-{statement.sql}", "held: ask"))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            self.cancelled.append(statement.sql)
            raise


def statement(sql: str) -> Statement:
    return Statement("secret-token", "shop", "", sql, 10)


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def queries(runner: Runner) -> Queries:
    return Queries(runner, ManualClock(), spawn)


async def test_a_statement_that_nobody_has_to_approve_is_answered(queries: Queries) -> None:
    assert await queries.run(ANN, statement("SELECT 1")) == ROWS
    with pytest.raises(QueryFailed, match="never"):
        await queries.run(ANN, statement("FAIL"))
    assert "secret" not in repr(statement("SELECT 1"))


async def test_a_held_statement_goes_on_and_its_rows_are_given_once_to_whoever_asked(
    queries: Queries, runner: Runner
) -> None:
    notice = await queries.run(ANN, statement("HOLD"))
    assert notice == HeldNotice("r-HOLD", "held: ask")
    assert await queries.run(ANN, statement("HOLD")) == notice
    assert runner.runs == 1
    assert await queries.result(ANN, "r-HOLD", 0) is None
    runner.answers["HOLD"].set_result(ROWS)
    assert await queries.result(BOB, "r-HOLD", 0) is None
    assert await queries.result(ANN, "r-HOLD", 5) == ROWS
    assert await queries.result(ANN, "r-HOLD", 0) is None


async def test_the_same_statement_again_finds_its_rows(queries: Queries, runner: Runner) -> None:
    await queries.run(ANN, statement("HOLD"))
    runner.answers["HOLD"].set_result(ROWS)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await queries.run(ANN, statement("HOLD")) == ROWS
    assert runner.runs == 1


async def test_what_was_refused_says_so(queries: Queries, runner: Runner) -> None:
    await queries.run(ANN, statement("HOLD"))
    runner.answers["HOLD"].set_exception(QueryFailed("a person denied it"))
    with pytest.raises(QueryFailed, match="a person denied it"):
        await queries.result(ANN, "r-HOLD", 5)


async def test_how_many_wait_is_bounded(queries: Queries) -> None:
    for number in range(MAX_HELD_EACH):
        await queries.run(ANN, statement(f"HOLD{number}"))
    with pytest.raises(AdministrationRefused):
        await queries.run(ANN, statement("SELECT 1"))
    assert await queries.run(BOB, statement("SELECT 1")) == ROWS


async def test_a_caller_that_goes_away_takes_its_statement_with_it(runner: Runner) -> None:
    class Slow(Runner):
        async def run(self, statement: Statement, held: Callable[[HeldNotice], None]) -> QueryResult:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.append(statement.sql)
            return ROWS

    slow = Slow()
    asking = asyncio.ensure_future(Queries(slow, ManualClock(), spawn).run(ANN, statement("SELECT 1")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait((asking,))
    await asyncio.sleep(0)
    assert slow.cancelled == ["SELECT 1"]


async def test_what_nobody_asks_for_is_forgotten(runner: Runner) -> None:
    clock = ManualClock()
    queries = Queries(runner, clock, spawn)
    await queries.run(ANN, statement("HOLD"))
    queries.tick()
    assert runner.cancelled == []
    clock.advance(KEPT_S + 1)
    queries.tick()
    await asyncio.sleep(0)
    assert runner.cancelled == ["HOLD"]
    assert await queries.result(ANN, "r-HOLD", 0) is None


async def test_the_end_of_the_gateway_ends_them(queries: Queries, runner: Runner) -> None:
    await queries.run(ANN, statement("HOLD"))
    queries.close()
    await asyncio.sleep(0)
    assert runner.cancelled == ["HOLD"]


async def test_a_result_is_for_who_acted_when_it_was_asked() -> None:
    runner = Runner()
    queries = Queries(runner, ManualClock(), spawn)
    ada, by_bob = user(name="ada", acting=(ANN,)), user(name="ada", acting=(BOB,))
    held = await queries.run(ada, statement("HOLD 1"))
    assert isinstance(held, HeldNotice)
    runner.answers["HOLD 1"].set_result(ROWS)
    assert await queries.result(by_bob, held.approval, 1) is None
    assert await queries.result(user(name="ada"), held.approval, 1) is None
    assert await queries.result(ada, held.approval, 1) == ROWS
