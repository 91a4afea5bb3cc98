"""What an identity provider says has changed about a person or a session there (RFC 8417, OpenID CAEP and RISC).

Values only. Nothing in here verifies who says so, or does anything about it.
"""

import enum
from typing import Final

import msgspec

from interlock.core.lock import LockSubject, at_issuer, email_subject, unnamed_login

BACK_CHANNEL_LOGOUT: Final = "http://schemas.openid.net/event/backchannel-logout"
_CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
_RISC: Final = "https://schemas.openid.net/secevent/risc/event-type/"
_SSF: Final = "https://schemas.openid.net/secevent/ssf/event-type/"
MAX_NAME_CHARACTERS: Final = 1024


class Effect(enum.Enum):
    """What follows from an event."""

    END = "end"
    """What was proved before is over; whoever proves it anew comes in again."""
    DISABLE = "disable"
    """Nobody comes in as this subject until the account is enabled."""
    PURGE = "purge"
    """Nobody ever comes in as this subject again."""
    ENABLE = "enable"
    """What ``DISABLE`` did is taken back."""
    NOTHING = "nothing"
    """It is put on record."""


EFFECTS: Final = {
    BACK_CHANNEL_LOGOUT: Effect.END,
    f"{_CAEP}session-revoked": Effect.END,
    f"{_CAEP}token-claims-change": Effect.END,
    f"{_CAEP}credential-change": Effect.END,
    f"{_RISC}sessions-revoked": Effect.END,
    f"{_RISC}credential-compromise": Effect.END,
    f"{_RISC}account-disabled": Effect.DISABLE,
    f"{_RISC}account-purged": Effect.PURGE,
    f"{_RISC}account-enabled": Effect.ENABLE,
    f"{_SSF}verification": Effect.NOTHING,
    f"{_SSF}stream-updated": Effect.NOTHING,
}
"""Other events are put on record, too, and nothing follows from them."""
HARMLESS_CHANGES: Final = frozenset({"create"})
"""Kinds of ``credential-change`` (CAEP 1.0, ``change_type``) by which nobody has lost anything."""


class EventSubject(msgspec.Struct, frozen=True):
    """Whom an event is about, as the issuer calls the person, the session there, or both. At least one is there."""

    subject: str = ""
    login: str = ""
    email: str = ""

    def __str__(self) -> str:
        parts = (("login", self.login), ("subject", self.subject), ("email", self.email))
        return ", ".join(f"{kind} {name}" for kind, name in parts if name)

    @property
    def is_person(self) -> bool:
        """Whether it says who the person is, and not a session only."""
        return bool(self.subject or self.email)

    def person(self, issuer: str) -> tuple[tuple[LockSubject, str], ...]:
        """What the person is locked under."""
        by_subject = [at_issuer(issuer, self.subject)] if self.subject else []
        by_email = [email_subject(issuer, self.email)] if self.email else []
        return tuple((LockSubject.SUBJECT, name) for name in by_subject + by_email)

    def session(self, issuer: str) -> tuple[tuple[LockSubject, str], ...]:
        """What the session is locked under; without one, all of the person's.

        A proof that names no session may be of the one that is meant: those of the person count with it. Which these
        are is not known of somebody who is called by an address: then all count.
        """
        if not self.login:
            return self.person(issuer)
        named = (LockSubject.LOGIN, at_issuer(issuer, self.login))
        unnamed = ((LockSubject.LOGIN, unnamed_login(issuer, self.subject)),) if self.subject else self.person(issuer)
        return (named, *unnamed)


class SecurityEvent(msgspec.Struct, frozen=True):
    """One event, as its issuer's signature has proved it.

    ``issuer`` is the URL of the issuer whose people it is about, ``id`` is unique there (``jti``). ``kind`` is the
    event type's URI. ``happened_at_s`` is Unix time, by the issuer's clock. ``about`` is None when it is about nobody
    who could be locked.
    """

    issuer: str
    id: str
    kind: str
    effect: Effect
    happened_at_s: float
    about: EventSubject | None = None
