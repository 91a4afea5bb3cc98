"""``/login``, its callbacks and ``/logout``: browsers that are sent to a provider, come back, and are logged in.

A browser gets a cookie and nothing else; nothing of a provider's answer is in a page, a log or an error.
"""

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlencode

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from interlock.core.authorization import AuthorizationRequest
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.login import Login, LoginHolder
from interlock.services.people import People
from interlock.services.sign_in import Attempt, AttemptRefused, PostedForm, SignIn
from interlock.surfaces.api.login.browsers import client_address, origin_of, single
from interlock.surfaces.api.login.cookies import (
    BROWSER_COOKIE,
    LOGIN_COOKIE,
    bind_browser,
    cookie_of,
    forget_login,
    keep_login,
)
from interlock.surfaces.api.login.pages import form, links, onward, page, paragraph
from interlock.surfaces.api.login.showing import Showing
from interlock.surfaces.api.oauth.forms import read_form
from interlock.surfaces.api.problems import RequestProblem
from interlock.surfaces.api.routes import query_of

LOGIN_PATH: Final = "/login"
CALLBACK_PATH: Final = "/login/callback/"
MAX_ANSWER_BYTES: Final = 512 << 10
"""What a provider has browsers post. SAML responses with many groups are large; providers have a limit of their own."""
LOGOUT_PATH: Final = "/logout"


class ForPrograms(Protocol):
    """Goes on with attempts that a program began (see ``oauth.authorize``)."""

    def signed_in(self, attempt: Attempt, principal: Principal, browser: str) -> Response:
        """What the browser is shown when somebody has signed in."""

    def refused(self, attempt: Attempt, refused: LoginRefused) -> Response:
        """What the browser is shown when nobody has."""


class LoginPages:
    """Implements ``application.Pages``. ``public_url`` is where browsers reach it."""

    def __init__(
        self, sign_in: SignIn, people: People, programs: ForPrograms, public_url: str, showing: Showing
    ) -> None:
        self._sign_in = sign_in
        self._people = people
        self._programs = programs
        self._public_url = public_url
        self._showing = showing

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        app.add_api_route(LOGIN_PATH, self._showing(self._login), methods=["GET"], response_class=Response)
        app.add_api_route(
            CALLBACK_PATH + "{provider}",
            self._showing(self._callback),
            methods=["GET", "POST"],
            response_class=Response,
        )
        app.add_api_route(LOGOUT_PATH, self._showing(self._logout), methods=["POST"], response_class=Response)

    async def _login(self, request: Request) -> Response:
        query = single(query_of(request))
        provider, next_path = query.get("provider"), query.get("next", LOGIN_PATH)
        if provider is None and "next" not in query and (login := await self._logged_in(request)) is not None:
            return _status(login, self._sign_in.providers)
        if provider is None and len(self._sign_in.providers) != 1:
            return choose(LOGIN_PATH, self._sign_in.providers, {"next": next_path})
        return await begin(self._sign_in, request, provider or self._sign_in.providers[0], next_path)

    async def _callback(self, request: Request) -> Response:
        name, browser = request.path_params["provider"], cookie_of(request, BROWSER_COOKIE)
        posted = self._sign_in.provider(name).posted
        if posted is not (request.method == "POST"):
            method = "POST" if posted else "GET"
            raise RequestProblem(405, "the provider's answer does not come in this way", {"Allow": method})
        answer = (await read_form(request, max_bytes=MAX_ANSWER_BYTES)).values if posted else single(query_of(request))
        return await self.completed(request, name, answer, browser)

    async def completed(self, request: Request, name: str, answer: Mapping[str, str], browser: str | None) -> Response:
        """What a browser is shown that comes with a provider's answer. Raises LoginRefused and the like."""
        address = client_address(request)
        state = answer.get("RelayState") if self._sign_in.provider(name).posted else answer.get("state")
        try:
            attempt, principal = await self._sign_in.complete(name, state, browser, answer, address)
            if attempt is not None and attempt.authorization is not None and browser is not None:
                return self._programs.signed_in(attempt, principal, browser)
        except AttemptRefused as refused:
            if refused.attempt.authorization is None:
                raise
            return self._programs.refused(refused.attempt, refused)
        login, secret = await self._people.log_in(principal, name, LoginHolder.BROWSER, address)
        response = RedirectResponse(attempt.next if attempt is not None else LOGIN_PATH, 303)
        keep_login(response, secret, login.ends_at_s - login.opened_at_s)
        return response

    async def _logout(self, request: Request) -> Response:
        """End the login, here and at the provider. Other sites cannot ask for it: the cookie would not come along."""
        if request.headers.get("origin") != origin_of(self._public_url):
            raise RequestProblem(403, "log out by the button at /login")
        login = await self._logged_in(request)
        url = ""
        if login is not None:
            await self._people.logins.close(login, login.principal.name, "logged out")
            url = await self._provider_logout(login)
        response = RedirectResponse(url or LOGIN_PATH, 303)
        forget_login(response)
        return response

    async def _provider_logout(self, login: Login) -> str:
        try:
            provider = self._sign_in.provider(login.provider)
            return await provider.logout_url(login.principal, self._public_url + LOGIN_PATH)
        except LoginRefused:
            return ""

    async def _logged_in(self, request: Request) -> Login | None:
        secret = cookie_of(request, LOGIN_COOKIE)
        if not secret:
            return None
        try:
            return self._people.logins.find(secret, LoginHolder.BROWSER)
        except LoginRefused:
            return None


async def begin(
    sign_in: SignIn,
    request: Request,
    provider: str,
    next_path: str = LOGIN_PATH,
    authorization: AuthorizationRequest | None = None,
) -> Response:
    """Send a browser to a provider. Raises LoginRefused."""
    browser = cookie_of(request, BROWSER_COOKIE)
    where, bound = await sign_in.begin(provider, browser, client_address(request), next_path, authorization)
    response = onward(where) if isinstance(where, PostedForm) else RedirectResponse(where.url, 303)
    bind_browser(response, bound)
    return response


def choose(path: str, providers: tuple[str, ...], query: Mapping[str, str]) -> Response:
    """The page on which one of several providers is chosen."""
    if not providers:
        return page("Log in", paragraph("There is no provider of logins here; programs bring tokens of their own."))
    targets = [(f"{path}?{urlencode({**query, 'provider': name})}", name) for name in providers]
    return page("Log in", paragraph("Where do you want to sign in?"), links(targets))


def _status(login: Login, providers: tuple[str, ...]) -> Response:
    return page(
        "Log in",
        paragraph(f"You are logged in as {login.principal.name}."),
        form(LOGOUT_PATH, {}, ("", "Log out")),
        paragraph("You can sign in as somebody else:"),
        links([(f"{LOGIN_PATH}?{urlencode({'provider': name})}", name) for name in providers]),
    )
