"""Logins of people: who has signed in at which provider, and until when the gateway goes by that.

Values only. The secret that stands for a login is shown to its holder once; what is kept is a digest of it.
"""

import enum
import hashlib
from typing import Final

import msgspec

from interlock.core.identity import Principal

SECRET_PREFIX: Final = "ill_"  # noqa: S105 - what secrets begin with
FAMILY_CHARACTERS: Final = 22
"""The first part of a secret, behind the prefix. It stays when a secret is renewed, and is as secret as the rest."""
MAX_SECRET_CHARACTERS: Final = 128
_TOKEN_ID_PREFIX: Final = "login:"  # noqa: S105 - what ids begin with


class LoginHolder(enum.Enum):
    """What holds the secret. One made for the one is nothing to the other."""

    BROWSER = "browser"
    """As a cookie, which stays the same."""
    CLI = "interlock-cli"
    """As a refresh token, which is renewed with each use (RFC 9700 section 2.2.2)."""


class Login(msgspec.Struct, frozen=True):
    """A person's login.

    ``principal`` is as the provider has proved it, with nothing that is registered here: whoever goes by it admits it
    anew. Its ``token_id`` is the login's, its ``login`` the provider's name of the session, both to revoke it by.
    Times are Unix time.
    """

    id: str
    holder: LoginHolder
    provider: str
    principal: Principal
    opened_at_s: float
    ends_at_s: float


class KeptLogin(msgspec.Struct, frozen=True):
    """A login with the digests that it is found and proved by. ``spent`` is the last secret but one, if any."""

    login: Login
    family: bytes
    secret: bytes
    spent: bytes = b""
    renewed_at_s: float = 0.0

    def __repr__(self) -> str:
        return f"KeptLogin({self.login.id!r})"


def login_token_id(login_id: str) -> str:
    """How principals of a login name it, as if it were a token."""
    return f"{_TOKEN_ID_PREFIX}{login_id}"


def logins_behind(principal: Principal) -> list[str]:
    """The ids of the logins that a principal, or who acts for it, comes from."""
    everybody = (principal, *principal.acting)
    tokens = [token for who in everybody for token in (who.token_id, *who.ancestors)]
    return [token.removeprefix(_TOKEN_ID_PREFIX) for token in tokens if token.startswith(_TOKEN_ID_PREFIX)]


def is_login_secret(text: str) -> bool:
    """Whether it could be the secret of a login, by its form."""
    return (
        text.startswith(SECRET_PREFIX) and len(SECRET_PREFIX) + FAMILY_CHARACTERS < len(text) <= MAX_SECRET_CHARACTERS
    )


def family_digest(secret: str) -> bytes:
    """SHA-256 of a secret's first part."""
    start = len(SECRET_PREFIX)
    return _sha256(secret[start : start + FAMILY_CHARACTERS])


def secret_digest(secret: str) -> bytes:
    """SHA-256 of a whole secret."""
    return _sha256(secret)


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
