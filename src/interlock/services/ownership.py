"""Who answers for an agent, and who may say that somebody else does from now on.

An agent that is given to another owner is locked until a second person has confirmed that: neither whoever made the
change nor whoever answered for the agent before, under any of their names. Nothing is kept in here.
"""

from collections.abc import Iterator
from typing import Final

from interlock.core.identity import Actor, Handover, Principal, PrincipalKind, RegisteredIdentity, everybody
from interlock.core.lock import Lock, LockMode, LockReceipt, LockSubject
from interlock.services.kinship import Kinship
from interlock.services.live import LiveSessions
from interlock.services.locks import Locks
from interlock.services.state import IdentityStore, IdentityUses, KnownPrincipals

OWNER_CHANGED: Final = "owner changed"


class Ownership:
    """Knows who answers for whom, and locks agents that change hands. All methods raise ``StateUnavailable``."""

    def __init__(
        self,
        locks: Locks,
        kinship: Kinship,
        identities: IdentityStore,
        known: KnownPrincipals,
        uses: IdentityUses,
        live: LiveSessions,
    ) -> None:
        self._locks = locks
        self._kinship = kinship
        self._identities = identities
        self._known = known
        self._uses = uses
        self._live = live

    # ------------------------------------------------------------ what changes

    def handover(self, before: RegisteredIdentity | None, after: RegisteredIdentity, actor: Actor) -> Handover | None:
        """What there is to confirm when the actor puts ``after`` in the place of ``before``; None when nothing.

        An agent that had no owner can be given one just so, and one whose change is not confirmed can be given back by
        somebody else than who had it.
        """
        if after.kind is not PrincipalKind.AGENT or after.owner is None:
            return None
        pending = before.handover if before is not None else None
        if pending is not None and before is not None and after.owner == before.owner:
            return pending
        formerly = pending.formerly if pending is not None else self._answering(before, after.name)
        if not formerly:
            return None
        if after.owner in formerly and not (pending and self._is_one_of(actor, formerly)):
            return None
        return Handover(actor.name, formerly)

    def _answering(self, before: RegisteredIdentity | None, name: str) -> tuple[str, ...]:
        """Who answers for an agent now: what is registered, or else what its last session had."""
        if before is not None and before.owner is not None:
            return (before.owner,)
        last = self._uses.find(PrincipalKind.AGENT, name)
        seen = [*self._with_sessions(), *([last.principal] if last is not None else [])]
        return tuple(sorted({who.owner for who in seen if who.owner and who.name == name}))

    async def lock(self, identity: RegisteredIdentity, handover: Handover) -> LockReceipt | None:
        """Lock the agent until the handover is confirmed; None when it is so already. Raises as ``Locks.add``."""
        if self._changing(identity.name):
            return None
        reason = f"its owner was {', '.join(handover.formerly)}, and that it is {identity.owner} now is not confirmed"
        return await self._locks.add(
            LockSubject.AGENT, identity.name, LockMode.REFUSE, reason, handover.by, cause=OWNER_CHANGED
        )

    async def unlock(self, name: str, by: str, reason: str) -> None:
        """Lift the locks that came with a change of owner. Raises ``LedgerUnavailable`` when they therefore stay."""
        for lock in self._changing(name):
            await self._locks.lift(lock, by, reason)

    def _changing(self, name: str) -> list[Lock]:
        return [lock for lock in self._locks.on(LockSubject.AGENT, name) if lock.cause == OWNER_CHANGED]

    # ------------------------------------------------------------ who may confirm it

    def bars_confirming(self, identity: RegisteredIdentity, handover: Handover, actor: Actor) -> str | None:
        """Why the actor may not confirm a handover, as a sentence; None when it may, as far as that goes."""
        if self._is_one_of(actor, (handover.by,)):
            return "whoever gives an agent another owner cannot confirm that"
        if self._is_one_of(actor, handover.formerly):
            return f"whoever answered for {identity.name!r} cannot confirm who does now"
        return None

    def _is_one_of(self, actor: Actor, names: tuple[str, ...]) -> bool:
        return any(self._kinship.is_same_person(actor.principal, name) for name in names)

    # ------------------------------------------------------------ whom somebody answers for

    def agents_of(self, owner: str) -> tuple[str, ...]:
        """The agents that a person answers for now, by name."""
        seen = {who.name: who.owner for who in self._known.known(LockSubject.OWNER, owner)}
        seen |= {who.name: who.owner for who in self._with_sessions()}
        registered = {one.name: one for one in self._identities.all()}
        seen |= {one.name: one.owner for one in registered.values() if one.owner}
        return tuple(sorted(name for name, answers in seen.items() if answers == owner))

    def _with_sessions(self) -> Iterator[Principal]:
        """Everybody who has a session, or acts in one for somebody."""
        for live in self._live.all():
            yield from everybody(live.session.principal)
