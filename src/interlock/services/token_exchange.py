"""Gives session tokens in exchange for other tokens (RFC 8693): for one connection or some, for minutes.

What a token allows is never more than what the one that it came from does: not more connections, not from more
networks, not longer. Nothing is given before it is on record, and nothing of a token is in a record, a log or an error.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from interlock.core.addresses import network_within
from interlock.core.errors import InterlockError, LoginRefused, StateUnavailable
from interlock.core.identity import API_AUDIENCE, Principal, connection_audience
from interlock.core.ledger import AnyRecord, ConnectionRefused, TokenIssued
from interlock.core.run import run_of
from interlock.core.session_token import MAX_ANCESTORS, IssuedSessionToken, SessionToken, TokenForm
from interlock.core.settings import TokenSettings
from interlock.services.authority import NOBODY, Bars
from interlock.services.ports import Clock, Ledger, Prover, SessionTokens, SpentTokens
from interlock.services.rate_limit import RateLimit

PROTOCOL: Final = "exchange"
"""Its name in records of refused connections."""
MAX_AUDIENCE: Final = 50
MAX_SOURCES: Final = 20
MAX_ACTING: Final = 4
TOKENS_PER_MINUTE: Final = 600
"""For one identity, so that nobody fills the table of all."""
_ID_ENTROPY_BYTES: Final = 16


class ExchangeRefused(InterlockError):
    """There is no token; the text is for the caller. ``code`` is that of RFC 6749 section 5.2 or RFC 8693 2.2.2."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Wish(msgspec.Struct, frozen=True):
    """What somebody wants of a session token.

    ``audience`` are names of connections, or ``api``; ``sources`` are networks. Empty: what the token that it comes
    from has. ``lifetime_s`` None: as long as may be.
    """

    audience: tuple[str, ...] = ()
    form: TokenForm = TokenForm.OPAQUE
    run: str = ""
    trace: str = ""
    sources: tuple[str, ...] = ()
    lifetime_s: int | None = None


class TokenExchange:
    """One for the whole gateway."""

    def __init__(
        self,
        prover: Prover,
        tokens: SessionTokens,
        spent: SpentTokens,
        ledger: Ledger,
        clock: Clock,
        settings: TokenSettings,
        bars: Bars = NOBODY,
    ) -> None:
        self._prover = prover
        self._tokens = tokens
        self._spent = spent
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._bars = bars
        self._rate = RateLimit(TOKENS_PER_MINUTE, clock)

    async def exchange(
        self, subject_token: str, actor_token: str, wish: Wish, client_address: str
    ) -> IssuedSessionToken:
        """A session token for a token, with the holder of ``actor_token`` acting unless that is empty.

        ``client_address`` is a host. Raises ExchangeRefused, LedgerUnavailable, StateUnavailable.
        """
        try:
            proved = [await self._prove(token, client_address) for token in (subject_token, actor_token) if token]
            principal = _acting(*proved) if actor_token else proved[0]
        except LoginRefused as refused:
            await self._record(client_address, "", refused.reason)
            raise ExchangeRefused("invalid_request", str(refused)) from refused
        try:
            return await self._give(principal, wish, client_address, proved)
        except LoginRefused as refused:
            raise ExchangeRefused("invalid_request", str(refused)) from refused

    async def issue(self, principal: Principal, wish: Wish, client_address: str) -> IssuedSessionToken:
        """A session token for whoever has proved to be this principal. Raises as ``exchange``, and LoginRefused."""
        return await self._give(principal, wish, client_address)

    async def _give(
        self, principal: Principal, wish: Wish, client_address: str, proved: Iterable[Principal] = ()
    ) -> IssuedSessionToken:
        """What is refused is on record: whoever wants more than a proof is good for may not be whose it is."""
        if wait_s := self._rate.take(principal.asker):
            raise ExchangeRefused("temporarily_unavailable", f"too many tokens for one identity; wait {wait_s} s")
        try:
            self._refuse_locked(principal)
            return await self._issue(principal, wish, client_address, proved)
        except LoginRefused as refused:
            await self._record(client_address, principal.name, refused.reason)
            raise
        except ExchangeRefused as refused:
            await self._record(client_address, principal.name, f"{refused.code}: {refused}")
            raise

    def _refuse_locked(self, principal: Principal) -> None:
        bar = self._bars.bar_on(self._prover.admit(principal))
        if bar is not None:
            raise LoginRefused(bar, "locked")

    async def _issue(
        self, principal: Principal, wish: Wish, client_address: str, proved: Iterable[Principal]
    ) -> IssuedSessionToken:
        token = self._token(principal, wish)
        for who in proved:
            if self._prover.is_for_one_exchange(who):
                await self._spend(who, token.given_at_s)
        await self._accept(_issued(token, wish.form, client_address))
        try:
            return IssuedSessionToken(await self._tokens.give(token, wish.form), token, wish.form)
        except OSError:
            raise _no_time() from None

    async def _prove(self, token: str, client_address: str) -> Principal:
        """Whom a token speaks for, if it may log in now from there."""
        principal = await self._prover.prove(token, client_address)
        self._prover.admit(principal)
        if not principal.counts_from(f"{client_address}:0"):
            raise LoginRefused("the token does not count from this address", "source")
        return principal

    def _token(self, principal: Principal, wish: Wish) -> SessionToken:
        now_s = self._now_s()
        if len(principal.ancestors) >= MAX_ANCESTORS:
            raise LoginRefused("the token has been exchanged too often; begin with one of your provider", "ancestors")
        run = run_of(wish.run) or wish.run
        if principal.run and run not in ("", principal.run):
            raise ExchangeRefused("invalid_request", "the token is for another run")
        given = msgspec.structs.replace(
            principal,
            token_id=secrets.token_hex(_ID_ENTROPY_BYTES),
            ancestors=(principal.token_id, *principal.ancestors),
            audience=_audience(principal, wish.audience),
            sources=_sources(principal, wish.sources),
            run=principal.run or run,
            expires_at_s=self._end_s(principal, wish, now_s),
        )
        return SessionToken(given, now_s, wish.trace)

    def _end_s(self, principal: Principal, wish: Wish, now_s: float) -> float:
        longest_s = self._settings.lifetime_s
        end_s = now_s + min(wish.lifetime_s or longest_s, longest_s)
        return end_s if principal.expires_at_s is None else min(end_s, principal.expires_at_s)

    async def _spend(self, principal: Principal, now_s: float) -> None:
        ends_at_s = principal.expires_at_s or now_s
        if not await self._spent.spend(principal.issuer, principal.token_id, ends_at_s, now_s):
            raise LoginRefused("this token was exchanged before; get a new one", "exchanged before")

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise _no_time() from None

    async def _record(self, client_address: str, name: str, reason: str) -> None:
        await self._accept(ConnectionRefused(PROTOCOL, client_address, "", name, reason))

    async def _accept(self, record: AnyRecord) -> None:
        waiting = self._ledger.append(record)
        if waiting is not None:
            await waiting


