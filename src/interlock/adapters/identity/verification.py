"""The checks that a token of an issuer goes through, one after the other.

Whoever runs them says what happens at each (``check.Judge``): a login ends with the first that does not hold. No key
is ever taken from a token, and an unknown issuer is never contacted.
"""

from collections.abc import Mapping
from typing import Protocol

from interlock.adapters.identity.check import Check, Judge, shown
from interlock.adapters.identity.claims import TokenTerms, check_claims
from interlock.adapters.identity.keys import IssuerKeys, PublishedKey, signature_holds
from interlock.adapters.identity.token import BEARER_TYPES, NOT_ACCEPTED, UnverifiedToken
from interlock.core.errors import LoginRefused
from interlock.core.settings import TokenUse
from interlock.services.ports import Clock


class SourceSettings(TokenTerms, Protocol):
    """What is configured for a source of tokens."""

    @property
    def use(self) -> TokenUse: ...


class TokenSource(Protocol):
    """Whose tokens are looked at: an issuer, or a trust domain. ``generation`` grows when the keys change."""

    @property
    def settings(self) -> SourceSettings: ...

    @property
    def generation(self) -> int: ...

    async def refresh_when_old(self) -> None:
        """See to it that the keys may be used now. Raises LoginRefused when there are none that may."""

    async def find_key(self, key_id: str | None, algorithm: str) -> PublishedKey:
        """The key for a token. Raises LoginRefused."""

    async def close(self) -> None:
        """Release the connections."""


class Verification:
    """Verifies tokens of these sources, by their issuer."""

    def __init__(self, sources: Mapping[str, TokenSource], clock: Clock) -> None:
        self._sources = sources
        self._clock = clock

    async def run(
        self, token: UnverifiedToken, judge: Judge, keys: IssuerKeys | None = None
    ) -> tuple[TokenSource, float]:
        """Whose token it is, and when it ends as Unix time. With ``keys``, these are used and none is fetched.

        Raises LoginRefused when nothing more can be found out, and what ``judge`` raises.
        """
        source = self._sources.get(token.issuer)
        unknown = LoginRefused(NOT_ACCEPTED, "unknown issuer")
        known = ", ".join(self._sources) or "no issuer is configured"
        judge(Check("issuer", known, token.issuer, unknown if source is None else None))
        if source is None:
            raise unknown
        terms = source.settings
        _expect("typ", ", ".join(sorted(BEARER_TYPES)), token.token_type, token.token_type in BEARER_TYPES, judge)
        _expect("alg", ", ".join(terms.algorithms), token.algorithm, token.algorithm in terms.algorithms, judge)
        if token.algorithm in terms.algorithms:
            await _check_signature(token, source, judge, keys)
        return source, check_claims(token.claims, terms, self._now_s(), judge)

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None


_REASONS = {"typ": "typ is not that of a bearer token", "alg": "alg is not one of the issuer's"}


def _expect(name: str, expected: str, found: str, holds: bool, judge: Judge) -> None:
    judge(Check(name, expected, found, None if holds else LoginRefused(NOT_ACCEPTED, _REASONS[name])))


async def _check_signature(token: UnverifiedToken, source: TokenSource, judge: Judge, given: IssuerKeys | None) -> None:
    expected = f"a key of the issuer for {token.algorithm}"
    try:
        key = await _find_key(token, source, given)
    except LoginRefused as refused:
        judge(Check("key", expected, f"kid {shown(token.key_id)}", refused))
        return
    judge(Check("key", expected, f"kid {shown(token.key_id)}"))
    holds = signature_holds(token, key)
    refusal = None if holds else LoginRefused(NOT_ACCEPTED, "the signature does not hold")
    judge(Check("signature", "made with that key", "is" if holds else "is not", refusal))


async def _find_key(token: UnverifiedToken, source: TokenSource, given: IssuerKeys | None) -> PublishedKey:
    if given is None:
        return await source.find_key(token.key_id, token.algorithm)
    key = given.find(token.key_id, token.algorithm)
    if key is None:
        raise LoginRefused(NOT_ACCEPTED, "the keys that were given have no such key")
    return key
