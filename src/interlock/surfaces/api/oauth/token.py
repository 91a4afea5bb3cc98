"""``POST /oauth2/token``: session tokens for whoever has something to show for them.

Each grant type is a handler in a table; this is what they have in common. No token and no code is in a log or an error.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from interlock.core.addresses import one_source
from interlock.core.errors import InterlockError, LoginRefused
from interlock.core.session_token import IssuedSessionToken, TokenForm
from interlock.services.ports import Clock
from interlock.services.rate_limit import RateLimit
from interlock.services.token_exchange import ExchangeRefused, TokenExchange, Wish
from interlock.surfaces.api.oauth.forms import Form, OAuthError, answer, read_form, refusal

PATH: Final = "/oauth2/token"
FAILURES_PER_MINUTE: Final = 60
"""Requests that get no token, from one address."""
EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
_FORMS: Final = {"": TokenForm.OPAQUE, ACCESS_TOKEN: TokenForm.OPAQUE, JWT: TokenForm.JWT}
_SUBJECT_TYPES: Final = frozenset({ACCESS_TOKEN, JWT, "urn:ietf:params:oauth:token-type:id_token"})
_REPEATED: Final = frozenset({"audience", "source"})
_MAX_NAME_CHARACTERS: Final = 256

Grant = Callable[[Form, str], Awaitable[dict[str, Any]]]
"""What a form comes to, for a client at this host: the members of the answer. Raises OAuthError, ``ExchangeRefused``,
``LoginRefused`` when that is on record, and what says that the gateway cannot do it now."""

log = structlog.get_logger(__name__)


class TokenEndpoint:
    """Implements ``application.Pages``. ``grants`` are by grant type."""

    def __init__(self, grants: Mapping[str, Grant], clock: Clock) -> None:
        self.grants = dict(grants)
        self._failures = RateLimit(FAILURES_PER_MINUTE, clock)

    def add_to(self, app: FastAPI) -> None:
        """Add the route."""
        app.add_api_route(PATH, self._answer, methods=["POST"], response_class=Response)

    async def _answer(self, request: Request) -> Response:
        client_address = request.client.host if request.client else ""
        origin = one_source(client_address)
        if wait_s := self._failures.wait_s(origin):
            slow = {"Retry-After": str(wait_s)}
            return refusal(OAuthError("invalid_request", f"too many requests that failed; wait {wait_s} s", 429, slow))
        try:
            return answer(await self._grant(await read_form(request, _REPEATED), client_address))
        except OAuthError as error:
            refused = error
        except ExchangeRefused as error:
            refused = OAuthError(error.code, str(error))
        except LoginRefused as error:
            refused = OAuthError("invalid_grant", str(error))
        except Exception as error:  # noqa: BLE001 - whatever broke, there is no token and an answer
            log.error("no token given", error=type(error).__name__)
            said = str(error) if isinstance(error, InterlockError) else "the gateway cannot do this now"
            return refusal(OAuthError("temporarily_unavailable", said, 503, {"Retry-After": "5"}))
        self._failures.take(origin)
        return refusal(refused)

    async def _grant(self, form: Form, client_address: str) -> dict[str, Any]:
        grant = self.grants.get(form.require("grant_type"))
        if grant is None:
            raise OAuthError("unsupported_grant_type", f"grant_type is one of {', '.join(sorted(self.grants))}")
        return await grant(form, client_address)


def exchange_grant(exchange: TokenExchange) -> Grant:
    """Token exchange (RFC 8693 section 2)."""

    async def grant(form: Form, client_address: str) -> dict[str, Any]:
        subject_token = form.require("subject_token")
        if form.require("subject_token_type") not in _SUBJECT_TYPES:
            raise OAuthError("invalid_request", "subject_token_type is that of an access token, an ID token or a JWT")
        actor_token = form.get("actor_token")
        if bool(actor_token) != bool(form.get("actor_token_type")):
            raise OAuthError("invalid_request", "actor_token and actor_token_type come together")
        issued = await exchange.exchange(subject_token, actor_token, wish_of(form, client_address), client_address)
        return token_answer(issued)

    return grant


def wish_of(form: Form, client_address: str) -> Wish:
    """What a form says of the session token that is wanted. Raises OAuthError."""
    requested = form.get("requested_token_type")
    if requested not in _FORMS:
        raise OAuthError("invalid_request", f"requested_token_type is {ACCESS_TOKEN} or {JWT}")
    if form.get("resource"):
        raise OAuthError("invalid_target", "name connections with audience, not with resource")
    run, trace = form.get("run"), form.get("trace")
    if any(len(name) > _MAX_NAME_CHARACTERS or not name.isprintable() for name in (run, trace)):
        raise OAuthError("invalid_request", f"run and trace have {_MAX_NAME_CHARACTERS} printable characters at most")
    sources = tuple(client_address if source == "self" else source for source in form.all("source"))
    if "" in sources:
        raise OAuthError("invalid_request", "source=self takes a connection over the network")
    return Wish(form.all("audience"), _FORMS[requested], run, trace, sources, _lifetime_s(form.get("lifetime_s")))


def token_answer(issued: IssuedSessionToken) -> dict[str, Any]:
    """RFC 8693 section 2.2.1, with the token's id, by which it can be revoked."""
    principal = issued.token.principal
    return {
        "access_token": issued.text,
        "issued_token_type": ACCESS_TOKEN if issued.form is TokenForm.OPAQUE else JWT,
        "token_type": "Bearer",
        "expires_in": max(0, int((principal.expires_at_s or 0.0) - issued.token.given_at_s)),
        "token_id": issued.token.id,
        "audience": sorted(principal.audience),
    }


def _lifetime_s(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) == 0:
        raise OAuthError("invalid_request", "lifetime_s is a number of seconds")
    return int(text)
