"""Turns callers' proofs into principals: bearer tokens of trusted issuers, and identities with a generated secret.

Implements ``services.ports.Authenticator``. It keeps no token: verified ones are remembered by SHA-256 until they end.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from interlock.adapters.identity.check import refuse
from interlock.adapters.identity.claims import check_claims
from interlock.adapters.identity.introspection import Introspection, is_opaque
from interlock.adapters.identity.issuer import Issuer
from interlock.adapters.identity.proofs import AcceptedProof, AcceptedProofs, UsedKey
from interlock.adapters.identity.registry import Registry
from interlock.adapters.identity.rules import Rules
from interlock.adapters.identity.session_tokens import TOKEN_TYPE, SessionTokens
from interlock.adapters.identity.token import BEARER_TYPES, NOT_ACCEPTED, UnverifiedToken, take_apart
from interlock.adapters.identity.trust_domain import TrustDomain
from interlock.adapters.identity.verification import TokenSource, Verification
from interlock.core.addresses import client_source
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.session_token import OPAQUE_PREFIX
from interlock.core.settings import IdentityRule, IssuerSettings, TokenUse, Trust
from interlock.core.spiffe import SCHEME
from interlock.services.ports import Clock
from interlock.services.rate_limit import RateLimit

MAX_REMEMBERED: Final = 10_000
UNKNOWN_PER_MINUTE: Final = 60
"""Opaque tokens from one address that their issuer does not know."""
_ALL_TYPES: Final = BEARER_TYPES | {TOKEN_TYPE}


class _Verified(msgspec.Struct, frozen=True):
    """A token that was verified, without the token."""

    issuer: TokenSource
    generation: int
    claims: dict[str, Any]
    token_id: str
    expires_at_s: float
    key: UsedKey


class TokenAuthenticator:
    """Verifies tokens and looks identities up. One for the whole gateway; needs a running event loop."""

    def __init__(
        self,
        issuers: Iterable[IssuerSettings],
        rules: Iterable[IdentityRule],
        registry: Registry,
        clock: Clock,
        own: SessionTokens | None = None,
        others: Iterable[str] = (),
        trust_domains: Iterable[TrustDomain] = (),
        introspections: Iterable[Introspection] = (),
    ) -> None:
        """``own`` reads the gateway's tokens; ``others`` are issuers of proofs that are no bearer tokens.

        What is behind ``trust_domains`` and ``introspections`` is closed with it.
        """
        issuers = tuple(issuers)
        self._issuers: dict[str, TokenSource] = {settings.url: Issuer(settings, clock) for settings in issuers}
        self._issuers |= {domain.settings.url: domain for domain in trust_domains}
        trusts = {settings.url: settings.trust for settings in issuers if settings.trust is not None}
        self._registry = registry
        trusts |= {url: Trust.SPIFFE for url in self._issuers if url.startswith(SCHEME)}
        self.rules = Rules(rules, {settings.label: settings.url for settings in issuers}, trusts)
        self._clock = clock
        self._own = own
        self._others = frozenset(others)
        self._remembered: dict[bytes, _Verified] = {}
        self.verification = Verification(self._issuers, clock)
        self._introspections = {asked.issuer: asked for asked in introspections}
        self._opaque = next((asked for asked in self._introspections.values() if asked.opaque), None)
        self._unknown = RateLimit(UNKNOWN_PER_MINUTE, clock)
        self.accepted = AcceptedProofs()

    async def authenticate(self, token: str, client_address: str) -> Principal:
        """The principal behind a bearer token, with what is registered for its name. Raises LoginRefused."""
        principal = await self.prove(token, client_address)
        if self._use(principal) is not TokenUse.LOGIN:
            raise LoginRefused(
                "this token is only for being exchanged: get a session token for it with interlock token",
                "the issuer's tokens are for exchange only",
            )
        return self.admit(principal)

    def admit(self, principal: Principal) -> Principal:
        """The principal with what is registered for its name now. Raises LoginRefused when it may not log in."""
        return self._registry.admit(principal)

    async def prove(self, token: str, client_address: str) -> Principal:
        """Whom a bearer token speaks for, by itself: nothing that is registered is in it. Raises LoginRefused."""
        if self._own is not None and token.startswith(OPAQUE_PREFIX):
            return await self._as_counting(self._own.read_opaque(token))
        if self._opaque is not None and is_opaque(token):
            return await self._prove_opaque(self._opaque, token, client_source(client_address))
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        verified = self._remembered.get(digest)
        if verified is None or not await self._still_holds(verified):
            self._remembered.pop(digest, None)
            unverified = self.take_apart(token)
            if self._own is not None and unverified.issuer == self._own.issuer:
                return await self._as_counting(self._own.read_signed(unverified))
            verified = await self._verify(unverified)
            self._remember(digest, verified)
        principal = self.rules.principal(verified.claims, verified.token_id, verified.expires_at_s)
        asked = self._introspections.get(principal.issuer)
        if asked is not None and await asked.is_refused(token):
            raise LoginRefused(NOT_ACCEPTED, "its issuer says that the token is not active, or cannot be asked")
        question = asked.about(token) if asked is not None else None
        self.accepted.remember(principal, AcceptedProof(verified.key, question))
        return principal

    async def _prove_opaque(self, asked: Introspection, token: str, origin: str) -> Principal:
        """Whom a token speaks for that says nothing itself. Raises LoginRefused.

        Who comes with made-up ones over and over does not keep the issuer busy.
        """
        if wait_s := self._unknown.wait_s(origin):
            raise LoginRefused(f"too many tokens that nobody knows; wait {wait_s} s", "too many unknown opaque tokens")
        try:
            claims = await asked.opaque_claims(token)
        except LoginRefused:
            self._unknown.take(origin)
            raise
        source = self._issuers[asked.issuer]
        expires_at_s = check_claims(claims, source.settings, self._now_s(), refuse)
        principal = self.rules.principal(claims, _token_id(claims, token.encode()), expires_at_s)
        self.accepted.remember(principal, AcceptedProof(None, asked.about(token)))
        return principal

    def take_apart(self, token: str) -> UnverifiedToken:
        """The parts of a token that may be one of those that are verified here. Raises LoginRefused."""
        return take_apart(token, _ALL_TYPES)

    def is_for_one_exchange(self, principal: Principal) -> bool:
        """Whether the proof that the principal comes from may be exchanged once only."""
        return self._use(principal) is TokenUse.EXCHANGE_ONCE

    def _use(self, principal: Principal) -> TokenUse:
        issuer = self._issuers.get(principal.issuer)
        return issuer.settings.use if issuer is not None and not principal.ancestors else TokenUse.LOGIN

    async def _as_counting(self, principal: Principal) -> Principal:
        """Whom a token of the gateway's own is for, as long as what it came from counts. Raises LoginRefused."""
        if not all(self.trusts(who.issuer) for who in (principal, *principal.acting)):
            raise LoginRefused(NOT_ACCEPTED, "who vouched for it first is not trusted any more")
        if (taken_back := await self.accepted.refusal(principal)) is not None:
            raise LoginRefused(taken_back, "what the token came from counts no more")
        return principal

    def scram_verifier(self, user: str) -> str | None:
        """The SCRAM-SHA-256 verifier of an identity that has a generated secret and may log in, else None."""
        try:
            identity = self._registry.find(user)
            if identity is not None:
                self._registry.own(identity)
        except LoginRefused:
            return None
        return identity.scram_verifier if identity is not None else None

    def scram_principal(self, user: str) -> Principal:
        """The principal behind a SCRAM user that has just proved its secret. Raises LoginRefused."""
        identity = self._registry.find(user)
        if identity is None or identity.scram_verifier is None:
            raise LoginRefused("the secret is not accepted", "no such identity, or it has no secret")
        return self._registry.own(identity)

    def trusts(self, issuer: str) -> bool:
        """Whether tokens of this issuer are looked at."""
        return issuer in self._issuers or issuer in self._others

    @property
    def sources(self) -> Mapping[str, TokenSource]:
        """Whose tokens are looked at, by their names in tokens."""
        return self._issuers

    async def close(self) -> None:
        """Release the connections to the issuers."""
        await asyncio.gather(*(issuer.close() for issuer in self._issuers.values()))
        await asyncio.gather(*(asked.close() for asked in self._introspections.values()))

    async def _still_holds(self, verified: _Verified) -> bool:
        if verified.expires_at_s <= self._now_s():
            return False
        await verified.issuer.refresh_when_old()
        return verified.generation == verified.issuer.generation

    async def _verify(self, token: UnverifiedToken) -> _Verified:
        source, expires_at_s = await self.verification.run(token, refuse)
        key = await source.find_key(token.key_id, token.algorithm)
        used = UsedKey(source, token.key_id, token.algorithm, key.thumbprint)
        token_id = _token_id(token.claims, token.signing_input)
        return _Verified(source, source.generation, token.claims, token_id, expires_at_s, used)

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        """Keep it until it ends; when there are too many, the oldest goes."""
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[digest] = verified

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None


def _token_id(claims: Mapping[str, Any], content: bytes) -> str:
    """``jti``, or else the beginning of the SHA-256 of the token's content.

    The signature is no part of that: of one ECDSA signature anybody can make another one that holds as well.
    """
    token_id = claims.get("jti")
    if isinstance(token_id, str) and 0 < len(token_id) <= 256:
        return token_id
    return f"sha256:{hashlib.sha256(content).hexdigest()[:32]}"
