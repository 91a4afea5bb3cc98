"""Approvals under every kind of race: whatever ran at the target had a grant of its own, says a model of grants.

``RACES`` is how many plans are played, ``RACE_SEED`` which ones; with ``RACE_ONLY`` one of them is played throughout.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.races.model import Loss, Ran
from tests.e2e.races.plans import plan_of
from tests.e2e.races.play import Slot
from tests.e2e.races.world import OPTIONS, TABLES, World, now_s, world_of
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayServer
from tests.servers.postgres import PostgresServer

RACES = int(os.environ.get("RACES", "80"))
SEED = int(os.environ.get("RACE_SEED", "4"))
ONLY = os.environ.get("RACE_ONLY", "")
SLOTS = 40


@pytest.fixture
def tables(postgres: PostgresServer) -> Iterator[None]:
    """Each row says what ran, when, and in which of the target's processes."""
    for table in TABLES:
        columns = "marker text, at timestamptz DEFAULT clock_timestamp(), backend int DEFAULT pg_backend_pid()"
        postgres.execute(f"CREATE TABLE {table} ({columns})", database="shop")
        postgres.execute(f"ALTER TABLE {table} OWNER TO app", database="shop")
    yield
    for table in TABLES:
        postgres.execute(f"DROP TABLE {table}", database="shop")


@pytest.mark.timeout(600)
async def test_scenario_11_approval_race(target: Endpoint, postgres: PostgresServer, tables: None) -> None:
    seen: Counter[str] = Counter()
    with GatewayServer(target, OPTIONS) as gateway:
        async with world_of(gateway) as world:
            slots = [Slot(world, number) for number in range(min(SLOTS, RACES))]
            await asyncio.gather(*(slot.settle_in() for slot in slots))
            for first in range(0, RACES, SLOTS):
                numbers = range(first, min(first + SLOTS, RACES))
                await _wave(world, slots[: len(numbers)], numbers)
                backends = {sent.backend for slot in slots for sent in slot.history.sent}
                await asyncio.to_thread(_wait_for, postgres, backends)
                _check(slots[: len(numbers)], numbers, _rows(postgres), seen)
    print(f"seed {SEED}: {dict(seen)}")
    assert seen["ran"] > RACES / 20, "hardly anything ran"
    assert seen["refused"] > RACES / 20, "hardly anything was refused"


async def _wave(world: World, slots: list[Slot], numbers: range) -> None:
    """Play plans at once, and something that is about all of them."""
    plans = [plan_of(SEED, int(ONLY or number)) for number in numbers]
    async with asyncio.TaskGroup() as group:
        for slot, plan in zip(slots, plans, strict=True):
            group.create_task(slot.play(plan))
        group.create_task(_disturb(world, slots, random.Random(f"{SEED}/{numbers.start}")))


async def _disturb(world: World, slots: list[Slot], chance: random.Random) -> None:
    event = chance.choice(("nothing", "nothing", "policy", "policy", "stop", "kill"))
    if event == "nothing":
        return
    await asyncio.sleep(chance.uniform(0.1, 1.0))
    loss = Loss(now_s(), what=event, approved=event == "policy", voted=event != "policy")
    for slot in slots:
        slot.history.losses.append(loss)
        slot.log.append(f"{now_s():.3f} {loss}")
    if event == "policy":
        changed = await world.change_policy()
        loss.start_s, loss.end_s = changed.start_s, changed.end_s
        return
    await world.restart(kill=event == "kill")
    loss.end_s = now_s()


def _wait_for(postgres: PostgresServer, backends: set[int]) -> None:
    """What was released is over when the target's processes are gone."""
    deadline_s = now_s() + 30
    while left := backends & {int(row[0]) for row in postgres.execute("SELECT pid FROM pg_stat_activity")}:
        assert now_s() < deadline_s, f"the target still has {left}"
        time.sleep(0.05)


def _rows(postgres: PostgresServer) -> list[Ran]:
    sql = " UNION ALL ".join(f"SELECT marker, backend, extract(epoch FROM at) FROM {table}" for table in TABLES)
    rows = [Ran(str(marker), int(backend), float(at)) for marker, backend, at in postgres.execute(sql, database="shop")]
    postgres.execute(f"TRUNCATE {', '.join(TABLES)}", database="shop")
    return rows


def _check(slots: list[Slot], numbers: range, rows: list[Ran], seen: Counter[str]) -> None:
    for slot, number in zip(slots, numbers, strict=True):
        number = int(ONLY or number)
        mine = {sent.backend for sent in slot.history.sent}
        ran = [row for row in rows if row.marker.partition("-")[0] == str(number) and row.backend in mine]
        seen["ran"] += len(ran)
        seen["sent"] += len(slot.history.sent)
        seen["refused"] += sum(sent.refused for sent in slot.history.sent)
        seen["accepted votes"] += sum(bool(vote.accepted) for vote in slot.history.votes)
        seen["refused votes"] += sum(vote.accepted is False for vote in slot.history.votes)
        violations = list(slot.history.violations(ran))
        log = "\n".join(slot.log)
        assert not violations, f"RACE_SEED={SEED} RACE_ONLY={number}: {violations}\n{log}"
    numbered = {str(int(ONLY or number)) for number in numbers}
    strangers = [row for row in rows if row.marker.partition("-")[0] not in numbered]
    assert not strangers, f"RACE_SEED={SEED}: nobody was to send {strangers}"
