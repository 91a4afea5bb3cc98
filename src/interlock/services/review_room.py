"""Carries out access reviews: puts together what is known of agents. It changes nothing but what it has on record.

What cannot be found out makes the review fail: an agent without a finding is one about which everything was found.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from interlock.core.access_review import (
    Attestation,
    Grant,
    OwnerState,
    ReviewTerms,
    SeenIdentity,
    Subject,
    Use,
    findings_of,
    risk_of,
)
from interlock.core.administration import Command, Done
from interlock.core.administration.reviews import (
    AttestIdentity,
    IdentityReview,
    ReviewedConnection,
    ReviewIdentities,
    ReviewPage,
)
from interlock.core.errors import NotFound, StateUnavailable
from interlock.core.identity import Actor, Principal, PrincipalKind, RegisteredIdentity
from interlock.core.ledger import IdentityReviewed
from interlock.core.lock import LockMode, LockSubject
from interlock.core.settings import ConnectionSettings
from interlock.services.administration import Handler
from interlock.services.locks import Locks
from interlock.services.policy import PolicyEngine
from interlock.services.policy.breadth import granted_actions, wide_rules
from interlock.services.policy.store import PolicyStore
from interlock.services.ports import Clock, Ledger
from interlock.services.self_service.knowledge import actions_asked
from interlock.services.state import ConnectionStore, IdentityStore, IdentityUses, SshKeyStore

MAX_REVIEWED: Final = 1000
"""Agents in one review."""


class ReviewRoom:
    """Implements ``services.administration.Room``. There is one review at a time."""

    def __init__(
        self,
        identities: IdentityStore,
        uses: IdentityUses,
        keys: SshKeyStore,
        connections: ConnectionStore,
        policies: PolicyStore,
        locks: Locks,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._identities = identities
        self._uses = uses
        self._keys = keys
        self._connections = connections
        self._policies = policies
        self._locks = locks
        self._ledger = ledger
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {ReviewIdentities: self._review, AttestIdentity: self._attest}

    async def _review(self, command: ReviewIdentities, _actor: Actor) -> ReviewPage:
        terms = ReviewTerms(self._now_s(), command.unused_for_s, command.old_after_s)
        items = []
        async with self._one_at_a_time:
            agents = self._agents(terms.now_s - command.seen_within_s)
            for registered, seen in agents[:MAX_REVIEWED]:
                subject = await self._subject(registered, seen, terms)
                items.append(_view(subject, terms, self._uses.attestation(subject.principal.name)))
        items.sort(key=lambda one: (-one.risk, one.last_used_at_s or 0.0, one.name))
        return ReviewPage(tuple(items), max(0, len(agents) - MAX_REVIEWED))

    async def _attest(self, command: AttestIdentity, actor: Actor) -> Done:
        registered = self._identities.find(command.name)
        seen = self._uses.find(PrincipalKind.AGENT, command.name)
        if seen is None and (registered is None or registered.kind is not PrincipalKind.AGENT):
            raise NotFound(f"there is no agent {command.name!r}: none is registered, and none has had a session")
        terms = ReviewTerms(self._now_s(), *_DEFAULT_TERMS)
        subject = await self._subject(registered, seen, terms)
        flags = tuple(finding.flag.value for finding in findings_of(subject, terms))
        accepted = self._ledger.append(IdentityReviewed(actor.name, command.name, command.note, flags))
        if accepted is not None:
            await accepted
        await self._uses.attest(command.name, Attestation(actor.name, terms.now_s, command.note))
        return Done(f"It is on record that {actor.name} has looked at {command.name!r}.")

    def _agents(self, since_s: float) -> list[tuple[RegisteredIdentity | None, SeenIdentity | None]]:
        """Those that are registered first, then those that were only seen."""
        registered = {one.name: one for one in self._identities.all()}
        seen = {one.principal.name: one for one in self._uses.agents(since_s)}
        of_record: list[tuple[RegisteredIdentity | None, SeenIdentity | None]] = [
            (one, seen.get(name) or self._uses.find(PrincipalKind.AGENT, name))
            for name, one in registered.items()
            if one.kind is PrincipalKind.AGENT
        ]
        return of_record + [(None, one) for name, one in seen.items() if name not in registered]

    async def _subject(
        self, registered: RegisteredIdentity | None, seen: SeenIdentity | None, terms: ReviewTerms
    ) -> Subject:
        who = _principal(registered, seen)
        engine = self._policies.engine
        return Subject(
            who,
            self._owner_state(who.owner),
            registered,
            seen,
            tuple(self._uses.uses(who.kind, who.name)),
            await self._grants(who, terms.now_s),
            wide_rules(engine, who),
            tuple(key.added_at_s for key in self._keys.all(who.name)),
        )

    def _owner_state(self, owner: str | None) -> OwnerState:
        if not owner:
            return OwnerState.NONE
        registered = self._identities.find(owner)
        locks = (*self._locks.on(LockSubject.OWNER, owner), *self._locks.on(LockSubject.USER, owner))
        if (registered is not None and registered.disabled) or any(one.mode is LockMode.REFUSE for one in locks):
            return OwnerState.GONE
        known = registered is not None or self._uses.find(PrincipalKind.USER, owner) is not None
        return OwnerState.PRESENT if known else OwnerState.UNKNOWN

    async def _grants(self, who: Principal, now_s: float) -> tuple[Grant, ...]:
        """What policy grants, locks aside. In a worker thread: it takes milliseconds for each connection."""
        return await asyncio.to_thread(_grants, self._policies.engine, who, self._connections.all(), now_s)

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None


_DEFAULT_TERMS: Final = (ReviewIdentities().unused_for_s, ReviewIdentities().old_after_s)


def _grants(
    engine: PolicyEngine, who: Principal, connections: Mapping[str, ConnectionSettings], now_s: float
) -> tuple[Grant, ...]:
    found = (
        (name, granted_actions(engine, who, name, settings.places[0], actions_asked(settings), now_s))
        for name, settings in connections.items()
    )
    return tuple(Grant(name, actions) for name, actions in found if actions is not None)


def _principal(registered: RegisteredIdentity | None, seen: SeenIdentity | None) -> Principal:
    """As it would log in now, as far as that is known: groups from its tokens are those of its last session."""
    known = seen.principal if seen is not None else None
    if registered is None:
        if known is None:
            raise ValueError("nothing is known of this identity")
        return known
    groups = registered.groups | (known.groups if known is not None else frozenset())
    owner = registered.owner or (known.owner if known is not None else None)
    return Principal(PrincipalKind.AGENT, registered.name, groups, owner, issuer=known.issuer if known else "")


def _view(subject: Subject, terms: ReviewTerms, attested: Attestation | None) -> IdentityReview:
    registered, seen, who = subject.registered, subject.seen, subject.principal
    findings = findings_of(subject, terms)
    return IdentityReview(
        name=who.name,
        risk=risk_of(findings),
        findings=findings,
        registered=registered is not None,
        disabled=registered is not None and registered.disabled,
        owner=who.owner,
        owner_state=subject.owner_state,
        purpose=registered.purpose if registered is not None else "",
        issuers=tuple(sorted(registered.issuers)) if registered is not None else (),
        groups=tuple(sorted(who.groups)),
        first_used_at_s=seen.first_at_s if seen is not None else None,
        last_used_at_s=seen.last_at_s if seen is not None else None,
        sessions=seen.sessions if seen is not None else 0,
        connections=_connections(subject),
        attested=attested,
    )


def _connections(subject: Subject) -> tuple[ReviewedConnection, ...]:
    granted = {grant.connection: grant for grant in subject.grants}
    used: dict[str, list[Use]] = {}
    for use in subject.uses:
        used.setdefault(use.connection, []).append(use)
    return tuple(
        ReviewedConnection(
            name,
            name in granted,
            granted[name].actions if name in granted else (),
            tuple(use.action for use in used.get(name, ())),
            max((use.last_at_s for use in used.get(name, ())), default=None),
        )
        for name in sorted(granted.keys() | used.keys())
    )