def _no_time() -> StateUnavailable:
    return StateUnavailable("the gateway cannot tell the time")


def _acting(subject: Principal, actor: Principal) -> Principal:
    """The subject with the actor acting: neither may do more by that than it may do with its own token."""
    if actor.acting:
        raise LoginRefused("an actor's token is its own, with nobody acting for it", "the actor has an actor")
    if len(subject.acting) >= MAX_ACTING:
        raise LoginRefused("too many act for one another already", "too many actors")
    if subject.audience and actor.audience:
        audience = subject.audience & actor.audience
        if not audience:
            raise LoginRefused("the two tokens are for different things", "no common audience")
    else:
        audience = subject.audience | actor.audience
    return msgspec.structs.replace(
        subject,
        acting=(msgspec.structs.replace(actor, audience=frozenset(), sources=()), *subject.acting),
        audience=audience,
        sources=_sources(subject, actor.sources) if actor.sources else subject.sources,
        expires_at_s=min(filter(None, (subject.expires_at_s, actor.expires_at_s)), default=None),
    )


def _audience(principal: Principal, names: Sequence[str]) -> frozenset[str]:
    """What was asked for, if it is within what the principal's proof is good for."""
    if len(names) > MAX_AUDIENCE:
        raise ExchangeRefused("invalid_target", f"a token is for {MAX_AUDIENCE} connections at most")
    wanted = frozenset(name if name == API_AUDIENCE else connection_audience(name) for name in names)
    if not wanted and not principal.audience:
        raise ExchangeRefused("invalid_target", "say what the token is for: audience=CONNECTION, or audience=api")
    if principal.audience and not wanted <= principal.audience:
        raise ExchangeRefused("invalid_target", "the token that you exchange is not for all of this")
    return wanted or principal.audience


def _sources(principal: Principal, networks: Sequence[str]) -> tuple[str, ...]:
    """The networks asked for, each of which has to be within one that the principal's proof counts from."""
    if len(networks) > MAX_SOURCES:
        raise ExchangeRefused("invalid_request", f"a token counts from {MAX_SOURCES} networks at most")
    try:
        within = [network_within(network, principal.sources or (network,)) for network in networks]
    except ValueError:
        raise ExchangeRefused("invalid_request", "a source is an address, or a network as 192.0.2.0/24") from None
    if not all(within):
        raise ExchangeRefused("invalid_request", "the token that you exchange does not count from all of there")
    return tuple(networks) or principal.sources


def _issued(token: SessionToken, form: TokenForm, client_address: str) -> TokenIssued:
    principal = token.principal
    return TokenIssued(
        token_id=token.id,
        principal_kind=principal.kind.value,
        principal=principal.name,
        issuer=principal.issuer,
        subject=principal.subject,
        ancestors=principal.ancestors,
        acting=tuple(actor.name for actor in principal.acting),
        audience=tuple(sorted(principal.audience)),
        sources=principal.sources,
        run=principal.run,
        trace=token.trace,
        form=form.value,
        client_address=client_address,
        expires_at_s=principal.expires_at_s or 0.0,
    )
