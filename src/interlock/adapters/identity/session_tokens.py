"""The gateway's own session tokens as text: opaque ones, and signed ones that say themselves what they mean.

Implements ``services.ports.SessionTokens``. An opaque token is kept as its SHA-256 only.
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from interlock.adapters.identity.keys import signature_holds
from interlock.adapters.identity.token import NOT_ACCEPTED, UnverifiedToken
from interlock.adapters.identity.token_keys import ALGORITHM, TokenKeys
from interlock.adapters.store.session_tokens import SessionTokenTable
from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.core.identity import Principal
from interlock.core.session_token import OPAQUE_PREFIX, SessionToken, TokenForm
from interlock.services.ports import Clock

TOKEN_TYPE: Final = "interlock-session+jwt"  # noqa: S105 - the typ of the header, which no other token has
_ENTROPY_BYTES: Final = 32
_MEANING: Final = "interlock"
"""The claim that holds the whole ``SessionToken``; the registered claims beside it are for others to read."""
_EXPIRED: Final = "the session token has expired; get a new one with interlock token"


class SessionTokens:
    """Gives them and reads them. ``issuer`` is their ``iss``."""

    def __init__(self, issuer: str, keys: TokenKeys, table: SessionTokenTable, clock: Clock) -> None:
        self.issuer = issuer
        self._keys = keys
        self._table = table
        self._clock = clock

    async def give(self, token: SessionToken, form: TokenForm) -> str:
        """The token's text. Raises StateUnavailable, OSError."""
        now_s = self._clock.now_s()
        if form is TokenForm.JWT:
            return self._keys.sign(msgspec.json.encode(self._claims(token)), TOKEN_TYPE, now_s)
        text = OPAQUE_PREFIX + secrets.token_urlsafe(_ENTROPY_BYTES)
        await self._table.add(_digest(text), token, now_s)
        return text

    def read_opaque(self, text: str) -> Principal:
        """Whom an opaque token is for. Raises LoginRefused."""
        try:
            token = self._table.find(_digest(text))
        except StateUnavailable:
            raise LoginRefused("the gateway cannot look tokens up; try again later", "state store") from None
        if token is None:
            raise LoginRefused("the session token is not known, or has expired", "unknown session token")
        return self._counting(token)

    def read_signed(self, token: UnverifiedToken) -> Principal:
        """Whom a signed token is for. Raises LoginRefused."""
        if token.algorithm != ALGORITHM:
            raise LoginRefused(NOT_ACCEPTED, "alg is not that of the gateway's own tokens")
        if token.token_type != TOKEN_TYPE:
            raise LoginRefused(NOT_ACCEPTED, "typ is not that of the gateway's own tokens")
        key = self._keys.find(token.key_id)
        if key is None:
            raise LoginRefused(NOT_ACCEPTED, "the gateway has no such key")
        if not signature_holds(token, key):
            raise LoginRefused(NOT_ACCEPTED, "the signature does not hold")
        try:
            return self._counting(msgspec.convert(token.claims.get(_MEANING), SessionToken))
        except msgspec.ValidationError:
            raise LoginRefused(NOT_ACCEPTED, "the gateway's own token says nothing") from None

    def _counting(self, token: SessionToken) -> Principal:
        try:
            now_s = self._clock.now_s()
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None
        ends_at_s = token.principal.expires_at_s
        if ends_at_s is None or ends_at_s <= now_s:
            raise LoginRefused(_EXPIRED, "session token expired")
        return token.principal

    def _claims(self, token: SessionToken) -> dict[str, Any]:
        """RFC 9068 section 2.2 and RFC 8693 section 4.1."""
        principal = token.principal
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": principal.name,
            "aud": sorted(principal.audience),
            "iat": int(token.given_at_s),
            "exp": principal.expires_at_s,
            "jti": token.id,
            _MEANING: token,
        }
        if principal.acting:
            claims["act"] = _act(principal.acting)
        return claims | ({"run": principal.run} if principal.run else {})


def _act(acting: Sequence[Principal]) -> dict[str, Any]:
    """The current actor, with the earlier ones nested in it."""
    current, *earlier = acting
    act: dict[str, Any] = {"sub": current.name, "iss": current.issuer}
    return act | ({"act": _act(earlier)} if earlier else {})


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
