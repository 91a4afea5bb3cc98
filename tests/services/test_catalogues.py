"""One catalogue for everybody: who waits for which read, how old it may become, and what a failure leaves."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlock.core.catalogue import Catalogue, Relation, RelationKind
from interlock.core.errors import CatalogueUnavailable
from interlock.core.settings import ConnectionSettings, MaskingSettings
from interlock.runtime.tasks import spawn
from interlock.services.catalogues import Catalogues
from tests.clocks import ManualClock

PLACE = ("shop", "app")
REFRESH_S, MAX_STALE_S = 60.0, 600.0


def relation(name: str, oid: int = 1) -> Relation:
    return Relation(oid=oid, schema="public", name=name, kind=RelationKind.TABLE)


class Reader:
    """Answers with what ``content`` says when a read is let go; reads wait while ``held`` is set."""

    def __init__(self) -> None:
        self.content: Catalogue | Exception = Catalogue("1")
        self.begun = 0
        self._gate = asyncio.Event()
        self._gate.set()

    def hold(self) -> None:
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    async def read(self, connection: str, database: str) -> Catalogue:
        self.begun += 1
        content = self.content
        await self._gate.wait()
        if isinstance(content, Exception):
            raise content
        return content


class Bench:
    def __init__(self, trace: Callable[[Catalogue], Catalogue] = lambda catalogue: catalogue) -> None:
        self.reader = Reader()
        self.clock = ManualClock()
        self.connections = {"shop": self.settings()}
        self.catalogues = Catalogues(self.reader, trace, self.connections.get, self.clock, spawn)

    @staticmethod
    def settings(**changes: Any) -> ConnectionSettings:
        options = {"protocol": "postgres", "host": "db", "databases": ("app",), "user": "u", **changes}
        masking = MaskingSettings(refresh_s=REFRESH_S, max_stale_s=MAX_STALE_S)
        return ConnectionSettings(**options, masking=masking)

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if condition():
                return
            await asyncio.sleep(0.001)
        raise TimeoutError

    async def read_in_background(self) -> None:
        """Wait for what was begun without anybody waiting."""
        entry = self.catalogues._entries[PLACE]
        await self.until(lambda: entry.running is None and entry.waiting is None)


async def test_a_catalogue_is_read_once() -> None:
    bench = Bench()
    assert bench.catalogues.peek(*PLACE) is None
    bench.reader.hold()
    callers = [asyncio.ensure_future(bench.catalogues.get(*PLACE)) for _ in range(5)]
    await bench.until(lambda: bench.reader.begun == 1)
    callers.append(asyncio.ensure_future(bench.catalogues.get(*PLACE)))
    bench.reader.release()
    first, *others = await asyncio.gather(*callers)
    assert all(other is first for other in others)
    assert await bench.catalogues.get(*PLACE) is first
    assert bench.catalogues.peek(*PLACE) is first
    assert (bench.reader.begun, bench.catalogues.epoch) == (1, 1)


async def test_a_caller_that_gives_up_does_not_end_the_read_of_others() -> None:
    bench = Bench()
    bench.reader.hold()
    impatient = asyncio.ensure_future(bench.catalogues.get(*PLACE))
    patient = asyncio.ensure_future(bench.catalogues.get(*PLACE))
    await bench.until(lambda: bench.reader.begun == 1)
    impatient.cancel()
    bench.reader.release()
    assert (await patient).version == "1"


async def test_a_refresh_begins_after_the_call() -> None:
    bench = Bench()
    bench.reader.hold()
    early = asyncio.ensure_future(bench.catalogues.get(*PLACE))
    await bench.until(lambda: bench.reader.begun == 1)
    bench.reader.content = Catalogue("2")
    late = [asyncio.ensure_future(bench.catalogues.refresh(*PLACE)) for _ in range(3)]
    await asyncio.sleep(0)
    bench.reader.release()
    assert (await early).version == "1"
    assert {(await one).version for one in late} == {"2"}
    assert (bench.reader.begun, bench.catalogues.epoch) == (2, 2)


async def test_the_same_content_is_the_same_catalogue() -> None:
    traced = []

    def trace(catalogue: Catalogue) -> Catalogue:
        traced.append(catalogue.version)
        return catalogue

    bench = Bench(trace)
    first = await bench.catalogues.get(*PLACE)
    bench.reader.content = Catalogue("1")
    assert await bench.catalogues.refresh(*PLACE) is first
    assert (bench.catalogues.epoch, traced) == (1, ["1"])


async def test_a_change_that_was_seen_is_read_in_the_background() -> None:
    bench = Bench()
    bench.catalogues.expire(*PLACE)
    await bench.catalogues.get(*PLACE)
    bench.reader.content = Catalogue("2")
    bench.catalogues.expire(*PLACE)
    bench.catalogues.expire(*PLACE)
    assert bench.catalogues.peek(*PLACE) is not None
    await bench.read_in_background()
    assert (await bench.catalogues.get(*PLACE)).version == "2"
    assert bench.reader.begun == 2


async def test_a_change_during_the_first_read_is_read_again() -> None:
    bench = Bench()
    bench.reader.hold()
    first = asyncio.ensure_future(bench.catalogues.get(*PLACE))
    await bench.until(lambda: bench.reader.begun == 1)
    bench.reader.content = Catalogue("2")
    bench.catalogues.expire(*PLACE)
    bench.reader.release()
    await first
    await bench.read_in_background()
    assert (await bench.catalogues.get(*PLACE)).version == "2"


async def test_what_is_in_use_is_read_again_in_time() -> None:
    bench = Bench()
    await bench.catalogues.get(*PLACE)
    bench.clock.advance(REFRESH_S - 1)
    bench.catalogues.tick()
    await bench.read_in_background()
    assert bench.reader.begun == 1
    bench.clock.advance(1)
    bench.catalogues.tick()
    bench.catalogues.tick()
    await bench.read_in_background()
    assert bench.reader.begun == 2


async def test_what_nobody_uses_is_not_read_again() -> None:
    bench = Bench()
    await bench.catalogues.get(*PLACE)
    bench.clock.advance(MAX_STALE_S + 1)
    bench.catalogues.tick()
    await bench.read_in_background()
    assert bench.reader.begun == 1
    assert bench.catalogues.peek(*PLACE) is None
    await bench.catalogues.get(*PLACE)
    assert bench.reader.begun == 2


async def test_a_read_that_fails_leaves_the_old_one_for_a_while() -> None:
    bench = Bench()
    old = await bench.catalogues.get(*PLACE)
    bench.reader.content = CatalogueUnavailable("the target is gone")
    for _ in range(int(MAX_STALE_S / REFRESH_S)):
        bench.clock.advance(REFRESH_S)
        bench.catalogues.tick()
        assert bench.catalogues.peek(*PLACE) is old
        await bench.read_in_background()
    assert bench.catalogues.epoch == 1
    bench.clock.advance(1)
    assert bench.catalogues.peek(*PLACE) is None  # even before the timer notices
    bench.catalogues.tick()
    assert bench.catalogues.epoch == 2
    with pytest.raises(CatalogueUnavailable, match="the target is gone"):
        await bench.catalogues.get(*PLACE)
    bench.reader.content = Catalogue("1")
    assert (await bench.catalogues.get(*PLACE)).version == "1"
    assert bench.catalogues.epoch == 3


async def test_the_age_counts_from_the_beginning_of_the_read() -> None:
    bench = Bench()
    bench.reader.hold()
    reading = asyncio.ensure_future(bench.catalogues.get(*PLACE))
    await bench.until(lambda: bench.reader.begun == 1)
    bench.clock.advance(MAX_STALE_S)
    bench.reader.release()
    await reading
    assert bench.catalogues.peek(*PLACE) is not None
    bench.clock.advance(1)
    assert bench.catalogues.peek(*PLACE) is None


async def test_every_failure_is_an_error_for_whoever_waits() -> None:
    bench = Bench()
    bench.reader.content = CatalogueUnavailable("no")
    results = await asyncio.gather(*(bench.catalogues.get(*PLACE) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [CatalogueUnavailable] * 3
    bench.reader.content = ValueError("planted-secret")
    with pytest.raises(CatalogueUnavailable, match="cannot be made: ValueError") as caught:
        await bench.catalogues.refresh(*PLACE)
    assert "planted-secret" not in str(caught.value)
    assert bench.catalogues.peek(*PLACE) is None


async def test_lineage_that_cannot_be_traced_is_no_catalogue() -> None:
    def broken(_catalogue: Catalogue) -> Catalogue:
        raise RecursionError

    bench = Bench(broken)
    with pytest.raises(CatalogueUnavailable, match="RecursionError"):
        await bench.catalogues.get(*PLACE)
    assert bench.catalogues.peek(*PLACE) is None


async def test_what_is_not_configured_is_not_read() -> None:
    bench = Bench()
    for place in (("other", "app"), ("shop", "other")):
        with pytest.raises(CatalogueUnavailable, match="there is no database"):
            await bench.catalogues.get(*place)
    assert bench.reader.begun == 0


async def test_a_connection_that_leads_elsewhere_begins_anew() -> None:
    bench = Bench()
    bench.reader.content = Catalogue("1", (relation("staff"),))
    await bench.catalogues.get(*PLACE)
    bench.connections["shop"] = bench.settings(host="other")
    bench.reader.content = Catalogue("2", (relation("people"),))
    catalogue = await bench.catalogues.get(*PLACE)
    assert [(one.name, one.known_as) for one in catalogue.relations] == [("people", ())]


async def test_a_rename_is_remembered_even_when_the_catalogue_was_given_up() -> None:
    bench = Bench()
    bench.reader.content = Catalogue("1", (relation("users"),))
    await bench.catalogues.get(*PLACE)
    bench.clock.advance(MAX_STALE_S + 1)
    bench.catalogues.tick()
    bench.reader.content = Catalogue("2", (relation("resu"),))
    catalogue = await bench.catalogues.get(*PLACE)
    assert [(one.name, one.known_as) for one in catalogue.relations] == [("resu", (("public", "users"),))]
    assert await bench.catalogues.refresh(*PLACE) is catalogue


async def test_closing_ends_what_is_being_read() -> None:
    bench = Bench()
    bench.reader.hold()
    waiting = asyncio.ensure_future(bench.catalogues.get(*PLACE))
    await bench.until(lambda: bench.reader.begun == 1)
    bench.catalogues.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
