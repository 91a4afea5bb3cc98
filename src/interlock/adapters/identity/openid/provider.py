"""An OpenID Connect issuer as a place where people sign in: implements ``services.sign_in.SignInProvider``.

Authorization code with PKCE, state and nonce; of what the issuer gives for a code, the ID token is read once and
nothing is kept. What is wrong is for the ledger; the browser is told that it does not count. No code, token or client
secret is in a log or an error.
"""

import base64
import hashlib
import math
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from interlock.adapters.identity.issuer_client import FetchFailed, IssuerClient
from interlock.adapters.identity.openid.id_token import NOT_ACCEPTED, SignInTokens, verify
from interlock.adapters.identity.rules import Rules
from interlock.adapters.identity.verification import TokenSource
from interlock.adapters.secret_reference import read_secret
from interlock.core.errors import CredentialUnavailable, LoginRefused
from interlock.core.identity import Principal
from interlock.core.settings import IssuerSettings, OAuthAuthentication
from interlock.services.ports import Clock
from interlock.services.sign_in import Attempt, Redirect

NOT_KNOWN: Final = "you have signed in, but nobody here is known by it; ask whoever runs the gateway"
UNREACHABLE: Final = "the provider of logins cannot be reached now; try again later"
DISCOVERY_LIFE_S: Final = 600.0
MAX_CODE_CHARACTERS: Final = 4096
_ERRORS: Final = {
    "access_denied": "the login was refused at the provider",
    "login_required": "the provider wants you to sign in; begin the login again",
    "interaction_required": "the provider wants you to sign in; begin the login again",
    "temporarily_unavailable": "the provider cannot let you sign in now; try again later",
    "server_error": "the provider cannot let you sign in now; try again later",
}
_OTHER_ERRORS: Final = frozenset(
    {"invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "consent_required"}
)

log = structlog.get_logger(__name__)


class _Places(msgspec.Struct, frozen=True):
    """What the issuer says of itself. ``names_itself``: its answers say whose they are (RFC 9207)."""

    authorization: str
    token: str
    end_session: str
    names_itself: bool


class OpenIdProvider:
    """One issuer with a ``client_id``, and its keys. ``callback_url`` is where it sends browsers back to."""

    posted: Final = False
    unsolicited: Final = False

    def __init__(
        self, settings: IssuerSettings, keys: TokenSource, rules: Rules, callback_url: str, clock: Clock
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._rules = rules
        self._callback_url = callback_url
        self._clock = clock
        self._client = IssuerClient(settings, connections=10)
        self._places: _Places | None = None
        self._places_end_at_s = -math.inf

    @property
    def name(self) -> str:
        """As in the settings."""
        return self._settings.label

    async def begin(self, attempt: Attempt) -> Redirect:
        """Where the browser is sent (OpenID Connect Core section 3.1.2.1). Raises LoginRefused."""
        settings, places = self._settings, await self._discover()
        query = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": self._callback_url,
            "scope": settings.scope,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
            "acr_values": " ".join(settings.acr_values),
            "max_age": "" if settings.max_age_s is None else str(settings.max_age_s),
        }
        return Redirect(_with_query(places.authorization, {name: value for name, value in query.items() if value}))

    async def complete(self, attempt: Attempt | None, answer: Mapping[str, str]) -> Principal:
        """Whom the answer proves, with nothing that is registered here. Raises LoginRefused."""
        if attempt is None:
            raise LoginRefused(NOT_ACCEPTED, "openid: an answer that nobody asked for")
        places = await self._discover()
        self._check_answer(places, answer)
        tokens = await self._redeem(places, attempt, answer.get("code", ""))
        claims = await verify(tokens, self._settings, self._keys, attempt.nonce, self._now_s())
        return self._principal(claims, tokens)

    async def logout_url(self, principal: Principal, return_url: str) -> str:
        """By RP-Initiated Logout 1.0, without a hint: the ID token is kept nowhere. Empty where there is none."""
        try:
            end_session = (await self._discover()).end_session
        except LoginRefused:
            return ""
        query = {"client_id": self._settings.client_id or "", "post_logout_redirect_uri": return_url}
        return _with_query(end_session, query) if end_session else ""

    async def close(self) -> None:
        """Release the connections to the issuer."""
        await self._client.close()

    # ------------------------------------------------------------ details

    async def _discover(self) -> _Places:
        """Raises LoginRefused."""
        now_s = self._clock.monotonic_s()
        if self._places is None or now_s >= self._places_end_at_s:
            try:
                self._places = self._read_places(await self._client.discover())
            except FetchFailed as failure:
                raise self._unreachable(failure) from None
            self._places_end_at_s = now_s + DISCOVERY_LIFE_S
        return self._places

    def _read_places(self, document: Mapping[str, Any]) -> _Places:
        """Raises FetchFailed."""
        shown = {name: document.get(name) for name in ("authorization_endpoint", "end_session_endpoint")}
        authorization, end_session = (
            url if isinstance(url, str) and self._settings.may_show(url) else "" for url in shown.values()
        )
        if not authorization:
            raise FetchFailed(f"{self._settings.url}: authorization_endpoint is not an https URL")
        token = self._client.endpoint(document, "token_endpoint")
        names_itself = document.get("authorization_response_iss_parameter_supported") is True
        return _Places(authorization, token, end_session, names_itself)

    def _check_answer(self, places: _Places, answer: Mapping[str, str]) -> None:
        """That it is this issuer's (RFC 9207 section 2.4), and no error. Raises LoginRefused."""
        issuer = answer.get("iss")
        if issuer != self._settings.url and (issuer is not None or places.names_itself):
            raise LoginRefused(NOT_ACCEPTED, "openid: the answer is another issuer's (iss), or does not say whose")
        if (error := answer.get("error")) is not None:
            word = error if error in _ERRORS or error in _OTHER_ERRORS else "another error"
            raise LoginRefused(_ERRORS.get(error, "the provider has not let you sign in"), f"openid: {word}")
        if not 0 < len(answer.get("code", "")) <= MAX_CODE_CHARACTERS:
            raise LoginRefused(NOT_ACCEPTED, "openid: the answer has no code of a sensible length")

    async def _redeem(self, places: _Places, attempt: Attempt, code: str) -> SignInTokens:
        """What the issuer gives for a code (RFC 6749 section 4.1.3, RFC 7636). Raises LoginRefused."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback_url,
            "code_verifier": attempt.verifier,
        }
        shown, headers = await self._client_proof()
        try:
            status, answer = await self._client.post(places.token, form | shown, headers)
        except FetchFailed as failure:
            raise self._unreachable(failure) from None
        if status >= 500:
            raise self._unreachable(FetchFailed(f"{places.token}: status {status}"))
        if status != 200:
            raise LoginRefused(NOT_ACCEPTED, f"openid: the code was not accepted: status {status}")
        try:
            return msgspec.convert(answer, SignInTokens)
        except msgspec.ValidationError:
            raise LoginRefused(NOT_ACCEPTED, "openid: no ID token for the code") from None

    async def _client_proof(self) -> tuple[dict[str, str], dict[str, str]]:
        """Fields and headers by which the issuer knows the client (RFC 6749 section 2.3.1). Raises LoginRefused."""
        client_id, reference = self._settings.client_id or "", self._settings.client_secret
        if reference is None:
            return {"client_id": client_id}, {}
        try:
            secret = await read_secret(reference)
        except CredentialUnavailable as error:
            log.error("client secret not read", issuer=self.name, error=str(error))
            raise LoginRefused(UNREACHABLE, "openid: the client's secret cannot be read") from None
        if self._settings.client_authentication is OAuthAuthentication.POST:
            return {"client_id": client_id, "client_secret": secret}, {}
        pair = f"{urllib.parse.quote_plus(client_id)}:{urllib.parse.quote_plus(secret)}"
        return {}, {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}

    def _principal(self, claims: dict[str, Any], tokens: SignInTokens) -> Principal:
        token_id = f"sha256:{hashlib.sha256(tokens.id_token.encode()).hexdigest()[:32]}"
        return self._rules.principal(claims, token_id, None)

    def _unreachable(self, failure: FetchFailed) -> LoginRefused:
        log.warning("issuer not asked for a sign-in", issuer=self.name, reason=str(failure))
        return LoginRefused(UNREACHABLE, "openid: the issuer cannot be asked")

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urllib.parse.urlencode(query)}"
