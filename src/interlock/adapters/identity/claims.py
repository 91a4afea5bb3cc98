"""What a token with a good signature must say of time, audience and purpose before it may log anyone in.

The messages here reach only the holder of a genuine token; they name what the holder can do something about.
"""

import math
from typing import Any, Final

from interlock.adapters.identity.token import NOT_ACCEPTED
from interlock.core.errors import LoginRefused
from interlock.core.settings import IssuerSettings

CLOCK_SKEW_S: Final = 60.0
MAX_SUBJECT_CHARACTERS: Final = 1024
_LATEST_TIME_S: Final = 253_402_300_800.0  # the year 10000


def check_claims(claims: dict[str, Any], issuer: IssuerSettings, now_s: float) -> float:
    """Check a verified token's registered claims (RFC 7519 section 4.1); returns when it ends, as Unix time.

    Raises LoginRefused.
    """
    if claims.get("iss") != issuer.url:
        raise LoginRefused(NOT_ACCEPTED, "iss is another issuer")
    _check_purpose(claims)
    _check_audience(claims.get("aud"), issuer.audience)
    return _check_times(claims, issuer.longest_life_s, now_s)


def _check_purpose(claims: dict[str, Any]) -> None:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise LoginRefused(NOT_ACCEPTED, "no sub claim of a sensible length")
    # Logout tokens and security events (RFC 8417) carry "events", some of them without a typ of their own.
    if "events" in claims:
        raise LoginRefused(NOT_ACCEPTED, "it is a security event, not a bearer token")


def _check_audience(audience: object, expected: str) -> None:
    audiences = audience if isinstance(audience, list) else [audience]
    if expected not in audiences:
        raise LoginRefused("the token was made for another audience", "aud does not name this gateway")


def _check_times(claims: dict[str, Any], max_age_s: int, now_s: float) -> float:
    expires_s = _time(claims, "exp")
    issued_s, not_before_s = _time(claims, "iat"), _time(claims, "nbf")
    if expires_s is None:
        raise LoginRefused("the token has no end of life", "no exp claim")
    if expires_s <= now_s:
        raise LoginRefused("the token has expired; get a new one", "exp is past")
    if max(issued_s or 0.0, not_before_s or 0.0) > now_s + CLOCK_SKEW_S:
        raise LoginRefused("the token is not valid yet; check the clocks", "iat or nbf is in the future")
    # Without iat its age is unknown, and the rest of its life is what can be bounded.
    begins_s = min(now_s, issued_s) if issued_s is not None else now_s
    if expires_s - begins_s > max_age_s:
        raise LoginRefused(f"the token lives too long; at most {max_age_s} seconds are accepted", "exp - iat")
    return expires_s


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LoginRefused(NOT_ACCEPTED, f"{name} is not a number")
    if not 0 <= value <= _LATEST_TIME_S or not math.isfinite(value):
        raise LoginRefused(NOT_ACCEPTED, f"{name} is out of range")
    return float(value)
