"""Settings of what issuers say once a token was given: streams of security events, and whether it still counts."""

import enum
from typing import Annotated

from msgspec import Meta

from interlock.core.settings.references import SecretReference
from interlock.core.settings.table import Table

Url = Annotated[str, Meta(min_length=1, max_length=2048)]


class EventStreamSettings(Table, frozen=True):
    """A stream of security events about an issuer's people (OpenID Shared Signals Framework 1.0)."""

    audience: Annotated[
        str,
        Meta(min_length=1, max_length=1024, description="What the events' `aud` claim must contain: this gateway."),
    ]
    transmitter: Annotated[
        Url | None,
        Meta(description="Who sends the events, exactly as in their `iss` claim. Absent: the issuer's `url`."),
    ] = None
    jwks_url: Annotated[
        Url | None,
        Meta(description="Where the `transmitter` publishes its keys. Absent: they are signed with the issuer's."),
    ] = None
    push_secret: Annotated[
        SecretReference | None,
        Meta(
            description="Where the value is of the `Authorization` header that the transmitter sends with events to "
            "`/events/NAME` (RFC 8935). Absent: their signature is all that vouches for them."
        ),
    ] = None
    poll_url: Annotated[
        Url | None, Meta(description="Where events are fetched (RFC 8936). Absent: the transmitter pushes them.")
    ] = None
    poll_token: Annotated[SecretReference | None, Meta(description="Where the bearer token for `poll_url` is.")] = None
    poll_every_s: Annotated[int, Meta(ge=5, le=3600, description="How often events are fetched, in seconds.")] = 15

    def __post_init__(self) -> None:
        if (self.transmitter is None) != (self.jwks_url is None):
            raise ValueError("transmitter and jwks_url are given together, or neither")
        if self.poll_token is not None and self.poll_url is None:
            raise ValueError("poll_token: is for poll_url, which is missing")


class OnError(enum.Enum):
    """What a token is worth while its issuer cannot be asked."""

    DENY = "deny"
    ALLOW_UNTIL_EXPIRY = "allow-until-expiry"


class IntrospectionSettings(Table, frozen=True):
    """Asks an issuer whether a token still counts (RFC 7662), besides checking it here."""

    client_id: Annotated[str, Meta(min_length=1, max_length=256, description="The gateway's client at the issuer.")]
    client_secret: Annotated[SecretReference, Meta(description="Where the secret of `client_id` is.")]
    url: Annotated[Url | None, Meta(description="Where it is asked. Absent: found by discovery.")] = None
    cache_s: Annotated[int, Meta(ge=0, le=60, description="How long an answer is good for, in seconds.")] = 30
    on_error: Annotated[
        OnError,
        Meta(
            description="When the issuer cannot be asked: `deny`, or `allow-until-expiry` to go by the token alone. "
            "Opaque tokens are denied in any case; sessions that are open live on."
        ),
    ] = OnError.DENY
    opaque: Annotated[
        bool,
        Meta(
            description="Whether tokens that are no JWTs are the issuer's, too: what it answers takes the place of "
            "claims. One issuer at most."
        ),
    ] = False
