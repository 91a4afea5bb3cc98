"""Grants for the gateway's own command line: a login by a code or a device, and session tokens for a login.

Each answer has a session token, for the API unless something else is asked for, and the refresh token that counts from
then on.
"""

from typing import Any, Final

import msgspec

from interlock.core.errors import InterlockError
from interlock.core.identity import API_AUDIENCE
from interlock.core.login import Login, LoginHolder
from interlock.services.device_sign_in import NotYet
from interlock.services.people import People
from interlock.services.program_logins import ProgramLogins
from interlock.services.token_exchange import TokenExchange, Wish
from interlock.surfaces.api.oauth.forms import Form, OAuthError
from interlock.surfaces.api.oauth.token import Grant, token_answer, wish_of

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - the name of a grant
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
_WAITING: Final = {
    "authorization_pending": "nobody has signed in yet",
    "slow_down": "ask less often, by 5 seconds",
    "expired_token": "nobody signed in in time; log in again",
}


class LoginGrants:
    """The grants of people who log in with the command line."""

    def __init__(self, programs: ProgramLogins, people: People, exchange: TokenExchange) -> None:
        self._programs = programs
        self._people = people
        self._exchange = exchange

    def table(self) -> dict[str, Grant]:
        """By grant type."""
        grants: dict[str, Grant] = {AUTHORIZATION_CODE: self._code, REFRESH_TOKEN: self._refresh}
        return grants if self._programs.devices is None else {**grants, DEVICE_CODE: self._device}

    async def _code(self, form: Form, client_address: str) -> dict[str, Any]:
        """RFC 6749 section 4.1.3 with RFC 7636."""
        require_client(form)
        code, verifier, redirect_uri = (form.require(name) for name in ("code", "code_verifier", "redirect_uri"))
        wish = _wish(form, client_address)
        return await self._first(
            await self._programs.by_code(code, verifier, redirect_uri, client_address), wish, client_address
        )

    async def _device(self, form: Form, client_address: str) -> dict[str, Any]:
        """RFC 8628 section 3.4."""
        require_client(form)
        wish = _wish(form, client_address)
        try:
            opened = await self._programs.by_device(form.require("device_code"), client_address)
        except NotYet as waiting:
            raise OAuthError(waiting.code, _WAITING[waiting.code]) from None
        return await self._first(opened, wish, client_address)

    async def _first(self, opened: tuple[Login, str], wish: Wish, client_address: str) -> dict[str, Any]:
        """The first token of a login. Without it the login is none."""
        login, secret = opened
        try:
            issued = await self._exchange.issue(login.principal, wish, client_address)
        except InterlockError:
            await self._people.logins.close(login, "gateway", "no session token was given for it")
            raise
        return token_answer(issued) | _of(login, secret)

    async def _refresh(self, form: Form, client_address: str) -> dict[str, Any]:
        """RFC 6749 section 6. The refresh token is renewed last: whoever gets no answer still has one."""
        require_client(form)
        refresh_token = form.require("refresh_token")
        login = await self._people.present(refresh_token, client_address)
        issued = await self._exchange.issue(login.principal, _wish(form, client_address), client_address)
        return token_answer(issued) | _of(login, await self._people.logins.renew(refresh_token))


def require_client(form: Form) -> None:
    """That it is the gateway's own command line, which has no secret. Raises OAuthError."""
    if form.get("client_id") != LoginHolder.CLI.value:
        raise OAuthError("invalid_client", f"client_id must be {LoginHolder.CLI.value}", 401)


def _wish(form: Form, client_address: str) -> Wish:
    wish = wish_of(form, client_address)
    return wish if wish.audience else msgspec.structs.replace(wish, audience=(API_AUDIENCE,))


def _of(login: Login, refresh_token: str) -> dict[str, Any]:
    """What an answer says of the login. Without a refresh token, a program beside this one has the next already."""
    said: dict[str, Any] = {"login": login.principal.name, "login_ends_at_s": login.ends_at_s}
    return said | {"refresh_token": refresh_token} if refresh_token else said
