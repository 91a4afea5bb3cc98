"""Carries out what identity providers say of sessions and accounts: logins end, and locks keep out what came from them.

An event is on record before anything follows from it, and counts once. One that cannot be carried out to the end is
not counted, so that it works when the provider sends it again: nothing is dropped in silence.
"""

import asyncio
import enum
from collections.abc import Awaitable, Iterable, Mapping
from typing import Final, Protocol

import msgspec
import structlog

from interlock.core.errors import InterlockError, StateUnavailable
from interlock.core.identity import PrincipalKind
from interlock.core.ledger import AnyRecord, SecurityEventReceived, SecurityEventRefused
from interlock.core.lock import SESSION_ENDED, Lock, LockMode, LockReceipt, LockSubject
from interlock.core.security_event import Effect, EventSubject, SecurityEvent
from interlock.core.session_token import MAX_LIFETIME_S
from interlock.services.locks import Locks
from interlock.services.logins import Logins
from interlock.services.ports import Clock, Ledger
from interlock.services.state import KnownPrincipals, ReceivedEvents

MAX_AGE_S: Final = 7 * 86_400.0
"""How old an event may be; so long it is remembered at least."""
CLOCK_SKEW_S: Final = 60.0
_DISABLED: Final = {Effect.DISABLE: "account disabled", Effect.PURGE: "account purged"}

log = structlog.get_logger()


class EventRefused(InterlockError):
    """It is no event that counts here. The text names the failing check, for the ledger only.

    ``code`` is that of RFC 8935 section 2.4.
    """

    def __init__(self, reason: str, code: str = "invalid_request") -> None:
        super().__init__(reason)
        self.code = code


class Way(enum.Enum):
    """How an event has come."""

    LOGOUT = "back-channel logout"
    PUSH = "push"
    POLL = "poll"


class Outcome(enum.Enum):
    """What became of an event."""

    DONE = "done"
    REPEATED = "repeated"
    """It was carried out before: nothing follows from it again."""


class PeopleOfIssuer(Protocol):
    """An issuer that is known."""

    @property
    def label(self) -> str:
        """The name that settings have for it."""

    @property
    def longest_life_s(self) -> int:
        """How long its proofs live at most."""


