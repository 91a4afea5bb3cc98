"""Verifies logout tokens (OpenID Connect Back-Channel Logout 1.0) and security event tokens (RFC 8417, OpenID SSF 1.0).

The keys are those of the issuer, or of whoever transmits for it as settings say; none is ever taken from a token. The
types of tokens are kept apart: what logs somebody in is no event, and no event logs anybody in. A transmitter's word
counts for its own issuer's people only.
"""

import hmac
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeGuard

import msgspec
import structlog

from interlock.adapters.identity.event_subject import read_subject
from interlock.adapters.identity.keys import signature_holds
from interlock.adapters.identity.token import UnverifiedToken, take_apart
from interlock.adapters.identity.verification import TokenSource
from interlock.adapters.secret_reference import read_secret
from interlock.core.errors import CredentialUnavailable, LoginRefused, StateUnavailable
from interlock.core.security_event import (
    BACK_CHANNEL_LOGOUT,
    EFFECTS,
    HARMLESS_CHANGES,
    MAX_NAME_CHARACTERS,
    Effect,
    EventSubject,
    SecurityEvent,
)
from interlock.core.settings import SecretReference
from interlock.services.ports import Clock
from interlock.services.security_events import CLOCK_SKEW_S, MAX_AGE_S, EventRefused

MAX_LOGOUT_AGE_S: Final = 300.0
"""Section 2.4 recommends that they expire within two minutes; retries take a little longer."""
LOGOUT_TYPES: Final = frozenset({"logout+jwt", "application/logout+jwt", "jwt"})
"""Older providers say ``JWT`` or nothing: no bearer token has ``events``, and no logout token is one without them."""
EVENT_TYPES: Final = frozenset({"secevent+jwt", "application/secevent+jwt"})
MAX_ID_CHARACTERS: Final = 256
_OF_ACCOUNTS: Final = frozenset({Effect.DISABLE, Effect.PURGE, Effect.ENABLE})
_MILLISECONDS_FROM_S: Final = 1e11
"""Early transmitters give ``event_timestamp`` in milliseconds: seconds are below this for three thousand years."""

log = structlog.get_logger(__name__)


class EventSource(msgspec.Struct, frozen=True):
    """Who may send events of a kind about an issuer's people: what ``iss`` and ``aud`` have to be, and whose keys."""

    issuer: str
    transmitter: str
    audience: str
    keys: TokenSource
    algorithms: tuple[str, ...]
    push_secret: SecretReference | None = None


class EventVerifier:
    """Verifies events. ``logouts`` and ``streams`` are who may send them, by the name in the path they come to."""

    def __init__(self, logouts: Mapping[str, EventSource], streams: Mapping[str, EventSource], clock: Clock) -> None:
        self._logouts = logouts
        self._streams = streams
        self._clock = clock

    async def check_sender(self, name: str, authorization: str) -> None:
        """Whether somebody with this header may push events. Raises EventRefused, StateUnavailable."""
        reference = _known(self._streams, name).push_secret
        if reference is None:
            return
        try:
            expected = await read_secret(reference)
        except CredentialUnavailable as error:
            log.error("security event not looked at", issuer=name, error=str(error))
            raise StateUnavailable("the sender cannot be told from others now; send it again") from None
        if not hmac.compare_digest(expected.encode(), authorization.encode("utf-8", "surrogatepass")):
            raise EventRefused("the Authorization header is not the transmitter's", "authentication_failed")

    async def logout(self, name: str, token: str) -> SecurityEvent:
        """What a logout token says (section 2.6). Raises EventRefused, StateUnavailable."""
        source = _known(self._logouts, name)
        claims = await _verify(token, LOGOUT_TYPES, source)
        now_s = self._now_s()
        issued_s = _issued_s(claims, now_s, MAX_LOGOUT_AGE_S)
        expires_s = claims.get("exp")
        if expires_s is not None and not (_is_number(expires_s) and now_s < expires_s + CLOCK_SKEW_S):
            raise EventRefused("exp is past, or no time")
        if "nonce" in claims:
            raise EventRefused("a logout token has no nonce")
        if claims.get("events") != {BACK_CHANNEL_LOGOUT: {}}:
            raise EventRefused("events is not that of a logout")
        about = EventSubject(subject=_name(claims, "sub"), login=_name(claims, "sid"))
        if not (about.subject or about.login):
            raise EventRefused("neither sub nor sid")
        return SecurityEvent(source.issuer, _id(claims), BACK_CHANNEL_LOGOUT, Effect.END, issued_s, about)

    async def event(self, name: str, token: str) -> SecurityEvent:
        """What a security event token says. Raises EventRefused, StateUnavailable."""
        source = _known(self._streams, name)
        claims = await _verify(token, EVENT_TYPES, source)
        now_s = self._now_s()
        issued_s = _issued_s(claims, now_s, MAX_AGE_S)
        kind, details = _only_event(claims.get("events"))
        effect = EFFECTS.get(kind, Effect.NOTHING)
        if details.get("change_type") in HARMLESS_CHANGES:
            effect = Effect.NOTHING
        about = _about(claims, details, source.issuer, effect)
        # Told by the clock that dates the issuer's tokens: so they are compared with each other, not with ours.
        happened_s = min(_happened_s(claims, details, issued_s), now_s + CLOCK_SKEW_S)
        return SecurityEvent(source.issuer, _id(claims), kind, effect, happened_s, about)

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None


