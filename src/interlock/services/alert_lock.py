"""Lets an alert lock whom it is about: for a while, under the gateway's name, and never twice for the same thing.

Decides nothing about denials: what was denied stays so, whether the lock succeeds or not.
"""

from typing import Final

import structlog

from interlock.core.errors import StateUnavailable
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.ledger import AlertRaised
from interlock.core.lock import LockMode, LockSubject
from interlock.core.settings import AlertLock, AlertLockSubject, AlertSettings
from interlock.services.locks import GATEWAY, Locks
from interlock.services.ports import Clock

_MODES: Final = {AlertLock.FREEZE: LockMode.FREEZE, AlertLock.REFUSE: LockMode.REFUSE}

log = structlog.get_logger()


class AlertLocks:
    """Implements ``services.alerts.AlertLocker``."""

    def __init__(self, settings: AlertSettings, locks: Locks, clock: Clock) -> None:
        self._mode = _MODES.get(settings.lock)
        self._lock_s = settings.lock_s
        self._subject = settings.lock_on
        self._locks = locks
        self._clock = clock
        self._under_way: set[tuple[LockSubject, str]] = set()

    async def trip(self, principal: Principal, run: str, alert: AlertRaised) -> None:
        """Lock the identity or its run, unless nobody of it gets in as it is.

        Raises ``LedgerUnavailable`` and ``StateUnavailable`` when there is no lock. One that is in force, but that the
        store has not taken or that could not be verified, is logged.
        """
        subject = self._about(principal, run)
        if self._mode is None or subject in self._under_way or self._is_kept_out(subject):
            return
        self._under_way.add(subject)
        try:
            receipt = await self._locks.add(
                *subject,
                self._mode,
                alert.text,
                GATEWAY,
                expires_at_s=self._now_s() + self._lock_s,
                cause=f"alert {alert.alert}",
            )
        finally:
            self._under_way.discard(subject)
        log.warning("locked after an alert", lock=receipt.lock.id, sessions=len(receipt.sessions))
        for warning in receipt.warnings:
            log.error("lock after an alert", lock=receipt.lock.id, warning=warning)

    def _about(self, principal: Principal, run: str) -> tuple[LockSubject, str]:
        if self._subject is AlertLockSubject.RUN and run:
            return LockSubject.RUN, run
        kind = LockSubject.AGENT if principal.kind is PrincipalKind.AGENT else LockSubject.USER
        return kind, principal.name

    def _is_kept_out(self, subject: tuple[LockSubject, str]) -> bool:
        modes = (LockMode.REFUSE, self._mode)
        return any(lock.mode in modes and not lock.exemptions for lock in self._locks.on(*subject))

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None
