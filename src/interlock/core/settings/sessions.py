"""Settings of sessions that are open: what becomes of them when what proved their identity does not count any more."""

import enum
from typing import Annotated

from msgspec import Meta

from interlock.core.settings.table import Table


class AtExpiry(enum.Enum):
    """What becomes of a session when the proof that opened it has come to its end."""

    END = "end"
    GRACE = "grace"


class SessionSettings(Table, frozen=True):
    """Sessions that are open, whatever the protocol."""

    at_expiry: Annotated[
        AtExpiry,
        Meta(
            description="What becomes of a session when the token that opened it expires: `end`, or `grace` to let it "
            "go on for `grace_s` more. Nothing new is opened with an expired token."
        ),
    ] = AtExpiry.END
    grace_s: Annotated[
        int, Meta(ge=1, le=86_400, description='With `at_expiry = "grace"`: for how long a session may go on.')
    ] = 300
    recheck_s: Annotated[
        int,
        Meta(
            ge=5,
            le=3600,
            description="How often it is looked at again whether what opened a session still counts: the registered "
            "identity, the login, the issuer's key, and what the issuer says of the token where it is asked.",
        ),
    ] = 60

    @property
    def after_expiry_s(self) -> float:
        """How long a session may outlive its proof."""
        return self.grace_s if self.at_expiry is AtExpiry.GRACE else 0.0
