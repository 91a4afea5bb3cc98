"""Notices storms of denials: one alert for each identity, however long it goes on, and what follows from it.

Where somebody acts for a principal, the storm is of who acts.

An alert is on the ledger before anybody is told or locked. Noting a denial costs a few counts and never waits; what is
remembered is bounded.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from interlock.core.budget import Book, BookFull, Window
from interlock.core.errors import InterlockError
from interlock.core.identity import Principal
from interlock.core.ledger import AlertRaised
from interlock.core.settings import AlertSettings
from interlock.services.ports import Clock, Ledger

log = structlog.get_logger()

MAX_IDENTITIES = 20_000
"""Identities whose denials are counted at a time; more are not, until the denials of others are long ago."""
_SWEPT_AT_ONCE = 50

Spawn = Callable[[Coroutine[Any, Any, object], str], object]


class AlertNotifier(Protocol):
    """Tells people."""

    async def alert(self, alert: AlertRaised) -> None:
        """Pass an alert on. Raises ``InterlockError`` when that fails."""


class AlertLocker(Protocol):
    """Stops whom an alert is about."""

    async def trip(self, principal: Principal, run: str, alert: AlertRaised) -> None:
        """Lock the identity, or the run that it was in; what is locked already stays so. Raises ``InterlockError``."""


class _Storm:
    """The denials of one identity while there are too many."""

    def __init__(self) -> None:
        self.count = 0
        self.told_at_s = 0.0


class AlertCounts:
    """Alerts since the start, by kind; one that is told of again counts again."""

    def __init__(self) -> None:
        self.denials = 0


class DenialAlerts:
    """Counts denials by identity. ``spawn`` has something done that takes waiting."""

    def __init__(
        self,
        settings: AlertSettings,
        ledger: Ledger,
        clock: Clock,
        spawn: Spawn,
        notifier: AlertNotifier | None = None,
        locker: AlertLocker | None = None,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._spawn = spawn
        self._notifier = notifier
        self._locker = locker
        self._book = Book(MAX_IDENTITIES)
        self._storms: dict[str, _Storm] = {}
        self.counts = AlertCounts()

    def note(self, principal: Principal, run: str = "") -> None:
        """Something was denied to this principal in this run. Raises ``OSError`` when there is no clock."""
        acts_for = principal.name if principal.actor is not None else ""
        principal = principal.actor or principal
        settings = self._settings
        if settings.denials == 0:
            return
        now_s = self._clock.now_s()
        window = self._window(f"{principal.kind.value}:{principal.name}", now_s)
        if window is None:
            return
        count = window.count(now_s) + 1
        window.charge(1, 1)
        window.take_unkept()
        storm = self._storms.get(window.key)
        if count < settings.denials:
            if storm is not None and now_s - storm.told_at_s >= settings.denials_window_s:
                del self._storms[window.key]
            return
        if storm is None:
            storm = self._storms[window.key] = _Storm()
            storm.count = count - 1
        storm.count += 1
        if now_s - storm.told_at_s >= settings.denials_window_s:
            storm.told_at_s = now_s
            self._raise(principal, run, storm.count, acts_for)

    def _window(self, key: str, now_s: float) -> Window | None:
        self._book.touched.clear()
        for retired in self._book.sweep(now_s, _SWEPT_AT_ONCE):
            self._storms.pop(retired.key, None)
        try:
            return self._book.window(key, self._settings.denials_window_s)
        except BookFull:
            log.warning("denials not counted", reason="too many identities are denied things")
            return None

    def _raise(self, principal: Principal, run: str, count: int, acts_for: str) -> None:
        self.counts.denials += 1
        settings = self._settings
        often = f"{settings.denials} of them or more within {settings.denials_window_s:g} s"
        text = f"{principal.kind.value} {principal.name} was denied {count} times, {often}"
        text += f"; at last it acted for {acts_for}" if acts_for else ""
        log.warning("alert", alert="denials", principal=principal.name, count=count)
        self._spawn(self._act(principal, run, AlertRaised("denials", principal.name, text, count)), "alert")

    async def _act(self, principal: Principal, run: str, alert: AlertRaised) -> None:
        """Record, lock, tell: what fails is logged, and what does not depend on it is done."""
        try:
            accepted = self._ledger.append(alert)
            if accepted is not None:
                await accepted
        except InterlockError as error:
            log.error("alert not recorded, so nothing follows from it", error=str(error))
            return
        if self._locker is not None:
            try:
                await self._locker.trip(principal, run, alert)
            except InterlockError as error:
                log.error("nobody locked after an alert", principal=principal.name, error=str(error))
        if self._notifier is not None:
            try:
                await self._notifier.alert(alert)
            except InterlockError as error:
                log.error("nobody told of an alert", error=str(error))