class SecurityEvents:
    """One for the whole gateway. ``issuers`` are by their URL."""

    def __init__(
        self,
        issuers: Mapping[str, PeopleOfIssuer],
        locks: Locks,
        logins: Logins,
        known: KnownPrincipals,
        received: ReceivedEvents,
        ledger: Ledger,
        clock: Clock,
        login_lifetime_s: float,
    ) -> None:
        self._issuers = issuers
        self._login_lifetime_s = login_lifetime_s
        self._locks = locks
        self._logins = logins
        self._known = known
        self._received = received
        self._ledger = ledger
        self._clock = clock
        self._under_way: set[tuple[str, str]] = set()

    async def receive(self, event: SecurityEvent, way: Way) -> Outcome:
        """Carry out an event whose issuer has been proved. Raises LedgerUnavailable, StateUnavailable.

        When it raises, the event has to come again.
        """
        key = event.issuer, event.id
        if key in self._under_way:
            raise StateUnavailable("the event is being carried out; send it again")
        self._under_way.add(key)
        try:
            return await self._receive(event, way)
        finally:
            self._under_way.discard(key)

    async def refuse(self, issuer: str, way: Way, client_address: str, reason: str) -> None:
        """Put on record that something that was no good event came in. Raises LedgerUnavailable."""
        log.warning("security event refused", issuer=issuer, way=way.value, client=client_address, reason=reason)
        await self._accept(SecurityEventRefused(issuer, way.value, client_address, reason))

    # ------------------------------------------------------------ details

    async def _receive(self, event: SecurityEvent, way: Way) -> Outcome:
        now_s = self._now_s()
        repeated = self._received.has(event.issuer, event.id, now_s)
        await self._accept(_received(event, way, self._by(event), repeated=repeated))
        if repeated:
            return Outcome.REPEATED
        if event.about is not None:
            await self._carry_out(event, event.about, now_s)
        await self._received.keep(event.issuer, event.id, now_s + MAX_AGE_S + 2 * CLOCK_SKEW_S, now_s)
        return Outcome.DONE

    async def _carry_out(self, event: SecurityEvent, about: EventSubject, now_s: float) -> None:
        if event.effect is Effect.END:
            await self._end(event, about, now_s)
        elif event.effect is Effect.ENABLE:
            await self._enable(event, about)
        elif event.effect is not Effect.NOTHING:
            await self._disable(event, about)

    async def _end(self, event: SecurityEvent, about: EventSubject, now_s: float) -> None:
        """What was proved until then is over, for as long as a token could live.

        Logins are ended. Which those are is not known of somebody who is called by an address: their time counts, too.
        """
        came_of_it_s = self._login_lifetime_s if about.email else MAX_LIFETIME_S
        lives_s = max(self._issuers[event.issuer].longest_life_s, came_of_it_s) + CLOCK_SKEW_S
        wanted = [
            self._locks.add(
                kind,
                subject,
                LockMode.REFUSE,
                "your identity provider has ended what you came in with; log in again",
                self._by(event),
                expires_at_s=now_s + lives_s,
                cause=_cause(event),
                issued_before_s=event.happened_at_s,
            )
            for kind, subject in about.session(event.issuer)
        ]
        await _all_kept(wanted)
        await self._end_logins(event, about)

    async def _disable(self, event: SecurityEvent, about: EventSubject) -> None:
        account = self._account(event, about)
        standing = [self._disabling(event, *subject) for subject in account]
        for locks in filter(None, standing):
            await self._locks.keep(locks[0])
        reason, cause = f"{_DISABLED[event.effect]} at the identity provider", self._cause_of_disabling(event)
        await _all_kept(
            self._locks.add(*subject, LockMode.REFUSE, reason, self._by(event), cause=cause)
            for subject, locks in zip(account, standing, strict=True)
            if not locks
        )
        whose = msgspec.structs.replace(about, login="") if about.is_person else about
        await self._end_logins(event, whose)

    async def _enable(self, event: SecurityEvent, about: EventSubject) -> None:
        for kind, subject in self._account(event, about):
            for lock in self._disabling(event, kind, subject):
                await self._locks.lift(lock, self._by(event), "account enabled at the identity provider")

    async def _end_logins(self, event: SecurityEvent, about: EventSubject) -> None:
        await self._logins.end_about(event.issuer, about, self._by(event), _cause(event))

    def _account(self, event: SecurityEvent, about: EventSubject) -> list[tuple[LockSubject, str]]:
        """What an account is locked under: what its issuer calls it, and the names of its person as an owner."""
        locked = about.person(event.issuer)
        known = {who for kind, subject in locked for who in self._known.known(kind, subject)}
        names = {who.name for who in known if who.kind is PrincipalKind.USER}
        if about.subject:
            names |= self._logins.names_of(event.issuer, about.subject)
        return [*locked, *((LockSubject.OWNER, name) for name in sorted(names))]

    def _disabling(self, event: SecurityEvent, kind: LockSubject, subject: str) -> list[Lock]:
        return [lock for lock in self._locks.on(kind, subject) if lock.cause == self._cause_of_disabling(event)]

    def _cause_of_disabling(self, event: SecurityEvent) -> str:
        effect = Effect.PURGE if event.effect is Effect.PURGE else Effect.DISABLE
        return f"{_DISABLED[effect]} at {self._issuers[event.issuer].label}"

    def _by(self, event: SecurityEvent) -> str:
        return f"issuer {self._issuers[event.issuer].label}"

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None

    async def _accept(self, record: AnyRecord) -> None:
        waiting = self._ledger.append(record)
        if waiting is not None:
            await waiting


async def _all_kept(wanted: Iterable[Awaitable[LockReceipt]]) -> None:
    """Add locks, all at once: each waits for the targets. Raises as they do, and StateUnavailable.

    One that ends with the process is not enough: the event has to come again.
    """
    if not all(receipt.kept for receipt in await asyncio.gather(*wanted)):
        raise StateUnavailable("the lock is in force and cannot be kept; send it again")


def _cause(event: SecurityEvent) -> str:
    return f"{SESSION_ENDED} by security event {event.id}"


def _received(event: SecurityEvent, way: Way, issuer: str, *, repeated: bool) -> SecurityEventReceived:
    return SecurityEventReceived(
        issuer=event.issuer,
        way=way.value,
        event=event.kind,
        token_id=event.id,
        about=str(event.about or ""),
        effect=Effect.NOTHING.value if repeated else event.effect.value,
        repeated=repeated,
        happened_at_s=event.happened_at_s,
    )
