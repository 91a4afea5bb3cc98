"""Logins of people: opened when a provider has proved who somebody is, ended by time, by the person, or from outside.

A login is on the ledger before its secret is handed out. Nothing in here keeps or shows a secret.
"""

import contextlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec

from interlock.core.errors import LedgerUnavailable, LoginRefused, StateUnavailable
from interlock.core.identity import Principal
from interlock.core.ledger import AnyRecord, LoginClosed, LoginOpened
from interlock.core.lock import subjects_of
from interlock.core.login import (
    FAMILY_CHARACTERS,
    SECRET_PREFIX,
    KeptLogin,
    Login,
    LoginHolder,
    family_digest,
    is_login_secret,
    login_token_id,
    logins_behind,
    secret_digest,
)
from interlock.core.security_event import EventSubject
from interlock.core.session import SESSION_ID_ENTROPY_BYTES, new_session_id
from interlock.services.just_ended import JustEnded
from interlock.services.ports import Clock, Ledger
from interlock.services.state import LoginStore

MAX_PER_PERSON: Final = 20
"""Of more logins of one person, the one that ends first is closed."""
REUSE_S: Final = 30.0
"""How long a renewed secret still counts, for programs that renewed it at the same time."""
TICK_S: Final = 60.0
_FAMILY_BYTES: Final = 16
_REST_BYTES: Final = 24
_NOT_LOGGED_IN: Final = "you are not logged in any more; log in again"


LoginEnder = Callable[[Login, str, str], Awaitable[object]]
"""Who did it and why. Raises LedgerUnavailable, StateUnavailable: then the login stays."""


