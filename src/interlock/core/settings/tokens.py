"""Settings of the tokens that the gateway itself gives."""

from typing import Annotated

from msgspec import Meta

from interlock.core.session_token import MAX_LIFETIME_S
from interlock.core.settings.table import Table


class TokenSettings(Table, frozen=True):
    """The gateway's own tokens: what others are exchanged for (RFC 8693)."""

    issuer: Annotated[
        str,
        Meta(
            max_length=512,
            description="The `iss` claim of its tokens. Empty: `api.public_url`, or else `urn:interlock:NODE`.",
        ),
    ] = ""
    lifetime_s: Annotated[
        int,
        Meta(
            ge=30,
            le=MAX_LIFETIME_S,
            description="The longest life of a session token. It never outlives the token that it was given for.",
        ),
    ] = MAX_LIFETIME_S
    rotate_s: Annotated[
        int,
        Meta(
            ge=3600,
            le=31_536_000,
            description="How long a key signs. The next one is published a day (or half of this) before it signs, and "
            "the last one until all that it signed has ended.",
        ),
    ] = 2_592_000
