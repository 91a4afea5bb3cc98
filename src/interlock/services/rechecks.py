"""Looks at open sessions again and again: whether what proved their identity still counts. Those for which it does not
are cut, with the reason on record.

A session ends when its proof has expired (or some grace later), when it is not the identity any more that it was when
it opened, when the login that it came from has ended, and when whoever vouched for it takes that back. What cannot be
found out now is found out at the next look: until then sessions that are open live on, to their proof's end at most.
Nobody gets in by that: new sessions are judged by themselves.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, Final, Protocol

import msgspec
import structlog

from interlock.core.errors import StateUnavailable
from interlock.core.identity import Principal, RegisteredIdentity
from interlock.core.settings import SessionSettings
from interlock.services.cascade import Cascade
from interlock.services.live import LiveSession, LiveSessions
from interlock.services.ports import Clock

TICK_S: Final = 0.5
"""How often both are to be called."""
AT_A_TIME: Final = 16
"""Of sessions that are looked at: issuers may have to be asked."""
EXPIRED: Final = "the token that opened this session has expired; come again with a new one"
NO_CLOCK: Final = "the gateway cannot tell whether the token that opened this session has expired"
LOGIN_ENDED: Final = "the login that this session came from has ended"

Spawn = Callable[[Coroutine[Any, Any, object], str], object]

log = structlog.get_logger()


class Proofs(Protocol):
    """Knows whether what was proved still counts, without the proof."""

    async def refusal(self, principal: Principal) -> str | None:
        """Why it counts no more, as a sentence for the client; None while it does, or while that cannot be told."""


class OpenLogins(Protocol):
    """Logins of people."""

    def has_ended(self, principal: Principal) -> bool:
        """Whether a principal comes from a login that is over. Raises ``StateUnavailable``."""


class Identities(Protocol):
    """The identities that were registered by hand."""

    def find(self, name: str) -> RegisteredIdentity | None:
        """The identity of this name, None when there is none. Raises ``StateUnavailable``."""


class _Standing(msgspec.Struct):
    """What was registered for everybody in a session when it was first seen, and when it was last looked at."""

    registered: Mapping[str, RegisteredIdentity | None]
    looked_at_s: float


class Rechecks:
    """One for the whole gateway. ``expire`` and ``recheck`` are to be called again and again."""

    def __init__(
        self,
        sessions: LiveSessions,
        cascade: Cascade,
        identities: Identities,
        logins: OpenLogins,
        proofs: Proofs,
        clock: Clock,
        settings: SessionSettings,
        spawn: Spawn,
    ) -> None:
        self._sessions = sessions
        self._cascade = cascade
        self._identities = identities
        self._logins = logins
        self._proofs = proofs
        self._clock = clock
        self._settings = settings
        self._spawn = spawn
        self._standings: dict[str, _Standing] = {}
        self._ending: set[str] = set()

    async def expire(self) -> None:
        """End the sessions whose proof has come to its end, and take notice of new ones. Never raises."""
        everybody = self._sessions.all()
        sessions = [one for one in everybody if one.session.id not in self._ending]
        self._notice(sessions)
        now_s = self._now_s()
        last_s = None if now_s is None else now_s - self._settings.after_expiry_s
        over = [one for one in sessions if _has_expired(one.session.principal, last_s)]
        if over:
            self._end(over, NO_CLOCK if now_s is None else EXPIRED)

    async def recheck(self) -> None:
        """Look at the sessions whose turn it is; end those for which something counts no more. Never raises."""
        due_s = self._clock.monotonic_s() - self._settings.recheck_s
        found = [(self._sessions.find(session), standing) for session, standing in self._standings.items()]
        due = [(one, standing) for one, standing in found if one is not None and standing.looked_at_s <= due_s]
        places = asyncio.Semaphore(AT_A_TIME)

        async def look(one: LiveSession, standing: _Standing) -> None:
            async with places:
                await self._look(one, standing)

        await asyncio.gather(*(look(one, standing) for one, standing in due))

    # ------------------------------------------------------------ details

    def _notice(self, sessions: Collection[LiveSession]) -> None:
        """Note what is registered for those that are new; one for which that cannot be read is new again next time."""
        before, self._standings = self._standings, {}
        for one in sessions:
            try:
                standing = before.get(one.session.id) or self._standing(one.session.principal)
            except StateUnavailable as error:
                log.warning("a session cannot be looked at", session=one.session.id, error=str(error))
            else:
                self._standings[one.session.id] = standing

    def _standing(self, principal: Principal) -> _Standing:
        everybody = (principal, *principal.acting)
        registered = {who.name: self._identities.find(who.name) for who in everybody}
        return _Standing(registered, self._clock.monotonic_s())

    async def _look(self, one: LiveSession, standing: _Standing) -> None:
        standing.looked_at_s = self._clock.monotonic_s()
        try:
            reason = await self._refusal(one.session.principal, standing)
        except Exception as error:  # noqa: BLE001 - whatever breaks, the others are looked at
            log.error("a session was not looked at", session=one.session.id, error=type(error).__name__)
            return
        if reason is not None:
            self._end([one], reason)

    async def _refusal(self, principal: Principal, standing: _Standing) -> str | None:
        """Why a session ends; None when nothing speaks against it. Raises ``StateUnavailable``."""
        for name, before in standing.registered.items():
            if (reason := registration_refusal(name, before, self._identities.find(name))) is not None:
                return reason
        if _has_expired(principal, self._now_s()):  # it is in its grace: issuers and logins know it no more
            return None
        if self._logins.has_ended(principal):
            return LOGIN_ENDED
        return await self._proofs.refusal(principal)

    def _end(self, sessions: Collection[LiveSession], reason: str) -> None:
        """They are cut at once; what becomes of them at their targets is watched and recorded by the way."""
        self._ending |= {one.session.id for one in sessions}
        self._spawn(self._see_to_the_end(sessions, reason), "sessions that end")

    async def _see_to_the_end(self, sessions: Collection[LiveSession], reason: str) -> None:
        """One that is still there then is cut again."""
        try:
            await self._cascade.end(sessions, reason)
        finally:
            self._ending -= {one.session.id for one in sessions}

    def _now_s(self) -> float | None:
        try:
            return self._clock.now_s()
        except OSError:
            return None


def _has_expired(principal: Principal, now_s: float | None) -> bool:
    """Whether its proof has come to its end; without a time, whether it has an end."""
    ends_at_s = principal.expires_at_s
    return ends_at_s is not None and (now_s is None or ends_at_s <= now_s)


def registration_refusal(name: str, before: RegisteredIdentity | None, now: RegisteredIdentity | None) -> str | None:
    """Why an identity is not what it was any more; None when it is, or is more by now."""
    if now is None:
        return None if before is None else f"{name} is not registered any more"
    if now.disabled:
        return f"{name} is disabled"
    if before is None:
        return None
    if now.kind is not before.kind or now.owner != before.owner:
        return f"{name} has another owner, or is something else now"
    lost = before.groups - now.groups
    return f"{name} is no longer in {', '.join(sorted(lost))}" if lost else None
