"""Tokens that the gateway itself gives in exchange for others (RFC 8693): short, and never good for more.

Values only. Nothing in here signs, verifies or keeps anything.
"""

import enum
from typing import Final

import msgspec

from interlock.core.identity import Principal

OPAQUE_PREFIX: Final = "ilk_"
"""How opaque session tokens begin, so that they are known for what they are, also by scanners for secrets."""
MAX_LIFETIME_S: Final = 900
MAX_ANCESTORS: Final = 8
"""How often a token may be exchanged for another one."""


class TokenForm(enum.Enum):
    """How a session token is written."""

    OPAQUE = "opaque"
    """Short; the gateway that gave it knows what it means."""
    JWT = "jwt"
    """Signed; it says itself what it means."""


class SessionToken(msgspec.Struct, frozen=True):
    """What a session token means. ``principal`` is as it was proved, without what is registered for its name.

    The principal's ``token_id`` is the token's own id, its ``expires_at_s`` the token's end. ``given_at_s`` is Unix
    time. ``trace`` is the caller's own word for what it is part of.
    """

    principal: Principal
    given_at_s: float
    trace: str = ""

    @property
    def id(self) -> str:
        return self.principal.token_id


class IssuedSessionToken(msgspec.Struct, frozen=True):
    """A session token for whoever asked for it. ``repr`` leaves the token out."""

    text: str
    token: SessionToken
    form: TokenForm

    def __repr__(self) -> str:
        return f"IssuedSessionToken(id={self.token.id!r}, form={self.form.name})"
