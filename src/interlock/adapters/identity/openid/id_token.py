"""What an ID token must say before it proves who has signed in (OpenID Connect Core section 3.1.3.7).

An ID token is for one client and one sign-in. It is looked at here only, right after the issuer has given it.
"""

import base64
import hashlib
import hmac
import math
from typing import Any, Final

import msgspec

from interlock.adapters.identity.claims import CLOCK_SKEW_S, MAX_SUBJECT_CHARACTERS
from interlock.adapters.identity.keys import signature_holds
from interlock.adapters.identity.token import take_apart
from interlock.adapters.identity.verification import TokenSource
from interlock.core.errors import LoginRefused
from interlock.core.settings import IssuerSettings

NOT_ACCEPTED: Final = "the provider's answer is not accepted; begin the login again"
MAX_AGE_S: Final = 600.0
"""An ID token is read at once. Entra ID dates its tokens back by five minutes."""
ID_TOKEN_TYPES: Final = frozenset({"jwt", "application/jwt"})
_HASHES: Final = {
    "RS256": hashlib.sha256,
    "PS256": hashlib.sha256,
    "ES256": hashlib.sha256,
    "ES384": hashlib.sha384,
    "EdDSA": hashlib.sha512,
}


class SignInTokens(msgspec.Struct, frozen=True):
    """What an issuer gives for a code."""

    id_token: str
    access_token: str = ""

    def __repr__(self) -> str:
        return "SignInTokens(...)"


async def verify(
    tokens: SignInTokens, settings: IssuerSettings, keys: TokenSource, nonce: str, now_s: float
) -> dict[str, Any]:
    """The claims of an ID token of the issuer for its ``client_id`` and the sign-in of this nonce. Raises LoginRefused.

    ``keys`` are the issuer's.
    """
    token = take_apart(tokens.id_token, ID_TOKEN_TYPES)
    claims = token.claims
    if token.issuer != settings.url:
        raise _refused("iss is another issuer")
    if token.algorithm not in settings.algorithms:
        raise _refused("alg is not one of the issuer's")
    if not signature_holds(token, await keys.find_key(token.key_id, token.algorithm)):
        raise _refused("the signature does not hold")
    _check_purpose(claims)
    _check_client(claims, settings.client_id or "")
    _check_times(claims, now_s)
    _check_nonce(claims, nonce)
    _check_access_token(claims, tokens.access_token, token.algorithm)
    _check_strength(claims, settings, now_s)
    return claims


def _check_purpose(claims: dict[str, Any]) -> None:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise _refused("no sub claim of a sensible length")
    if "events" in claims:
        raise _refused("it is a security event")


def _check_client(claims: dict[str, Any], client_id: str) -> None:
    """It is for this client: if for others as well, it must say that this one asked for it."""
    audience, party = claims.get("aud"), claims.get("azp")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise _refused("aud is another client")
    if party is None and len(audiences) > 1:
        raise _refused("several audiences, and no azp")
    if party not in (None, client_id):
        raise _refused("azp is another client")


def _check_times(claims: dict[str, Any], now_s: float) -> None:
    issued_s, expires_s = _time(claims, "iat"), _time(claims, "exp")
    if expires_s <= now_s:
        raise _refused("exp is past")
    if not now_s - MAX_AGE_S <= issued_s <= now_s + CLOCK_SKEW_S:
        raise _refused("iat is not now: check the clocks")
    if "nbf" in claims and _time(claims, "nbf") > now_s + CLOCK_SKEW_S:
        raise _refused("nbf is in the future")


def _check_nonce(claims: dict[str, Any], nonce: str) -> None:
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise _refused("nonce is that of another sign-in")


def _check_access_token(claims: dict[str, Any], access_token: str, algorithm: str) -> None:
    """Where the token says which access token came with it, it is that (section 3.1.3.8)."""
    if "at_hash" not in claims:
        return
    digest = _HASHES[algorithm](access_token.encode("utf-8", "surrogatepass")).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")
    if claims["at_hash"] != half:
        raise _refused("at_hash is that of another access token")


def _check_strength(claims: dict[str, Any], settings: IssuerSettings, now_s: float) -> None:
    """How the person was authenticated, and when, where the settings ask for something."""
    if settings.acr_values and claims.get("acr") not in settings.acr_values:
        raise LoginRefused(
            "you have to sign in in a stronger way, such as with a second factor; begin the login again",
            "acr is none of acr_values",
        )
    if settings.max_age_s is not None and _time(claims, "auth_time") < now_s - settings.max_age_s - CLOCK_SKEW_S:
        raise _refused("auth_time is longer ago than max_age_s")


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused(f"{name} is no time")
    return float(value)


def _refused(reason: str) -> LoginRefused:
    return LoginRefused(NOT_ACCEPTED, f"ID token: {reason}")
