"""What follows for open sessions when an identity, its groups, a connection or a token is taken away.

Everything goes the way of locks: sessions are cut and the targets looked at. The change itself is somebody else's.
"""

from collections.abc import Callable, Iterable, Mapping

from interlock.core.administration import Done
from interlock.core.errors import NotFound, StateUnavailable
from interlock.core.identity import OWN_ISSUER, Actor, Principal, PrincipalKind, RegisteredIdentity, everybody
from interlock.core.lock import SESSION_ENDED, Lock, LockMode, LockReceipt, LockSubject, SessionReceipt
from interlock.core.login import Login, login_token_id
from interlock.core.session import Session
from interlock.core.session_token import MAX_LIFETIME_S
from interlock.services.cutting import Cutting, Order
from interlock.services.live import ApprovalVoider, LiveSession, LiveSessions
from interlock.services.locks import GATEWAY, Locks, void
from interlock.services.ports import Clock

IDENTITY_DISABLED = "identity disabled"
LOGIN_ENDED = f"{SESSION_ENDED} with its login"
OWNER_LEFT = "owner left"
"""Why there is a lock on an owner who is not disabled: nothing is registered of them, or their account is gone."""
TOKEN_REVOKED = "token revoked"  # noqa: S105 - why there is a lock


class Cascade:
    """Carries changes over to what is open."""

    def __init__(
        self, locks: Locks, live: LiveSessions, cutting: Cutting, approvals: ApprovalVoider, clock: Clock
    ) -> None:
        self._locks = locks
        self._live = live
        self._cutting = cutting
        self._approvals = approvals
        self._clock = clock

    # ------------------------------------------------------------ identities

    async def check_may_change(self, identity: RegisteredIdentity, actor: Actor) -> None:
        """Nobody gets out of a lock by changing what is registered of himself. Raises ``AdministrationRefused``."""
        principal = Principal(identity.kind, identity.name, identity.groups, identity.owner)
        for lock in self._locks.about(principal):
            await self._locks.check_may_lift(lock, actor)
        if identity.disabled:
            await self._locks.check_may_lift(self._transient(*_named(identity), IDENTITY_DISABLED, actor), actor)

    async def identity_disabled(self, identity: RegisteredIdentity, actor: Actor) -> LockReceipt | None:
        """Lock the identity until it is enabled, and with a user the agents that it answers for.

        None when it is locked so already. Raises as ``Locks.add``.
        """
        kind, name = _named(identity)
        if self._disabling(identity):
            return None
        return await self._locks.add(
            kind, name, LockMode.REFUSE, IDENTITY_DISABLED, actor.name, cause=IDENTITY_DISABLED
        )

    async def identity_enabled(self, identity: RegisteredIdentity, actor: Actor) -> None:
        """Lift the locks that came with disabling it, or with its leaving. Raises as ``Locks.remove``."""
        for lock in (*self._disabling(identity), *self._left(identity.name)):
            await self._locks.remove(lock.id, actor, "identity enabled")

    async def owner_left(self, name: str, reason: str, by: str) -> LockReceipt | None:
        """Lock a user who is gone, and the agents that it answers for, until it is back or they have another owner.

        None when it is locked so already. Raises as ``Locks.add``.
        """
        if self._left(name):
            return None
        return await self._locks.add(LockSubject.OWNER, name, LockMode.REFUSE, reason, by, cause=OWNER_LEFT)

    async def owner_returned(self, name: str, actor: Actor) -> None:
        """Lift the lock that came with an owner's leaving. Raises as ``Locks.remove``."""
        for lock in self._left(name):
            await self._locks.remove(lock.id, actor, "registered again")

    async def identity_removed(self, identity: RegisteredIdentity, actor: Actor) -> Done:
        """Cut the identity's sessions."""
        kind, name = _named(identity)
        lock = self._transient(kind, name, "identity removed", actor)
        return await self._cut(lock, lambda session: any(who.name == name for who in everybody(session.principal)))

    async def identity_narrowed(
        self, before: RegisteredIdentity | None, after: RegisteredIdentity, labels: Mapping[str, str], actor: Actor
    ) -> Done | None:
        """Cut the sessions that were opened as a member of a group, or with an issuer's token, that is taken away.

        ``labels`` are the names that settings have for issuers, by URL. None when nothing is taken.
        """
        taken = before.groups - after.groups if before is not None else frozenset[str]()
        known = before.issuers if before is not None else frozenset[str]()
        if not taken and (not after.issuers or known == after.issuers):
            return None

        def has_lost(who: Principal) -> bool:
            if who.name != after.name:
                return False
            kept = who.issuer == OWN_ISSUER or after.accepts(who.issuer, labels.get(who.issuer, ""))
            return not kept or not taken.isdisjoint(who.groups)

        kind, name = _named(after)
        left = f"{name} is no longer in {', '.join(sorted(taken))}" if taken else f"{name} has other issuers now"
        lock = self._transient(kind, name, left, actor)
        return await self._cut(lock, lambda session: any(map(has_lost, everybody(session.principal))))

    # ------------------------------------------------------------ connections, tokens, sessions

    async def connection_removed(self, name: str, actor: Actor) -> Done:
        """Cut the connection's sessions."""
        lock = self._transient(LockSubject.CONNECTION, name, f"connection {name} is removed", actor)
        return await self._cut(lock, lambda session: session.connection == name)

    async def token_revoked(self, token_id: str, reason: str, actor: Actor) -> LockReceipt:
        """Lock the token for as long as it lives; for ever when that is not known. Raises as ``Locks.add``."""
        principals = (who for live in self._live.all() for who in everybody(live.session.principal))
        ends = [p.expires_at_s for p in principals if p.token_id == token_id and p.expires_at_s is not None]
        end_s = max(ends, default=None)
        expires_at_s = end_s if end_s is not None and end_s > self._now_s() else None
        return await self._locks.add(
            LockSubject.TOKEN,
            token_id,
            LockMode.REFUSE,
            reason,
            actor.name,
            expires_at_s=expires_at_s,
            cause=TOKEN_REVOKED,
        )

    async def login_ended(self, login: Login, by: str, reason: str) -> LockReceipt | None:
        """Lock what came from a login, for as long as that lives without it. None when the login's time is over.

        Raises as ``Locks.add``.
        """
        now_s = self._now_s()
        if login.ends_at_s <= now_s:
            return None
        return await self._locks.add(
            LockSubject.TOKEN,
            login_token_id(login.id),
            LockMode.REFUSE,
            reason,
            by,
            expires_at_s=now_s + MAX_LIFETIME_S,
            cause=LOGIN_ENDED,
        )

    async def ssh_key_removed(self, fingerprint: str, actor: Actor) -> Done:
        """Cut the sessions that were opened with the key."""
        lock = self._transient(LockSubject.TOKEN, fingerprint, "the SSH key is removed", actor)

        def has_used_it(session: Session) -> bool:
            return any(who.token_id == fingerprint for who in everybody(session.principal))

        return await self._cut(lock, has_used_it)

    def find(self, session_id: str) -> LiveSession:
        """Raises ``NotFound`` when no open session has this id."""
        live = self._live.find(session_id)
        if live is None:
            raise NotFound(f"there is no open session {session_id!r}")
        return live

    async def kill(self, session_id: str, reason: str, actor: Actor) -> SessionReceipt:
        """Cut one session. Raises ``AdministrationRefused`` when it is not open (any more)."""
        order = Order(reason, actor.name, self._clock.monotonic_s())
        carried = await self._cutting.verify(self._cutting.cut([self.find(session_id)], order), order)
        return carried.sessions[0]

    async def end(self, sessions: Iterable[LiveSession], reason: str) -> Done:
        """Cut sessions by the gateway's own doing; nobody is locked. Never raises."""
        order = Order(reason, GATEWAY, self._clock.monotonic_s())
        carried = await self._cutting.verify(self._cutting.cut(sessions, order), order)
        return Done("", carried.sessions, 0, carried.warnings)

    # ------------------------------------------------------------ what all of them need

    async def _cut(self, lock: Lock, concerned: Callable[[Session], bool]) -> Done:
        order = Order(lock.reason, lock.by, self._clock.monotonic_s())
        cases = self._cutting.cut([live for live in self._live.all() if concerned(live.session)], order)
        voided, problem = await void(self._approvals, lock)
        carried = await self._cutting.verify(cases, order)
        warnings = (problem, *carried.warnings) if problem else carried.warnings
        return Done("", carried.sessions, voided, warnings)

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None

    def _disabling(self, identity: RegisteredIdentity) -> list[Lock]:
        own = LockSubject.AGENT if identity.kind is PrincipalKind.AGENT else LockSubject.USER
        locks = {lock.id: lock for kind in (own, _named(identity)[0]) for lock in self._locks.on(kind, identity.name)}
        return [lock for lock in locks.values() if lock.cause == IDENTITY_DISABLED]

    def _left(self, name: str) -> list[Lock]:
        return [lock for lock in self._locks.on(LockSubject.OWNER, name) if lock.cause == OWNER_LEFT]

    def _transient(self, kind: LockSubject, subject: str, reason: str, actor: Actor) -> Lock:
        """A lock that is never in force: it says whom something is about."""
        return Lock("", kind, subject, LockMode.REFUSE, reason, actor.name, 0.0)


def _named(identity: RegisteredIdentity) -> tuple[LockSubject, str]:
    """Whom it is about what becomes of an identity: with a user, the agents that it answers for."""
    kind = LockSubject.AGENT if identity.kind is PrincipalKind.AGENT else LockSubject.OWNER
    return kind, identity.name


def told(sentence: str, receipt: Done | LockReceipt | None) -> Done:
    """The answer to a command with what became of sessions by it."""
    if receipt is None:
        return Done(sentence)
    return Done(sentence, receipt.sessions, receipt.voided_approvals, receipt.warnings)
