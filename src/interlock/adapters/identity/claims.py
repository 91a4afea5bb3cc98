"""What a token with a good signature must say of time, audience and purpose before it may log anyone in.

The messages here reach only the holder of a genuine token; they name what the holder can do something about.
"""

import math
from typing import Any, Final, Protocol

from interlock.adapters.identity.check import Check, Judge, refuse, shown
from interlock.adapters.identity.token import NOT_ACCEPTED
from interlock.core.errors import LoginRefused
from interlock.core.spiffe import SCHEME, workload_id

CLOCK_SKEW_S: Final = 60.0
MAX_SUBJECT_CHARACTERS: Final = 2048
_LATEST_TIME_S: Final = 253_402_300_800.0  # the year 10000


class TokenTerms(Protocol):
    """What an issuer's tokens are held to; see ``core.settings.IssuerSettings``."""

    @property
    def url(self) -> str: ...

    @property
    def audience(self) -> str: ...

    @property
    def algorithms(self) -> tuple[str, ...]: ...

    @property
    def longest_life_s(self) -> int: ...


def check_claims(claims: dict[str, Any], terms: TokenTerms, now_s: float, judge: Judge = refuse) -> float:
    """Check a verified token's registered claims (RFC 7519 section 4.1); returns when it ends, as Unix time.

    Raises what ``judge`` raises; for a token that does not hold and was not refused, the time means nothing.
    """
    issuer = claims.get("iss")
    judge(Check("iss", terms.url, shown(issuer), _unless(issuer == terms.url, "iss is another issuer")))
    _check_purpose(claims, terms.url, judge)
    _check_audience(claims.get("aud"), terms.audience, judge)
    return _check_times(claims, terms.longest_life_s, now_s, judge)


def _check_purpose(claims: dict[str, Any], issuer: str, judge: Judge) -> None:
    subject = claims.get("sub")
    sensible = isinstance(subject, str) and 0 < len(subject) <= MAX_SUBJECT_CHARACTERS
    judge(Check("sub", "a text", shown(subject), _unless(sensible, "no sub claim of a sensible length")))
    if issuer.startswith(SCHEME):
        workload = workload_id(subject) if isinstance(subject, str) else None
        of_domain = workload is not None and SCHEME + workload.trust_domain == issuer
        refusal = _unless(of_domain, "sub is no SPIFFE ID of a workload of the trust domain")
        judge(Check("SPIFFE ID", f"{issuer}/…", shown(subject), refusal))
    # Logout tokens and security events (RFC 8417) carry "events", some of them without a typ of their own.
    events = claims.get("events")
    refusal = _unless("events" not in claims, "it is a security event, not a bearer token")
    judge(Check("purpose", "no events claim", shown(events), refusal))
    # RFC 9449 section 7.1, RFC 8705 section 3: it counts only with a proof of the key, which nobody asks for here.
    bound = claims.get("cnf")
    refusal = _unless("cnf" not in claims, "it is bound to a key, and no bearer token")
    judge(Check("binding", "no cnf claim", shown(bound), refusal))


def _check_audience(audience: object, expected: str, judge: Judge) -> None:
    audiences = audience if isinstance(audience, list) else [audience]
    refusal = None
    if not expected or expected not in audiences:
        refusal = LoginRefused("the token was made for another audience", "aud does not name this gateway")
    judge(Check("aud", expected or "no audience is configured", shown(audience), refusal))


def _check_times(claims: dict[str, Any], max_age_s: int, now_s: float, judge: Judge) -> float:
    expires_s = _time(claims, "exp")
    issued_s, not_before_s = _time(claims, "iat"), _time(claims, "nbf")
    judge(Check("exp", f"after {now_s:.0f}", shown(claims.get("exp")), _end_refusal(expires_s, now_s)))
    early = None
    if max(issued_s or 0.0, not_before_s or 0.0) > now_s + CLOCK_SKEW_S:
        early = LoginRefused("the token is not valid yet; check the clocks", "iat or nbf is in the future")
    found = f"iat {shown(claims.get('iat'))}, nbf {shown(claims.get('nbf'))}"
    judge(Check("iat, nbf", f"at most {now_s + CLOCK_SKEW_S:.0f}", found, early))
    # Without iat its age is unknown, and the rest of its life is what can be bounded.
    begins_s = min(now_s, issued_s) if issued_s is not None else now_s
    life_s = (expires_s or 0.0) - begins_s
    long = None
    if life_s > max_age_s:
        text = f"the token lives too long; at most {max_age_s} seconds are accepted"
        long = LoginRefused(text, "exp - iat")
    judge(Check("exp - iat", f"at most {max_age_s} s", f"{life_s:.0f} s", long))
    return expires_s or 0.0


def _end_refusal(expires_s: float | None, now_s: float) -> LoginRefused | None:
    if expires_s is None:
        return LoginRefused("the token has no end of life", "no exp claim")
    if expires_s <= now_s:
        return LoginRefused("the token has expired; get a new one", "exp is past")
    return None


def _unless(holds: bool, reason: str) -> LoginRefused | None:
    return None if holds else LoginRefused(NOT_ACCEPTED, reason)


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A time. Raises LoginRefused for what is none, however it is judged."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LoginRefused(NOT_ACCEPTED, f"{name} is not a number")
    if not 0 <= value <= _LATEST_TIME_S or not math.isfinite(value):
        raise LoginRefused(NOT_ACCEPTED, f"{name} is out of range")
    return float(value)
