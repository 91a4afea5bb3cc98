"""Tokens for people whose program has no browser: they sign in at their issuer elsewhere (RFC 8628).

The gateway is a public client of the issuer. What comes of it is a token like any other, which is verified like any
other. Nothing in here logs or shows a device code or a token. How many logins wait at one time is bounded.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
import structlog

from interlock.adapters.identity.issuer_client import FetchFailed, IssuerClient
from interlock.core.addresses import one_source
from interlock.core.errors import LoginRefused
from interlock.core.settings import IssuerSettings
from interlock.services.ports import Clock

MAX_PENDING: Final = 100
MAX_PENDING_OF_SOURCE: Final = 5
DISCOVERY_LIFE_S: Final = 600.0
MAX_LIFE_S: Final = 1800.0
DEFAULT_INTERVAL_S: Final = 5.0
MIN_INTERVAL_S: Final = 1.0
MAX_INTERVAL_S: Final = 60.0
SLOW_DOWN_S: Final = 5.0
"""By how much an issuer that is asked too often wants to be asked less often (RFC 8628 section 3.5)."""
_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_CANNOT: Final = "the issuer cannot be asked for a login now; log in with a token, or try again later"
_OVER: Final = {
    "access_denied": "the login was refused at the issuer",
    "expired_token": "nobody signed in in time; connect again",
}

log = structlog.get_logger(__name__)
Sleep = Callable[[float], Awaitable[None]]


class _Begun(msgspec.Struct, frozen=True):
    """What the issuer says to a device authorization request (RFC 8628 section 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    expires_in: float
    verification_uri_complete: str = ""
    interval: float = DEFAULT_INTERVAL_S

    def __repr__(self) -> str:
        return "_Begun(...)"


class DeviceLogin:
    """One person's login that is under way. ``instruction`` is what to show; ``poll`` waits for its end."""

    def __init__(self, logins: "DeviceLogins", source: str, begun: _Begun, token_url: str, ends_at_s: float) -> None:
        self.source = source
        self.user_code = begun.user_code
        self.verification_uri_complete = begun.verification_uri_complete or begun.verification_uri
        self.ends_at_s = ends_at_s
        """Monotonic seconds."""
        self._logins = logins
        self._device_code = begun.device_code
        self._token_url = token_url
        self._interval_s = _within(begun.interval, MIN_INTERVAL_S, MAX_INTERVAL_S)

    @property
    def interval_s(self) -> float:
        """How long to wait before the issuer is asked again."""
        return self._interval_s

    @property
    def expires_in_s(self) -> float:
        """For how long the person may take from now on."""
        return self.ends_at_s - self._logins.now_s()

    @property
    def instruction(self) -> str:
        """Where to sign in, and what to look for there."""
        return (
            f"Sign in at {self.verification_uri_complete} with the code {self.user_code}. "
            "Do so only if it was you who has just connected."
        )

    async def poll(self) -> str:
        """The token, once the person has signed in. Raises ``LoginRefused``; may be cancelled."""
        try:
            while True:
                await self._logins.sleep(self._interval_s)
                if (token := await self.ask()) is not None:
                    return token
        finally:
            self._logins.forget(self)

    async def ask(self) -> str | None:
        """The token, None as long as nobody has signed in. For callers that wait by themselves. Raises LoginRefused."""
        if self.expires_in_s <= 0:
            raise LoginRefused(_OVER["expired_token"], "device login: expired")
        return await self._ask()

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._logins.forget(self)

    async def _ask(self) -> str | None:
        """The token, or None as long as it is worth asking again (RFC 8628 section 3.5)."""
        try:
            status, answer = await self._logins.ask_for_token(self._token_url, self._device_code)
        except FetchFailed as failure:
            log.warning("issuer not asked for a device login", reason=str(failure))
            status, answer = 503, {}
        if status >= 500:
            self._interval_s = min(self._interval_s * 2, MAX_INTERVAL_S)
            return None
        said = answer if isinstance(answer, Mapping) else {}
        if status == 200:
            return self._logins.token_in(said)
        error = said.get("error")
        if error == "slow_down":
            self._interval_s += SLOW_DOWN_S
        elif error != "authorization_pending":
            word = error if error in _OVER else f"status {status}"
            raise LoginRefused(_OVER.get(str(error), "the login failed at the issuer"), f"device login: {word}")
        return None


class DeviceLogins:
    """Begins logins at one issuer, which has ``device_client_id`` set."""

    def __init__(self, settings: IssuerSettings, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
        self._settings = settings
        self._clock = clock
        self.sleep = sleep
        self._client = IssuerClient(settings, connections=10)
        self._pending: set[DeviceLogin] = set()
        self._endpoints = ("", "")
        self._endpoints_end_at_s = -math.inf

    async def begin(self, client_host: str) -> DeviceLogin:
        """Ask the issuer to let somebody sign in who connected from this address. Raises ``LoginRefused``."""
        source = one_source(client_host)
        self._refuse_too_many(source)
        try:
            device_url, token_url = await self._discover()
            form = {"client_id": self._client_id, "scope": self._settings.device_scope}
            begun = self._read(*await self._client.post(device_url, form))
        except FetchFailed as failure:
            log.warning("no device login", issuer=self._settings.label, reason=str(failure))
            raise LoginRefused(_CANNOT, "device login: the issuer cannot be asked") from None
        ends_at_s = self.now_s() + _within(begun.expires_in, 0.0, MAX_LIFE_S)
        self._refuse_too_many(source)  # others may have come meanwhile
        login = DeviceLogin(self, source, begun, token_url, ends_at_s)
        self._pending.add(login)
        return login

    async def close(self) -> None:
        """Release the connections to the issuer."""
        await self._client.close()

    # ------------------------------------------------------------ for the logins

    def now_s(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic_s()

    async def ask_for_token(self, url: str, device_code: str) -> tuple[int, object]:
        """Status and answer of a device access token request. Raises FetchFailed."""
        form = {"grant_type": _GRANT, "device_code": device_code, "client_id": self._client_id}
        return await self._client.post(url, form)

    def token_in(self, answer: Mapping[str, Any]) -> str:
        """The token that names this gateway as audience: the ID token when that is the client itself."""
        kind = "id_token" if self._settings.audience == self._client_id else "access_token"
        token = answer.get(kind)
        if not isinstance(token, str) or not token:
            raise LoginRefused("the login failed at the issuer", f"device login: no {kind}")
        return token

    def forget(self, login: DeviceLogin) -> None:
        """It is over, one way or the other."""
        self._pending.discard(login)

    @property
    def _client_id(self) -> str:
        return self._settings.device_client_id or ""

    def _refuse_too_many(self, source: str) -> None:
        self._pending = {login for login in self._pending if login.ends_at_s > self.now_s()}
        of_source = sum(login.source == source for login in self._pending)
        if len(self._pending) >= MAX_PENDING or of_source >= MAX_PENDING_OF_SOURCE:
            raise LoginRefused("too many logins wait at the issuer; try again later", "device login: too many")

    async def _discover(self) -> tuple[str, str]:
        """Where to ask for logins and for tokens. Raises FetchFailed."""
        if self.now_s() >= self._endpoints_end_at_s:
            document = await self._client.discover()
            names = ("device_authorization_endpoint", "token_endpoint")
            device_url, token_url = (self._client.endpoint(document, name) for name in names)
            self._endpoints = (device_url, token_url)
            self._endpoints_end_at_s = self.now_s() + DISCOVERY_LIFE_S
        return self._endpoints

    def _read(self, status: int, answer: object) -> _Begun:
        url = self._settings.url
        if status != 200:
            raise FetchFailed(f"{url}: device authorization: status {status}")
        try:
            begun = msgspec.convert(answer, _Begun)
        except msgspec.ValidationError:
            raise FetchFailed(f"{url}: device authorization: not an answer as RFC 8628 has it") from None
        shown = begun.verification_uri_complete or begun.verification_uri
        if not self._settings.may_show(shown) or not _is_code(begun.user_code):
            raise FetchFailed(f"{url}: device authorization: what would be shown is no https URL and a code")
        return begun


def device_logins(issuers: Iterable[IssuerSettings], clock: Clock) -> DeviceLogins | None:
    """At the first issuer that has a client for it, None when none has."""
    settings = next((issuer for issuer in issuers if issuer.device_client_id), None)
    return DeviceLogins(settings, clock) if settings is not None else None


def _is_code(text: str) -> bool:
    return 0 < len(text) <= 64 and text.isascii() and text.isprintable()


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most) if math.isfinite(value) else most