class Logins:
    """The logins that there are. A login lives ``lifetime_s`` at most."""

    def __init__(self, store: LoginStore, ledger: Ledger, clock: Clock, lifetime_s: float) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._just_ended = JustEnded(clock)
        self.enders: list[LoginEnder] = []
        """Asked to end what came from a login before the login itself is ended."""

    async def open(
        self, principal: Principal, provider: str, holder: LoginHolder, client_address: str
    ) -> tuple[Login, str]:
        """Log somebody in whom a provider has proved; returns the login and its secret.

        It ends with the principal's proof when that has an end. Raises LoginRefused, also when the provider has ended
        it meanwhile, LedgerUnavailable, StateUnavailable.
        """
        self._refuse_ended(principal)
        login = self._new(principal, provider, holder)
        secret = _new_secret(_new_family())
        await self._make_room(principal)
        await self._accept(_opened(login, client_address))
        await self._store.add(KeptLogin(login, family_digest(secret), secret_digest(secret)))
        try:
            self._refuse_ended(principal)
        except LoginRefused:
            await self._close([login], "gateway", "its provider ended it while it was opened")
            raise
        return login, secret

    def find(self, secret: str, holder: LoginHolder) -> Login:
        """The login that a secret stands for, as long as it lasts. Raises LoginRefused, StateUnavailable."""
        kept = self._store.find(family_digest(secret)) if is_login_secret(secret) else None
        if kept is None or not hmac.compare_digest(kept.secret, secret_digest(secret)):
            raise LoginRefused(_NOT_LOGGED_IN, "no such login")
        self._check(kept.login, holder)
        return kept.login

    async def present(self, secret: str, holder: LoginHolder) -> Login:
        """As ``find``, for secrets that are renewed: one that was renewed a moment ago still counts.

        One that was renewed before has been stolen, by whoever used it first or now: the login ends. Raises
        LoginRefused, LedgerUnavailable, StateUnavailable.
        """
        kept = self._store.find(family_digest(secret)) if is_login_secret(secret) else None
        if kept is None:
            raise LoginRefused(_NOT_LOGGED_IN, "no such login")
        self._check(kept.login, holder)
        digest = secret_digest(secret)
        just_renewed = self._now_s() - kept.renewed_at_s < REUSE_S
        if hmac.compare_digest(kept.secret, digest) or (just_renewed and hmac.compare_digest(kept.spent, digest)):
            return kept.login
        await self._close([kept.login], "gateway", "its secret was used again after it was renewed")
        raise LoginRefused(_NOT_LOGGED_IN, "a login's secret was used again after it was renewed")

    async def renew(self, secret: str) -> str:
        """The secret that counts in the place of this one from now on, which has just been presented.

        Empty when it is not the current one any more: somebody else has just renewed it. Raises LoginRefused,
        StateUnavailable.
        """
        renewed = _new_secret(secret[len(SECRET_PREFIX) :][:FAMILY_CHARACTERS])
        digest, new_digest, now_s = secret_digest(secret), secret_digest(renewed), self._now_s()

        def change(kept: KeptLogin) -> KeptLogin | None:
            if not hmac.compare_digest(kept.secret, digest):
                return None
            return msgspec.structs.replace(kept, secret=new_digest, spent=digest, renewed_at_s=now_s)

        before = await self._store.change(family_digest(secret), change)
        return renewed if before is not None and hmac.compare_digest(before.secret, digest) else ""

    def of(self, name: str) -> list[Login]:
        """The logins of an identity, the oldest first. Raises StateUnavailable."""
        return self._store.by_name(name)

    def names_of(self, issuer: str, subject: str) -> set[str]:
        """The names that a provider's person is logged in by. Raises StateUnavailable."""
        return {login.principal.name for login in self._store.by_subject(issuer, subject)}

    def has_ended(self, principal: Principal) -> bool:
        """Whether a principal comes from a login that is over. Raises StateUnavailable."""
        return not all(map(self._store.is_kept, logins_behind(principal)))

    async def close(self, login: Login, by: str, reason: str) -> None:
        """End one login. Raises LedgerUnavailable, StateUnavailable."""
        await self._close([login], by, reason)

    async def end_session(self, issuer: str, sid: str, by: str, reason: str, subject: str = "") -> int:
        """End the logins of one session at a provider, with ``subject`` only that person's; returns how many.

        Raises as ``close``.
        """
        self._just_ended.note(EventSubject(login=sid).session(issuer) if sid else ())
        logins = self._store.by_session(issuer, sid)
        return await self._close([each for each in logins if subject in ("", each.principal.subject)], by, reason)

    async def end_subject(self, issuer: str, subject: str, by: str, reason: str) -> int:
        """End all logins of a provider's person; returns how many. Raises as ``close``."""
        self._just_ended.note(EventSubject(subject).person(issuer))
        return await self._close(self._store.by_subject(issuer, subject), by, reason)

    async def end_about(self, issuer: str, about: EventSubject, by: str, reason: str) -> int:
        """End the logins of the session that an event is about, or all of the person's; returns how many.

        Those whose provider has not named their session count with it, as for locks. Raises as ``close``.
        """
        meant = frozenset(about.session(issuer))
        self._just_ended.note(meant)
        known = self._of_issuer(issuer, about)
        found = [login for login in known if not meant.isdisjoint(subjects_of(login.principal, "", ""))]
        return await self._close(found, by, reason)

    async def end_name(self, name: str, by: str, reason: str) -> int:
        """End all logins of an identity; returns how many. Raises as ``close``."""
        return await self._close(self._store.by_name(name), by, reason)

    async def expire(self) -> None:
        """Put the logins on record whose time is over; they have counted no more since then. Never raises."""
        with contextlib.suppress(LoginRefused, LedgerUnavailable, StateUnavailable):
            await self._close(self._store.ended(self._now_s()), "gateway", "its time is over")

    # ------------------------------------------------------------ details

    def _of_issuer(self, issuer: str, about: EventSubject) -> list[Login]:
        """Those that an event can be about: whom an address belongs to is known of the logins themselves only."""
        if about.email:
            return self._store.by_issuer(issuer)
        found = [*self._store.by_session(issuer, about.login), *self._store.by_subject(issuer, about.subject)]
        return list({login.id: login for login in found}.values())

    def _refuse_ended(self, principal: Principal) -> None:
        if self._just_ended.concerns(principal):
            raise LoginRefused(_NOT_LOGGED_IN, "its provider ended the session during the login")

    def _new(self, principal: Principal, provider: str, holder: LoginHolder) -> Login:
        now_s = self._now_s()
        ends_at_s = now_s + self._lifetime_s
        if principal.expires_at_s is not None:
            ends_at_s = min(ends_at_s, principal.expires_at_s)
        login_id = new_session_id(int(now_s * 1e9), secrets.token_bytes(SESSION_ID_ENTROPY_BYTES))
        ancestors = (principal.token_id, *principal.ancestors) if principal.token_id else principal.ancestors
        principal = msgspec.structs.replace(
            principal, token_id=login_token_id(login_id), ancestors=ancestors, expires_at_s=ends_at_s
        )
        return Login(login_id, holder, provider, principal, now_s, ends_at_s)

    async def _make_room(self, principal: Principal) -> None:
        theirs = self._store.by_subject(principal.issuer, principal.subject)
        surplus = max(0, len(theirs) - MAX_PER_PERSON + 1)
        first_to_end = sorted(theirs, key=lambda login: login.ends_at_s)[:surplus]
        await self._close(first_to_end, "gateway", f"the person has more than {MAX_PER_PERSON} logins")

    def _check(self, login: Login, holder: LoginHolder) -> None:
        if login.holder is not holder:
            raise LoginRefused(_NOT_LOGGED_IN, f"the secret of a login is for {login.holder.value} only")
        if login.ends_at_s <= self._now_s():
            raise LoginRefused(_NOT_LOGGED_IN, "the time of the login is over")

    async def _close(self, logins: Iterable[Login], by: str, reason: str) -> int:
        """They are ended first: an end that cannot be recorded is an end all the same."""
        count = 0
        for login in logins:
            for ender in self.enders:
                await ender(login, by, reason)
            if await self._store.remove(login.id):
                count += 1
                await self._accept(LoginClosed(login.id, login.principal.name, by, reason))
        return count

    async def _accept(self, record: AnyRecord) -> None:
        accepted = self._ledger.append(record)
        if accepted is not None:
            await accepted

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None


def _new_family() -> str:
    return secrets.token_urlsafe(_FAMILY_BYTES)


def _new_secret(family: str) -> str:
    return f"{SECRET_PREFIX}{family}{secrets.token_urlsafe(_REST_BYTES)}"


def _opened(login: Login, client_address: str) -> LoginOpened:
    principal = login.principal
    return LoginOpened(
        login=login.id,
        holder=login.holder.value,
        provider=login.provider,
        principal_kind=principal.kind.value,
        principal=principal.name,
        groups=tuple(sorted(principal.groups)),
        issuer=principal.issuer,
        subject=principal.subject,
        provider_session=principal.login,
        claims=principal.claims,
        client_address=client_address,
        ends_at_s=login.ends_at_s,
    )
