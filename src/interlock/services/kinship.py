"""Who may not lift a lock, or exempt from it: whoever is locked by it, under whatever name.

Two identities are one person's when they share a name, an owner, or what an issuer calls them, or when one owns the
other. Nothing in here is remembered: it is asked of what is registered, of open sessions and of earlier ones.
"""

from collections.abc import Iterable, Iterator

import msgspec

from interlock.core.identity import Principal, PrincipalKind
from interlock.core.lock import Exemption, Lock, LockSubject, is_about
from interlock.services.live import LiveSessions
from interlock.services.state import IdentityStore, KnownPrincipals

_PERSONAL = frozenset(LockSubject) - {LockSubject.EVERYTHING, LockSubject.CONNECTION}
_NAMES = {
    LockSubject.USER: PrincipalKind.USER,
    LockSubject.OWNER: PrincipalKind.USER,
    LockSubject.AGENT: PrincipalKind.AGENT,
}


class Kinship:
    """Knows which identities belong together."""

    def __init__(self, identities: IdentityStore, known: KnownPrincipals, live: LiveSessions) -> None:
        self._identities = identities
        self._known = known
        self._live = live

    def bars(self, principal: Principal, lock: Lock) -> str | None:
        """Why this principal may not lift the lock, as a sentence; None when it may. Raises ``StateUnavailable``."""
        whom = self._own(principal, lock)
        return whom and f"the lock is on {whom}: somebody else has to lift it"

    def bars_exempting(self, principal: Principal, lock: Lock, exemption: Exemption) -> str | None:
        """As ``bars``, why this principal may not give the exemption: neither lock nor exemption may be about him."""
        if whom := self._own(principal, lock):
            return f"the lock is on {whom}: somebody else has to exempt from it"
        exempted = msgspec.structs.replace(lock, subject_kind=exemption.subject_kind, subject=exemption.subject)
        whom = self._own(principal, exempted)
        return whom and f"the exemption would be for {whom}: somebody else has to give it"

    def is_same_person(self, principal: Principal, user: str) -> bool:
        """Whether the principal is this user, or the same person's identity. Raises ``StateUnavailable``."""
        keys = _keys(self._complete(principal))
        others = (Principal(PrincipalKind.USER, user), *self._known.known(LockSubject.USER, user))
        return any(not keys.isdisjoint(_keys(self._complete(other))) for other in others)

    def _own(self, principal: Principal, lock: Lock) -> str | None:
        """Whom a lock is on that is the principal or the same person's, None when there is nobody."""
        if lock.subject_kind not in _PERSONAL:
            return None
        lock = msgspec.structs.replace(lock, issued_before_s=None)  # it is his, however often he logs in again
        who = self._complete(principal)
        if is_about(lock, who, "", ""):
            return "yourself"
        keys = _keys(who)
        for locked in map(self._complete, self._locked(lock)):
            if lock.subject_kind is LockSubject.OWNER and not is_about(lock, locked, "", ""):
                continue  # an agent that has another owner by now
            if not keys.isdisjoint(_keys(locked)):
                return f"{locked.name!r}, which is the same person's as you"
        return None

    def _locked(self, lock: Lock) -> Iterator[Principal]:
        """Everybody who is known to be locked by it."""
        if (kind := _NAMES.get(lock.subject_kind)) is not None:
            yield Principal(kind, lock.subject)
        yield from self._known.known(lock.subject_kind, lock.subject)
        for live in self._live.all():
            session = live.session
            if is_about(lock, session.principal, session.connection, session.trace):
                yield from (session.principal, *session.principal.acting)
        if lock.subject_kind is LockSubject.GROUP:
            members = (identity for identity in self._identities.all() if lock.subject in identity.groups)
            yield from (Principal(identity.kind, identity.name, owner=identity.owner) for identity in members)

    def _complete(self, principal: Principal) -> Principal:
        """With what is registered for its name."""
        registered = self._identities.find(principal.name)
        if registered is None:
            return principal
        return msgspec.structs.replace(
            principal, groups=principal.groups | registered.groups, owner=registered.owner or principal.owner
        )


def _keys(principal: Principal) -> frozenset[tuple[str, ...]]:
    """What two identities of one person have in common. Names are compared without regard to case, to be strict."""
    names: Iterable[str] = filter(None, (principal.name, principal.owner))
    keys: set[tuple[str, ...]] = {("name", name.casefold()) for name in names}
    if principal.issuer and principal.subject:
        keys.add(("subject", principal.issuer, principal.subject))
    return frozenset(keys)