def _known(sources: Mapping[str, EventSource], name: str) -> EventSource:
    if name not in sources:
        raise EventRefused("nobody may send this kind of event here", "access_denied")
    return sources[name]


async def _verify(token: str, types: Collection[str], source: EventSource) -> dict[str, Any]:
    """The claims of a token that the source has signed for this gateway."""
    try:
        unverified = take_apart(token, types)
    except LoginRefused as refused:
        raise EventRefused(refused.reason) from None
    if unverified.issuer != source.transmitter:
        raise EventRefused("iss is somebody else", "invalid_issuer")
    await _check_signature(unverified, source)
    audience = unverified.claims.get("aud")
    if source.audience not in (audience if isinstance(audience, list) else [audience]):
        raise EventRefused("aud does not name this gateway", "invalid_audience")
    return unverified.claims


async def _check_signature(token: UnverifiedToken, source: EventSource) -> None:
    if token.algorithm not in source.algorithms:
        raise EventRefused("alg is not one of the issuer's", "invalid_key")
    try:
        await source.keys.refresh_when_old()
    except LoginRefused:
        raise StateUnavailable("the keys of the issuer cannot be had now; send it again") from None
    try:
        key = await source.keys.find_key(token.key_id, token.algorithm)
    except LoginRefused as refused:
        raise EventRefused(refused.reason, "invalid_key") from None
    if not signature_holds(token, key):
        raise EventRefused("the signature does not hold", "invalid_key")


def _issued_s(claims: dict[str, Any], now_s: float, max_age_s: float) -> float:
    issued_s = claims.get("iat")
    if not _is_number(issued_s):
        raise EventRefused("iat is not a time")
    if not now_s - max_age_s <= issued_s <= now_s + CLOCK_SKEW_S:
        raise EventRefused("iat is too old, or in the future")
    return float(issued_s)


def _happened_s(claims: dict[str, Any], details: dict[str, Any], issued_s: float) -> float:
    """By the event (CAEP 1.0, ``event_timestamp``), by the token (``toe`` of RFC 8417), or when it was issued."""
    for value in (details.get("event_timestamp"), claims.get("toe")):
        if value is not None:
            if not _is_number(value) or value <= 0:
                raise EventRefused("the time of the event is no time")
            return float(value if value < _MILLISECONDS_FROM_S else value / 1000)
    return issued_s


def _only_event(events: object) -> tuple[str, dict[str, Any]]:
    """The one event that a token of SSF has (section 4.1.1)."""
    if not isinstance(events, dict) or len(events) != 1:
        raise EventRefused("events is not one event")
    ((kind, details),) = events.items()
    if not isinstance(details, dict) or not 0 < len(kind) <= MAX_NAME_CHARACTERS:
        raise EventRefused("the event is no object, or has no sensible name")
    if kind == BACK_CHANNEL_LOGOUT:
        raise EventRefused("a logout token is no security event")
    return kind, details


def _about(claims: dict[str, Any], details: dict[str, Any], issuer: str, effect: Effect) -> EventSubject | None:
    """``sub_id`` of the token (RFC 9493), or ``subject`` of the event, as drafts of SSF had it."""
    subject = claims["sub_id"] if "sub_id" in claims else details.get("subject")
    try:
        about = read_subject(subject, issuer)
    except ValueError as error:
        if effect is Effect.NOTHING:
            return None
        raise EventRefused(f"whom it is about: {error}") from None
    if effect in _OF_ACCOUNTS and not about.is_person:
        raise EventRefused("whom it is about: it names no account")
    return about


def _id(claims: dict[str, Any]) -> str:
    event_id = claims.get("jti")
    if not isinstance(event_id, str) or not 0 < len(event_id) <= MAX_ID_CHARACTERS:
        raise EventRefused("jti is not a short text")
    return event_id


def _name(claims: dict[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if value is None:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS:
        raise EventRefused(f"{claim} is not a short text")
    return value


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
