"""People who sign in with a browser on another device for a program that has none (RFC 8628).

The program asks the gateway, and the gateway asks the issuer, at most as often as the issuer wants: whenever the
program asks. A device code of the gateway's own stands for the issuer's, which nobody is shown. What is remembered is
bounded by what ``DeviceIssuer`` begins; codes are kept as digests.
"""

import hashlib
import secrets
from typing import Final, Protocol

import msgspec

from interlock.core.errors import LoginRefused
from interlock.services.ports import Clock

SLOW_DOWN_S: Final = 5.0
"""By how much a program that asks too often has to ask less often (RFC 8628 section 3.5)."""
MAX_REMEMBERED: Final = 100


class DeviceLogin(Protocol):
    """One login that is under way at the issuer."""

    @property
    def user_code(self) -> str: ...

    @property
    def verification_uri_complete(self) -> str: ...

    @property
    def interval_s(self) -> float: ...

    @property
    def expires_in_s(self) -> float: ...

    async def ask(self) -> str | None:
        """The token, None as long as nobody has signed in. Raises ``LoginRefused``."""

    def abandon(self) -> None:
        """Nobody waits for it any more."""


class DeviceIssuer(Protocol):
    """Where people sign in so."""

    async def begin(self, client_host: str) -> DeviceLogin:
        """Raises ``LoginRefused``."""


class NotYet(Exception):
    """There is no login yet: ``code`` is what RFC 8628 section 3.5 calls it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Waiting(msgspec.Struct):
    """``next_at_s`` is when the program may ask again, in monotonic seconds."""

    login: DeviceLogin
    interval_s: float
    next_at_s: float
    asking: bool = False

    def __repr__(self) -> str:
        return "_Waiting(...)"


class DeviceSignIns:
    """The logins that programs wait for."""

    def __init__(self, issuer: DeviceIssuer, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        self._waiting: dict[bytes, _Waiting] = {}

    async def begin(self, client_host: str) -> tuple[str, DeviceLogin]:
        """A login that somebody has asked for from this host, and the code to ask for its outcome by.

        Raises LoginRefused.
        """
        login = await self._issuer.begin(client_host)
        self._forget_old()
        if len(self._waiting) >= MAX_REMEMBERED:
            login.abandon()
            raise LoginRefused("too many logins are under way; try again later", "device login: too many")
        code = secrets.token_urlsafe(32)
        self._waiting[_digest(code)] = _Waiting(login, login.interval_s, self._clock.monotonic_s() + login.interval_s)
        return code, login

    async def ask(self, code: str) -> str:
        """The issuer's token, once somebody has signed in; the code counts no more. Raises NotYet, LoginRefused."""
        digest = _digest(code)
        waiting = self._waiting.get(digest)
        if waiting is None or waiting.login.expires_in_s <= 0:
            self._forget_old()
            raise NotYet("expired_token")
        if waiting.asking or self._clock.monotonic_s() < waiting.next_at_s:
            waiting.interval_s += SLOW_DOWN_S
            raise NotYet("slow_down")
        waiting.asking = True
        try:
            token = await waiting.login.ask()
        except LoginRefused:
            self._forget(digest)
            raise
        finally:
            waiting.asking = False
            waiting.interval_s = max(waiting.interval_s, waiting.login.interval_s)
            waiting.next_at_s = self._clock.monotonic_s() + waiting.interval_s
        if token is None:
            raise NotYet("authorization_pending")
        self._forget(digest)
        return token

    def _forget(self, digest: bytes) -> None:
        if (waiting := self._waiting.pop(digest, None)) is not None:
            waiting.login.abandon()

    def _forget_old(self) -> None:
        for digest in [digest for digest, waiting in self._waiting.items() if waiting.login.expires_in_s <= 0]:
            self._forget(digest)


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
