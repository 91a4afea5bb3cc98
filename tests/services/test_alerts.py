"""A storm of denials is one alert, on record before anybody is told or locked."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from interlock.core.errors import AdministrationRefused, LedgerUnavailable
from interlock.core.identity import Principal
from interlock.core.ledger import AlertRaised, AnyRecord
from interlock.core.settings import AlertSettings
from interlock.services import alerts as module
from interlock.services.alerts import DenialAlerts
from tests.clocks import ManualClock
from tests.services.policy.examples import agent, user

SETTINGS = AlertSettings(denials=5, denials_window_s=60.0)


class Watch:
    """Alerts with everything around them; ``events`` says in which order what happened."""

    def __init__(self, settings: AlertSettings = SETTINGS) -> None:
        self.clock = ManualClock()
        self.events: list[object] = []
        self.failure: Exception | None = None
        self.later: asyncio.Future[None] | None = None
        self.tasks: list[asyncio.Future[object]] = []
        self.alerts = DenialAlerts(settings, self, self.clock, self.spawn, self, self)

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> object:
        self.tasks.append(asyncio.ensure_future(work))
        return None

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        if self.failure is not None:
            raise self.failure
        self.events.append(record)
        return self.later

    def note(self, record: AnyRecord) -> None:
        raise AssertionError("an alert is waited for")

    async def alert(self, alert: AlertRaised) -> None:
        self.events.append("told")

    async def trip(self, principal: Principal, run: str, alert: AlertRaised) -> None:
        self.events.append(("locked", principal.name, run))

    async def deny(self, times: int, principal: Principal | None = None, run: str = "") -> None:
        for _ in range(times):
            self.alerts.note(principal or agent(), run)
        await self.settle()

    async def settle(self) -> None:
        for task in self.tasks:
            await task

    @property
    def raised(self) -> list[int]:
        return [event.count for event in self.events if isinstance(event, AlertRaised)]


async def test_below_the_limit_nothing_happens() -> None:
    watch = Watch()
    await watch.deny(4)
    await watch.deny(4, agent(name="ci-2"))
    await watch.deny(4, user(name="ci-1"))
    assert watch.events == []
    watch.clock.advance(62)
    await watch.deny(4)
    assert watch.events == []


async def test_a_storm_is_one_alert() -> None:
    watch = Watch()
    await watch.deny(1000)
    (alert, locked, told) = watch.events
    assert isinstance(alert, AlertRaised)
    assert (alert.alert, alert.principal, alert.count) == ("denials", "ci-1", 5)
    assert alert.text == "Agent ci-1 was denied 5 times, 5 of them or more within 60 s"
    assert locked == ("locked", "ci-1", "")
    assert told == "told"


async def test_a_storm_that_goes_on_is_told_of_once_a_window() -> None:
    watch = Watch()
    for _ in range(30):
        await watch.deny(5)
        watch.clock.advance(10)
    assert watch.raised == [5, 31, 61, 91, 121]
    watch.clock.advance(120)
    await watch.deny(4)
    await watch.deny(1)
    assert watch.raised[5:] == [5], "this is another storm"
    assert watch.alerts.counts.denials == 6


async def test_every_identity_has_its_own() -> None:
    watch = Watch()
    await watch.deny(5)
    await watch.deny(5, agent(name="ci-2"))
    assert watch.raised == [5, 5]


async def test_it_can_be_turned_off() -> None:
    watch = Watch(AlertSettings(denials=0))
    await watch.deny(1000)
    assert watch.events == []


async def test_the_lock_is_told_of_the_run_of_the_last_denial() -> None:
    watch = Watch()
    await watch.deny(4, run="first")
    await watch.deny(1, run="second")
    assert watch.events[1:] == [("locked", "ci-1", "second"), "told"]


async def test_nothing_follows_before_it_is_on_record() -> None:
    watch = Watch(AlertSettings(denials=1))
    watch.later = asyncio.get_running_loop().create_future()
    watch.alerts.note(agent())
    await asyncio.sleep(0)
    assert len(watch.events) == 1
    watch.later.set_result(None)
    await watch.settle()
    assert len(watch.events) == 3


async def test_what_cannot_be_recorded_has_no_consequences() -> None:
    watch = Watch(AlertSettings(denials=1))
    watch.failure = LedgerUnavailable("disk full")
    await watch.deny(3)
    assert watch.events == []


async def test_people_are_told_although_the_lock_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise AdministrationRefused("no")

    watch = Watch(AlertSettings(denials=1))
    monkeypatch.setattr(watch, "trip", fail)
    await watch.deny(1)
    assert watch.events[1:] == ["told"]
    monkeypatch.setattr(watch, "alert", fail)
    await watch.deny(1, agent(name="ci-2"))
    assert len(watch.events) == 3


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IDENTITIES", 3)
    watch = Watch(AlertSettings(denials=1))
    for number in range(10):
        await watch.deny(1, agent(name=f"a{number}"))
    assert len(watch.raised) == 3
    watch.clock.advance(62)
    for number in range(10, 14):
        await watch.deny(1, agent(name=f"a{number}"))
    assert len(watch.raised) > 3


async def test_a_storm_is_of_who_acts_for_whomever() -> None:
    watch = Watch()
    await watch.deny(3, user(name="ada", acting=(agent(),)))
    await watch.deny(1, user(name="eve", acting=(agent(),)), "r1")
    assert watch.events == []
    await watch.deny(1, user(name="eve", acting=(agent(),)), "r1")
    alert, locked, _ = watch.events
    assert isinstance(alert, AlertRaised)
    assert alert.principal == "ci-1"
    assert alert.text.endswith("; at last it acted for eve")
    assert locked == ("locked", "ci-1", "r1")
    await watch.deny(4, user(name="eve"))
    assert len(watch.events) == 3
