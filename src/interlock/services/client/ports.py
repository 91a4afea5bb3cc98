"""What being a client of a gateway takes: the gateway's endpoints, what is kept, and what the machine can prove."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from interlock.core.client import ClientLogin, HeldToken
from interlock.core.errors import AdministrationRefused, ConfigurationError

FormFields = Sequence[tuple[str, str]]
WriteFile = Callable[[str, bytes], Path]
"""Writes a file of this name for this account only, as a whole or not at all; where it is."""


class GrantRefused(AdministrationRefused):
    """The gateway gives no token. ``code`` is that of RFC 6749 section 5.2 or RFC 8628 section 3.5."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ShelfUnusable(ConfigurationError):
    """Nothing can be kept on this machine, or read from there."""


class LoginDamaged(ConfigurationError):
    """What is kept of a login cannot be read as one."""


class TokenAnswer(msgspec.Struct, frozen=True):
    """What a token endpoint gives (RFC 6749 section 5.1). ``login`` is the name of whoever has logged in."""

    access_token: str = ""
    expires_in: float = 0
    refresh_token: str = ""
    token_id: str = ""
    audience: tuple[str, ...] = ()
    login: str = ""
    login_ends_at_s: float | None = None

    def __repr__(self) -> str:
        return "TokenAnswer(...)"


class ServerMetadata(msgspec.Struct, frozen=True):
    """As far as logging in is concerned (RFC 8414 section 2).

    ``authorization_endpoint`` is an https URL, or empty. Without a ``device_authorization_endpoint`` nobody can
    log in on another machine.
    """

    issuer: str = ""
    authorization_endpoint: str = ""
    device_authorization_endpoint: str = ""


class DeviceAnswer(msgspec.Struct, frozen=True):
    """What a device authorization endpoint gives (RFC 8628 section 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    expires_in: float
    verification_uri_complete: str = ""
    interval: float = 5

    def __repr__(self) -> str:
        return "DeviceAnswer(...)"


class AuthorizationServer(Protocol):
    """The gateway's endpoints for tokens. Everything raises GrantRefused for a refusal, and AdministrationRefused
    when the gateway cannot be reached, is not who it should be, or does not answer as it should."""

    def metadata(self) -> ServerMetadata:
        """What the gateway says of itself (RFC 8414)."""

    def token(self, fields: FormFields) -> TokenAnswer:
        """The answer of the token endpoint."""

    def device(self, fields: FormFields) -> DeviceAnswer:
        """The answer of the device authorization endpoint."""

    def revoke(self, token: str) -> None:
        """End a login (RFC 7009)."""


class Redirection(Protocol):
    """One answer that a browser brings to this machine."""

    @property
    def uri(self) -> str:
        """Where it is expected."""

    def wait(self, timeout_s: float) -> dict[str, str]:
        """The parameters of the answer with the right ``state``. Raises TimeoutError."""


class Shelf(Protocol):
    """What is kept of one gateway, for nobody but this account.

    Everything raises ConfigurationError when others may reach what is kept, and ShelfUnusable when it cannot be read or
    kept.
    """

    def locked(self) -> AbstractContextManager[None]:
        """Keeps other processes away from what is kept. Makes the place for it when there is none."""

    def login(self) -> ClientLogin | None:
        """The login that is kept. Raises LoginDamaged."""

    def keep_login(self, login: ClientLogin) -> None:
        """Keep a login in the place of the one before, and forget the tokens that came of that."""

    def renew_login(self, login: ClientLogin) -> None:
        """Keep the same login with another secret."""

    def forget(self) -> None:
        """Remove login, tokens and files."""

    def token(self, key: str) -> HeldToken | None:
        """The token that was kept by this key; a damaged one is none."""

    def keep_token(self, key: str, token: HeldToken, now_s: float) -> None:
        """Keep a token; those that have ended are forgotten."""

    def write_file(self, name: str, content: bytes) -> Path:
        """Write a file that stays, as a whole or not at all; where it is."""

    def temporary(self) -> AbstractContextManager[WriteFile]:
        """What writes files that are removed in the end."""


class Proof(Protocol):
    """A token that the machine has of its own."""

    @property
    def key(self) -> str:
        """What stays the same as long as it speaks for the same holder. Shows nothing of the token."""

    def read(self) -> str:
        """The token, as it is now. Raises AdministrationRefused, ConfigurationError."""


class Proofs(Protocol):
    """What the machine can prove without a login."""

    def subject(self) -> Proof | None:
        """Whose session token it is to be; None: go by the login. Raises ConfigurationError."""

    def actor(self) -> Proof | None:
        """Who acts for them, if that is somebody else. Raises ConfigurationError."""
