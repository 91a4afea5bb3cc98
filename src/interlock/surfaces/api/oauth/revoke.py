"""``POST /oauth2/revoke``: the command line gives a login back (RFC 7009), and what came from it ends, too."""

from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from interlock.core.errors import LedgerUnavailable, LoginRefused, StateUnavailable
from interlock.core.login import LoginHolder, is_login_secret
from interlock.services.logins import Logins
from interlock.surfaces.api.oauth.forms import Form, OAuthError, answer, read_form, refusal
from interlock.surfaces.api.oauth.grants import require_client

PATH: Final = "/oauth2/revoke"
_REASON: Final = "logged out"


class RevocationEndpoint:
    """Implements ``application.Pages``."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins

    def add_to(self, app: FastAPI) -> None:
        """Add the route."""
        app.add_api_route(PATH, self._answer, methods=["POST"], response_class=Response)

    async def _answer(self, request: Request) -> Response:
        try:
            await self._revoke(await read_form(request))
        except OAuthError as error:
            return refusal(error)
        except (LedgerUnavailable, StateUnavailable) as error:
            return refusal(OAuthError("temporarily_unavailable", str(error), 503, {"Retry-After": "5"}))
        return answer({})

    async def _revoke(self, form: Form) -> None:
        """End the login; one that is none any more has ended (RFC 7009 section 2.2)."""
        require_client(form)
        token = form.require("token")
        if not is_login_secret(token):
            raise OAuthError("unsupported_token_type", "only the refresh token of a login is given back")
        try:
            login = await self._logins.present(token, LoginHolder.CLI)
        except LoginRefused:
            return
        await self._logins.close(login, login.principal.name, _REASON)
