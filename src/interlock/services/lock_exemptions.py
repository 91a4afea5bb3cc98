"""Exemptions: whom a lock does not concern for a while, by whom and why.

Fails closed: what is not on record, kept and timed is not an exemption. At its end it is over first, and what is slow
comes after that.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from interlock.core.administration import Done
from interlock.core.errors import AdministrationRefused, LedgerUnavailable, NotFound, StateUnavailable
from interlock.core.identity import Actor
from interlock.core.ledger import AccessRefused, AnyRecord, LockExempted, LockExemptionEnded
from interlock.core.lock import (
    EXEMPTIBLE,
    MAX_EXEMPTION_S,
    MAX_EXEMPTIONS,
    Exemption,
    Lock,
    LockSubject,
    concerns_anew,
    sentence,
)
from interlock.services.approvals.steady_time import SteadyTime
from interlock.services.cutting import Cases, Order
from interlock.services.lock_parts import LockParts
from interlock.services.locks import GATEWAY, Locks, void

EXPIRED: Final = "expired"
NO_TIME: Final = "the gateway cannot tell the time"

log = structlog.get_logger()


class _Ended(msgspec.Struct, frozen=True):
    """One that is over, and what is still to be done about it.

    ``before`` is the lock with it; ``recorded`` says what is wrong with its record, or is to be waited for.
    """

    lock: Lock
    before: Lock
    exemption: Exemption
    order: Order
    cases: Cases
    recorded: asyncio.Future[None] | str | None


class Exemptions:
    """Gives and ends them. ``expire`` and ``settle`` are to be called again and again."""

    def __init__(self, locks: Locks, parts: LockParts) -> None:
        self._locks = locks
        self._store = parts.store
        self._live = parts.live
        self._cutting = parts.cutting
        self._kinship = parts.kinship
        self._approvals = parts.approvals
        self._ledger = parts.ledger
        self._clock = parts.clock
        self._time = SteadyTime(parts.clock)
        self._ended: list[_Ended] = []
        self._unforgotten: list[tuple[str, Exemption]] = []

    # ------------------------------------------------------------ giving

    async def add(
        self, lock_id: str, kind: LockSubject, subject: str, for_s: float, reason: str, actor: Actor
    ) -> Exemption:
        """Exempt somebody from a lock; one that he has is replaced.

        Raises ``NotFound`` without the lock; ``AdministrationRefused`` for what cannot be exempted and when lock or
        exemption is about the actor under any of its names, which is on record by then; ``LedgerUnavailable`` and
        ``StateUnavailable`` when there is therefore no exemption.
        """
        lock = self._locks.find(lock_id)
        exemption = self._new(lock, kind, subject, for_s, reason, actor.name)
        await self._check_may_exempt(lock, exemption, actor)
        await self._accept(LockExempted(lock.id, kind.value, subject, reason, actor.name, exemption.ends_at_s))
        try:
            await self._store.save_exemption(lock.id, exemption)
            lock = self._locks.find(lock.id)
            self._locks.exempt(lock.id, (*_others(lock, kind, subject), exemption))
        except (NotFound, StateUnavailable) as error:
            await self._undo(lock, exemption, str(error))
            raise StateUnavailable(f"nobody is exempted: {error}") from error
        return exemption

    def _new(self, lock: Lock, kind: LockSubject, subject: str, for_s: float, reason: str, by: str) -> Exemption:
        if kind not in EXEMPTIBLE or not subject:
            raise AdministrationRefused("only a user, agent, owner or group can be exempted from a lock, by name")
        if not 0 < for_s <= MAX_EXEMPTION_S:
            raise AdministrationRefused(f"an exemption lasts {MAX_EXEMPTION_S // 3600} hours at most")
        if len(_others(lock, kind, subject)) >= MAX_EXEMPTIONS:
            raise AdministrationRefused(f"a lock has {MAX_EXEMPTIONS} exemptions at most: exempt a group instead")
        now_s = self._now_s()
        if now_s is None:
            raise StateUnavailable(NO_TIME)
        return Exemption(kind, subject, reason, by, now_s, now_s + for_s)

    async def _undo(self, lock: Lock, exemption: Exemption, reason: str) -> None:
        """Put on record that there is none. One that this one was to replace is over, too."""
        standing = _of(self._locks.all(), lock.id, exemption.subject_kind, exemption.subject)
        if standing is None:
            await self._accept(_end_record(lock, exemption, GATEWAY, reason))
        else:
            await self._finish(self._end(lock.id, standing, GATEWAY, reason))

    async def _check_may_exempt(self, lock: Lock, exemption: Exemption, actor: Actor) -> None:
        why = self._kinship.bars_exempting(actor.principal, lock, exemption)
        if why is not None:
            await self._accept(AccessRefused(actor.name, "locks.exempt", lock.id, why))
            raise AdministrationRefused(why)

    # ------------------------------------------------------------ ending

    async def end(self, lock_id: str, kind: LockSubject, subject: str, reason: str, actor: Actor) -> Done:
        """Have a lock concern somebody again; says what became of sessions. Raises ``NotFound``, ``StateUnavailable``.

        What fails is among the warnings: it is over then all the same.
        """
        exemption = _of([self._locks.find(lock_id)], lock_id, kind, subject)
        if exemption is None:
            raise NotFound(f"{kind.value} {subject!r} is not exempt from lock {lock_id!r}")
        return await self._finish(self._end(lock_id, exemption, actor.name, reason))

    def expire(self) -> None:
        """End what has come to its end, or cannot be timed; ``settle`` does what is slow about it. Never raises."""
        now_s = self._now_s()
        due = [
            (lock.id, exemption)
            for lock in self._locks.all()
            for exemption in lock.exemptions
            if now_s is None or not exemption.begins_at_s <= now_s < exemption.ends_at_s
        ]
        for lock_id, exemption in due:
            try:
                self._ended.append(self._end(lock_id, exemption, GATEWAY, NO_TIME if now_s is None else EXPIRED))
            except Exception as error:  # noqa: BLE001 - the others must end all the same
                log.error("end of an exemption", lock=lock_id, error=type(error).__name__)

    async def settle(self) -> None:
        """See to it that what ``expire`` has ended is so at the targets and in the store. Never raises."""
        unforgotten, self._unforgotten = self._unforgotten, []
        for lock_id, exemption in unforgotten:
            await self._forget(lock_id, exemption)
        ended, self._ended = self._ended, []
        for done in await asyncio.gather(*map(self._finish, ended)):
            for warning in done.warnings:
                log.error("end of an exemption", warning=warning)

    def _end(self, lock_id: str, exemption: Exemption, by: str, reason: str) -> _Ended:
        """It is over when this returns."""
        before = self._locks.find(lock_id)
        left = _others(before, exemption.subject_kind, exemption.subject)
        lock = self._locks.exempt(lock_id, left)
        order = Order(sentence(lock), by, self._clock.monotonic_s(), lock.id)
        recorded = self._record(_end_record(lock, exemption, by, reason))
        again = [
            live
            for live, session in ((live, live.session) for live in self._live.all())
            if concerns_anew(lock, before, session.principal, session.connection, session.trace)
        ]
        return _Ended(lock, before, exemption, order, self._cutting.lock(again, lock.mode, order), recorded)

    async def _finish(self, ended: _Ended) -> Done:
        not_recorded, not_forgotten, (voided, not_voided), carried = await asyncio.gather(
            _wait_for(ended.recorded),
            self._forget(ended.lock.id, ended.exemption),
            void(self._approvals, ended.lock, ended.before),
            self._cutting.verify(ended.cases, ended.order),
        )
        warnings = tuple(filter(None, (not_recorded, not_forgotten, not_voided, *carried.warnings)))
        whom = f"{ended.exemption.subject_kind.value} {ended.exemption.subject}"
        text = f"Lock {ended.lock.id} concerns {whom} again."
        return Done(text, carried.sessions, voided, warnings)

    async def _forget(self, lock_id: str, exemption: Exemption) -> str:
        """Returns what went wrong with that; it is tried again then."""
        try:
            await self._store.remove_exemption(lock_id, exemption)
        except StateUnavailable as error:
            self._unforgotten.append((lock_id, exemption))
            return f"the exemption is over, but a restart now would bring it back until its time ends: {error}"
        return ""

    # ------------------------------------------------------------ what all of them need

    def _now_s(self) -> float | None:
        """None when the clock cannot be read."""
        try:
            return self._time.now_s()
        except OSError:
            return None

    def _record(self, record: AnyRecord) -> asyncio.Future[None] | str | None:
        try:
            return self._ledger.append(record)
        except LedgerUnavailable as error:
            return _unrecorded(error)

    async def _accept(self, record: AnyRecord) -> None:
        waiting = self._ledger.append(record)
        if waiting is not None:
            await waiting


async def _wait_for(recorded: asyncio.Future[None] | str | None) -> str:
    """What went wrong with recording."""
    if recorded is None or isinstance(recorded, str):
        return recorded or ""
    try:
        await recorded
    except LedgerUnavailable as error:
        return _unrecorded(error)
    return ""


def _unrecorded(error: LedgerUnavailable) -> str:
    return f"the exemption is over, but the ledger does not take that: {error}"


def _of(locks: Iterable[Lock], lock_id: str, kind: LockSubject, subject: str) -> Exemption | None:
    """The exemption of this subject from the lock with this id."""
    found = (one for lock in locks if lock.id == lock_id for one in lock.exemptions)
    return next((one for one in found if (one.subject_kind, one.subject) == (kind, subject)), None)


def _others(lock: Lock, kind: LockSubject, subject: str) -> tuple[Exemption, ...]:
    """The lock's exemptions but that of this subject."""
    return tuple(one for one in lock.exemptions if (one.subject_kind, one.subject) != (kind, subject))


def _end_record(lock: Lock, exemption: Exemption, by: str, reason: str) -> LockExemptionEnded:
    return LockExemptionEnded(lock.id, exemption.subject_kind.value, exemption.subject, by, reason)
