"""``/oauth2/authorize``: a program on a person's own machine asks to act as them (RFC 6749 section 4.1, RFC 8252).

There is one such client, the gateway's own command line, which listens on loopback. A code is only ever sent there, and
only after the person has signed in and said that it was they who began. Errors go there as well, once it is known that
the address is one of loopback; else they are shown.
"""

import re
from typing import Final
from urllib.parse import urlencode

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from interlock.core.authorization import AuthorizationRequest
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.login import LoginHolder
from interlock.services.authorizations import Authorizations
from interlock.services.sign_in import Attempt, SignIn
from interlock.surfaces.api.login.browsers import origin_of, single
from interlock.surfaces.api.login.cookies import BROWSER_COOKIE, cookie_of
from interlock.surfaces.api.login.login import begin, choose
from interlock.surfaces.api.login.pages import form, page, paragraph
from interlock.surfaces.api.login.showing import Showing
from interlock.surfaces.api.oauth.forms import read_form
from interlock.surfaces.api.problems import RequestProblem
from interlock.surfaces.api.routes import query_of

PATH: Final = "/oauth2/authorize"
CLIENT_ID: Final = LoginHolder.CLI.value
_LOOPBACK: Final = re.compile(r"http://(127\.0\.0\.1|\[::1\]):([1-9][0-9]{0,4})(/[A-Za-z0-9._~/-]{0,200})?")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_STATE_CHARACTERS: Final = 512


class AuthorizePages:
    """Implements ``application.Pages`` and ``login.ForPrograms``. ``issuer`` is the gateway's own name (RFC 9207)."""

    def __init__(
        self, sign_in: SignIn, authorizations: Authorizations, issuer: str, public_url: str, showing: Showing
    ) -> None:
        self._sign_in = sign_in
        self._authorizations = authorizations
        self._issuer = issuer
        self._public_url = public_url
        self._showing = showing

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        app.add_api_route(PATH, self._showing(self._authorize), methods=["GET"], response_class=Response)
        app.add_api_route(PATH, self._showing(self._consent), methods=["POST"], response_class=Response)

    def signed_in(self, attempt: Attempt, principal: Principal, browser: str) -> Response:
        """Ask whether it was the person who began."""
        wanted = _request_of(attempt)
        question = self._authorizations.ask(principal, attempt.provider, wanted, browser)
        place = wanted.redirect_uri.removeprefix("http://").partition("/")[0]
        return page(
            "Let the command line act as you?",
            paragraph(f"You have signed in as {principal.name}."),
            paragraph(
                f"A program on this machine, at {place}, wants to act as you at this gateway. "
                "Allow it only if you have just run: interlock login"
            ),
            form(PATH, {"question": question}, ("allow", "Allow"), ("deny", "Deny")),
        )

    def refused(self, attempt: Attempt, refused: LoginRefused) -> Response:
        """Tell the program that nobody has signed in."""
        return self._error(_request_of(attempt), "access_denied", str(refused))

    async def _authorize(self, request: Request) -> Response:
        query = single(query_of(request))
        if query.get("client_id") != CLIENT_ID:
            raise RequestProblem(400, f"client_id must be {CLIENT_ID}: there is no other program to log in for")
        if not _is_loopback(query.get("redirect_uri", "")):
            raise RequestProblem(400, "redirect_uri must be http://127.0.0.1:PORT/PATH or http://[::1]:PORT/PATH")
        wanted = AuthorizationRequest(query["redirect_uri"], query.get("code_challenge", ""), query.get("state", ""))
        if (error := _problem(query)) is not None:
            return self._error(wanted, *error)
        providers = self._sign_in.providers
        provider = query.get("provider") or (providers[0] if len(providers) == 1 else None)
        if provider is None and providers:
            return choose(PATH, providers, query)
        try:
            return await begin(self._sign_in, request, provider or "", authorization=wanted)
        except LoginRefused as refused:
            self._showing.failed(request)
            return self._error(wanted, "access_denied", str(refused))

    async def _consent(self, request: Request) -> Response:
        if request.headers.get("origin") != origin_of(self._public_url):
            raise RequestProblem(403, "answer on the page that asks")
        fields = await read_form(request)
        consent = self._authorizations.answer(fields.get("question"), cookie_of(request, BROWSER_COOKIE))
        if fields.get("answer") != "allow":
            return self._error(consent.request, "access_denied", "the person did not allow it")
        return self._back(consent.request, {"code": self._authorizations.give(consent)})

    def _error(self, wanted: AuthorizationRequest, code: str, text: str) -> Response:
        """RFC 6749 section 4.1.2.1."""
        described = re.sub(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]", "?", text)
        return self._back(wanted, {"error": code, "error_description": described})

    def _back(self, wanted: AuthorizationRequest, answer: dict[str, str]) -> Response:
        """To the program, with the state that it gave, and whose answer it is (RFC 9207)."""
        state = {"state": wanted.state} if wanted.state else {}
        return RedirectResponse(f"{wanted.redirect_uri}?{urlencode({**answer, **state, 'iss': self._issuer})}", 303)


def _request_of(attempt: Attempt) -> AuthorizationRequest:
    if attempt.authorization is None:
        raise LoginRefused("begin the login again", "no program has asked for this attempt")
    return attempt.authorization


def _is_loopback(redirect_uri: str) -> bool:
    found = _LOOPBACK.fullmatch(redirect_uri)
    return found is not None and int(found[2]) <= 65535


def _problem(query: dict[str, str]) -> tuple[str, str] | None:
    """The error code and text for what is wrong with a request whose redirect_uri is right; None when nothing is."""
    if query.get("response_type") != "code":
        return "unsupported_response_type", "response_type must be code"
    if query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(query.get("code_challenge", "")):
        return "invalid_request", "code_challenge of method S256 is required"
    if len(query.get("state", "")) > _MAX_STATE_CHARACTERS:
        return "invalid_request", f"state has {_MAX_STATE_CHARACTERS} characters at most"
    return None
