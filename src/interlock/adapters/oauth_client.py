"""Gets tokens for targets by the client credentials grant (RFC 6749 section 4.4) and keeps each until it ends.

One request goes out at a time, and after a failure none for a while. What the server says is not repeated in an error,
but for the error codes that the RFC defines. Redirects are not followed, and nothing in here logs.
"""

import asyncio
import base64
import re
import ssl
import urllib.parse
from typing import Any, Final, NamedTuple

import aiohttp

from interlock.adapters.identity.token import load_strict_json
from interlock.core.errors import CredentialUnavailable
from interlock.core.settings import OAuthAuthentication, OAuthClient
from interlock.services.ports import Clock

FETCH_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 65_536
MAX_TOKEN_LENGTH: Final = 16_384
UNSAID_LIFE_S: Final = 300.0
"""For how long a token is used when the server does not say how long it lives."""
MAX_LIFE_S: Final = 86_400.0
RENEW_BEFORE_S: Final = 60.0
RENEW_SHARE: Final = 0.2
"""A token is renewed when less than ``RENEW_BEFORE_S``, and less than this share of its life, is left."""
MIN_AGE_S: Final = 5.0
"""A younger token is not given up for an answer of the target: another one would not be better."""
FIRST_WAIT_S: Final = 1.0
MAX_WAIT_S: Final = 60.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750
_ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)


class _Token(NamedTuple):
    """A token with the moments, in monotonic seconds, that matter to it."""

    text: str
    since_s: float
    renew_at_s: float
    ends_at_s: float


class _FetchFailed(Exception):
    """No token was got; the text holds no secret."""


class TokenSource:
    """One client of one token endpoint, with one secret."""

    def __init__(self, client: OAuthClient, secret: str, clock: Clock) -> None:
        self._client = client
        self._secret = secret
        self._clock = clock
        self._token: _Token | None = None
        self._fetching = asyncio.Lock()
        self._failure = ""
        self._wait_s = 0.0
        self._next_try_s = 0.0

    def is_for(self, client: OAuthClient, secret: str) -> bool:
        """Whether this client with this secret would get the same tokens."""
        return client == self._client and secret == self._secret

    def current(self) -> str | None:
        """The token, while it need not be renewed."""
        token = self._token
        return token.text if token is not None and self._clock.monotonic_s() < token.renew_at_s else None

    async def get(self) -> str:
        """A token that is valid now. Raises ``CredentialUnavailable``."""
        async with self._fetching:
            if (current := self.current()) is not None:
                return current
            if self._clock.monotonic_s() >= self._next_try_s:
                await self._try()
            if self._token is not None and self._clock.monotonic_s() < self._token.ends_at_s:
                return self._token.text
            raise CredentialUnavailable(f"no token for the target: {self._failure}")

    def forget(self) -> None:
        """Do not use the present token again, unless it has just been got."""
        if self._token is not None and self._clock.monotonic_s() - self._token.since_s >= MIN_AGE_S:
            self._token = None

    async def _try(self) -> None:
        try:
            self._token = await self._fetch()
        except _FetchFailed as failure:
            self._failure = str(failure)
            self._wait_s = min(max(FIRST_WAIT_S, self._wait_s * 2), MAX_WAIT_S)
            self._next_try_s = self._clock.monotonic_s() + self._wait_s
        else:
            self._failure, self._wait_s = "", 0.0

    async def _fetch(self) -> _Token:
        client = self._client
        try:
            context = await asyncio.to_thread(ssl.create_default_context, cafile=client.ca_file)
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=context),
                    timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                ) as session,
                session.post(
                    client.token_url, data=self._form(), headers=self._headers(), allow_redirects=False
                ) as response,
            ):
                return self._read(response.status, await _read_bounded(response))
        except (aiohttp.ClientError, OSError) as error:
            raise _FetchFailed(f"{client.token_url} cannot be asked ({type(error).__name__})") from None
        except ValueError as error:
            raise _FetchFailed(f"{client.token_url}: {error}") from None

    def _form(self) -> dict[str, str]:
        client = self._client
        form = {
            "grant_type": "client_credentials",
            "scope": client.scope,
            "audience": client.audience,
            "resource": client.resource,
        }
        if client.authentication is OAuthAuthentication.POST:
            form |= {"client_id": client.client_id, "client_secret": self._secret}
        return {name: value for name, value in form.items() if value}

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self._client.authentication is OAuthAuthentication.BASIC:
            pair = f"{urllib.parse.quote_plus(self._client.client_id)}:{urllib.parse.quote_plus(self._secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return headers

    def _read(self, status: int, content: bytes) -> _Token:
        """RFC 6749 section 5.1. Raises ValueError, which quotes nothing that could be secret."""
        if status != 200:
            raise ValueError(f"status {status}{_error_code(content)}")
        answer = load_strict_json(content)
        if not isinstance(answer, dict):
            raise ValueError("the answer is no JSON object")
        text, kind = answer.get("access_token"), answer.get("token_type")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise ValueError("the token is no bearer token")
        if not isinstance(text, str) or len(text) > MAX_TOKEN_LENGTH or not _TOKEN.fullmatch(text):
            raise ValueError("the access token is missing or malformed")
        life_s, now_s = _life_s(answer), self._clock.monotonic_s()
        margin_s = min(RENEW_BEFORE_S, life_s * RENEW_SHARE)
        return _Token(text, now_s, now_s + life_s - margin_s, now_s + life_s)


def _life_s(answer: dict[str, Any]) -> float:
    expires_in = answer.get("expires_in", UNSAID_LIFE_S)
    if isinstance(expires_in, str) and expires_in.isdecimal():
        expires_in = int(expires_in)  # some servers write it so
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or expires_in <= 0:
        raise ValueError("expires_in is not a number of seconds")
    return min(float(expires_in), MAX_LIFE_S)


def _error_code(content: bytes) -> str:
    """The error code of RFC 6749 section 5.2 in an answer, if it is one of those defined."""
    try:
        answer = load_strict_json(content)
    except ValueError:
        return ""
    code = answer.get("error") if isinstance(answer, dict) else None
    return f", {code}" if isinstance(code, str) and code in _ERRORS else ""


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise ValueError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)
