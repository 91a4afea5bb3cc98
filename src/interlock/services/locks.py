"""Locks: who may do nothing, or less, from now on. All in force are in memory; the store keeps them for a restart.

Fails closed: before the locks are loaded nobody gets in, and one that cannot be recorded as lifted stays in force.
"""

import asyncio
import secrets
from collections.abc import Collection
from typing import Final, Protocol

import msgspec
import structlog

from interlock.core.errors import AdministrationRefused, LedgerUnavailable, NotFound, StateUnavailable
from interlock.core.identity import Actor, Principal
from interlock.core.ledger import AccessRefused, AnyRecord, LockAdded, LockRemoved
from interlock.core.lock import (
    Exemption,
    Lock,
    LockMode,
    LockReceipt,
    LockSubject,
    Restriction,
    concerns,
    restriction_of,
    sentence,
)
from interlock.core.run import run_of
from interlock.core.session import SESSION_ID_ENTROPY_BYTES, new_session_id
from interlock.services.cutting import Order
from interlock.services.live import ApprovalVoider, LiveSession
from interlock.services.lock_index import LockIndex
from interlock.services.lock_parts import LockParts

TICK_S: Final = 0.25
"""How often ``expire`` is to be called."""
EXPIRE_AGAIN_S: Final = 30.0
"""When what could not be lifted at its end is tried again: each time puts it on record twice."""
GATEWAY: Final = "gateway"
"""Who it was when nobody gave a command."""

log = structlog.get_logger()


class LockListener(Protocol):
    """Is told of locks, by the way: neither method waits or raises."""

    def lock_added(self, lock: Lock) -> None:
        """It is in force."""

    def lock_removed(self, lock: Lock, by: str, reason: str) -> None:
        """It is lifted."""


class Locks:
    """The locks in force and what they do. ``load`` comes first."""

    def __init__(self, parts: LockParts) -> None:
        self._store = parts.store
        self._live = parts.live
        self._cutting = parts.cutting
        self._kinship = parts.kinship
        self._approvals = parts.approvals
        self._ledger = parts.ledger
        self._clock = parts.clock
        self._index: LockIndex | None = None
        self._next_end_s: float | None = None
        self.listeners: list[LockListener] = []
        self.epoch = 0
        """Grows with every change of what is in force."""
        self.masking_epoch = 0
        """Grows with every change of locks that mask."""

    def load(self) -> None:
        """Take up the locks of the store. Raises ``StateUnavailable``: then nobody gets in."""
        index = LockIndex()
        for lock in self._store.all():
            index.add(lock)
        self._index = index
        self._changed()
        self.masking_epoch += 1

    # ------------------------------------------------------------ what is in force

    def restriction(self, principal: Principal, connection: str, run: str) -> Restriction | None:
        """What is in force for a session; it stays so while ``epoch`` does. Raises ``StateUnavailable``."""
        return restriction_of(self._loaded().concerning(principal, connection, run))

    def all(self) -> Collection[Lock]:
        """The locks in force. Raises ``StateUnavailable``."""
        return self._loaded().all()

    def find(self, lock_id: str) -> Lock:
        """The lock with this id. Raises ``NotFound``, ``StateUnavailable``."""
        lock = self._loaded().find(lock_id)
        if lock is None:
            raise NotFound(f"there is no lock {lock_id!r} in force")
        return lock

    def on(self, kind: LockSubject, subject: str) -> tuple[Lock, ...]:
        """The locks on exactly this subject. Raises ``StateUnavailable``."""
        return self._loaded().on(kind, subject)

    def about(self, principal: Principal) -> list[Lock]:
        """The locks on a principal, wherever it goes, whether exempt or not. Raises ``StateUnavailable``."""
        return self._loaded().about(principal, "", "")

    def bar_on(self, principal: Principal) -> str | None:
        """Why this person may not use the gateway itself, None when nothing speaks against it.

        A lock on everything is about sessions. Raises ``StateUnavailable``.
        """
        concerning = self._loaded().concerning(principal, "", "")
        restriction = restriction_of([lock for lock in concerning if lock.subject_kind is not LockSubject.EVERYTHING])
        return restriction.message if restriction is not None and restriction.keeps_out else None

    # ------------------------------------------------------------ adding

    async def add(
        self,
        kind: LockSubject,
        subject: str,
        mode: LockMode,
        reason: str,
        by: str,
        *,
        expires_at_s: float | None = None,
        cause: str = "command",
        issued_before_s: float | None = None,
    ) -> LockReceipt:
        """Lock somebody or something, and see to it that it is so. Times are Unix time.

        Raises ``AdministrationRefused`` for what cannot be locked, ``LedgerUnavailable`` when it cannot be recorded and
        ``StateUnavailable`` before anything has happened. What fails later is among the receipt's warnings: the lock is
        in force then.
        """
        started_s = self._clock.monotonic_s()
        lock = self._new(kind, subject, mode, reason, by, expires_at_s, cause)
        lock = msgspec.structs.replace(lock, issued_before_s=issued_before_s)
        await self._accept(_added(lock))
        self._put(lock)
        for listener in self.listeners:
            listener.lock_added(lock)
        order = Order(sentence(lock), by, started_s, lock.id)
        cases = self._cutting.lock(self._concerned(lock), mode, order)
        not_kept, (voided, not_voided), carried = await asyncio.gather(
            self._keep(lock), void(self._approvals, lock), self._cutting.verify(cases, order)
        )
        warnings = tuple(filter(None, (not_kept, not_voided, *carried.warnings)))
        return LockReceipt(lock, carried.sessions, voided, warnings, kept=not not_kept)

    def _new(
        self,
        kind: LockSubject,
        subject: str,
        mode: LockMode,
        reason: str,
        by: str,
        expires_at_s: float | None,
        cause: str,
    ) -> Lock:
        if (kind is LockSubject.EVERYTHING) != (not subject):
            wanted = "takes no name" if kind is LockSubject.EVERYTHING else "needs a name"
            raise AdministrationRefused(f"a lock on {kind.value} {wanted}")
        self._loaded()
        now_s = self._now_s()
        if expires_at_s is not None and expires_at_s <= now_s:
            raise AdministrationRefused("the lock would have ended already")
        lock_id = new_session_id(int(now_s * 1e9), secrets.token_bytes(SESSION_ID_ENTROPY_BYTES))
        subject = run_of(subject) or subject if kind is LockSubject.RUN else subject
        return Lock(lock_id, kind, subject, mode, reason, by, now_s, expires_at_s, cause)

    def _put(self, lock: Lock) -> None:
        self._loaded().add(lock)
        self._changed(lock)

    async def keep(self, lock: Lock) -> None:
        """Keep a lock that is in force, whether it is kept or not. Raises ``StateUnavailable``."""
        await self._store.save(lock)

    async def _keep(self, lock: Lock) -> str:
        try:
            await self._store.save(lock)
        except Exception as error:  # noqa: BLE001 - whatever it was, the lock is in force and must stay so
            log.error("lock not kept", lock=lock.id, error=str(error) or type(error).__name__)
            return f"the lock is in force, but ends with this process: it could not be kept ({error})"
        return ""

    # ------------------------------------------------------------ lifting

    async def remove(self, lock_id: str, actor: Actor, reason: str) -> Lock:
        """Lift a lock on behalf of somebody who may; returns it.

        Raises ``AdministrationRefused`` when there is none or when it is on the actor under any of its names, which is
        on record by then; ``LedgerUnavailable`` and ``StateUnavailable`` when the lock therefore stays.
        """
        lock = self.find(lock_id)
        await self.check_may_lift(lock, actor)
        await self.lift(lock, actor.name, reason)
        return lock

    async def check_may_lift(self, lock: Lock, actor: Actor) -> None:
        """Raises as ``remove`` when the actor may not lift the lock."""
        why = self._kinship.bars(actor.principal, lock)
        if why is not None:
            await self._accept(AccessRefused(actor.name, "locks.remove", lock.id, why))
            raise AdministrationRefused(why)

    async def expire(self) -> None:
        """Lift what has come to its end. What cannot be recorded or forgotten stays in force. Never raises."""
        if self._next_end_s is None:
            return
        try:
            now_s = self._now_s()
            if now_s < self._next_end_s:
                return
            self._next_end_s = now_s + EXPIRE_AGAIN_S
            for lock in [lock for lock in self.all() if lock.expires_at_s and lock.expires_at_s <= now_s]:
                await self.lift(lock, GATEWAY, "expired")
        except (LedgerUnavailable, StateUnavailable) as error:
            log.error("a lock does not end", error=str(error))

    async def lift(self, lock: Lock, by: str, reason: str) -> None:
        """As ``remove``, for a caller that has found out itself who may have it lifted."""
        await self._accept(LockRemoved(lock.id, by, reason))
        try:
            await self._store.remove(lock.id)
        except StateUnavailable as error:
            await self._accept(_added(lock))
            raise StateUnavailable(f"the lock stays in force: {error}") from error
        self._loaded().discard(lock)
        self._changed(lock)
        self._thaw()
        for listener in self.listeners:
            listener.lock_removed(lock, by, reason)

    def _thaw(self) -> None:
        for live in self._live.all():
            if live.state == "frozen":
                session = live.session
                left = self.restriction(session.principal, session.connection, session.trace)
                if left is None or LockMode.FREEZE not in left.modes:
                    live.thaw()

    # ------------------------------------------------------------ exemptions

    def exempt(self, lock_id: str, exemptions: tuple[Exemption, ...]) -> Lock:
        """Say whom a lock does not concern, at once; returns it. Sessions are not stopped by that, only thawed.

        Raises ``NotFound``, ``StateUnavailable``.
        """
        lock = msgspec.structs.replace(self.find(lock_id), exemptions=exemptions)
        self._loaded().replace(lock)
        self._changed(lock)
        self._thaw()
        return lock

    # ------------------------------------------------------------ what all of them need

    def _concerned(self, lock: Lock) -> list[LiveSession]:
        return [
            live
            for live in self._live.all()
            if concerns(lock, live.session.principal, live.session.connection, live.session.trace)
        ]

    def _changed(self, lock: Lock | None = None) -> None:
        self.epoch += 1
        if lock is not None and lock.mode is LockMode.MASK_ALL:
            self.masking_epoch += 1
        ends = [lock.expires_at_s for lock in self._loaded().all() if lock.expires_at_s is not None]
        self._next_end_s = min(ends, default=None)

    def _loaded(self) -> LockIndex:
        if self._index is None:
            raise StateUnavailable("it is not known what is locked")
        return self._index

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None

    async def _accept(self, record: AnyRecord) -> None:
        waiting = self._ledger.append(record)
        if waiting is not None:
            await waiting


async def void(approvals: ApprovalVoider, lock: Lock, before: Lock | None = None) -> tuple[int, str]:
    """How many approvals were made void, and what went wrong with that."""
    try:
        return await approvals.void_matching(lock, before), ""
    except Exception as error:  # noqa: BLE001 - the lock is in force all the same
        log.error("approvals not made void", lock=lock.id, error=type(error).__name__)
        return 0, f"approvals could not be made void: {type(error).__name__}"


def _added(lock: Lock) -> LockAdded:
    return LockAdded(
        lock=lock.id,
        subject_kind=lock.subject_kind.value,
        subject=lock.subject,
        mode=lock.mode.value,
        reason=lock.reason,
        by=lock.by,
        cause=lock.cause,
        expires_at_s=lock.expires_at_s or 0.0,
        issued_before_s=lock.issued_before_s or 0.0,
    )
