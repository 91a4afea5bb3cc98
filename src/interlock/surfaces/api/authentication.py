"""Who asks: an account of this machine on the Unix socket, whoever a bearer token speaks for, or whose browser it is.

A token or cookie is in no log and no answer. Addresses that bring bad ones over and over are turned away unheard for a
while. What a browser is to change must be asked for by a page of the gateway's own: other sites can send neither the
header nor the origin that this takes.
"""

from typing import Final

from starlette.requests import Request

from interlock.core.addresses import one_source
from interlock.core.errors import LoginRefused
from interlock.core.identity import Actor
from interlock.services.callers import Callers
from interlock.services.ports import Clock
from interlock.services.rate_limit import RateLimit
from interlock.surfaces.api.login.browsers import client_address, origin_of
from interlock.surfaces.api.login.cookies import LOGIN_COOKIE, cookie_of
from interlock.surfaces.api.problems import RequestProblem, unauthenticated

FAILURES_PER_MINUTE: Final = 60
"""Tokens that are not accepted, from one address."""
CSRF_HEADER: Final = "Interlock-CSRF"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class Authentication:
    """Finds the actor of each request and holds it to its rate. The gateway's own operators have no limit."""

    def __init__(self, callers: Callers, clock: Clock, requests_per_minute: int, public_url: str = "") -> None:
        self._callers = callers
        self._origin = origin_of(public_url)
        self._requests = RateLimit(requests_per_minute, clock)
        self._failures = RateLimit(FAILURES_PER_MINUTE, clock)

    async def actor(self, request: Request) -> Actor:
        """Who asks. Raises RequestProblem (401, 429), LoginRefused, LedgerUnavailable."""
        account: str | None = request.scope["state"].get("account")
        token = _bearer_token(request)
        if token is None and account is not None:
            return self._callers.on_this_machine(account)
        cookie = cookie_of(request, LOGIN_COOKIE) if token is None else None
        if token is None and not cookie:
            raise unauthenticated("this takes a token of your identity provider: Authorization: Bearer TOKEN")
        actor = await self._proved(request, token, cookie or "")
        for who in actor.principal.asker:
            _refuse_when(self._requests.take(who), "requests")
        return actor

    async def _proved(self, request: Request, token: str | None, cookie: str) -> Actor:
        address = client_address(request)
        source = one_source(address)
        _refuse_when(self._failures.wait_s(source), "tokens that were not accepted")
        try:
            if token is not None:
                return await self._callers.by_token(token, address)
            self._refuse_other_sites(request)
            return await self._callers.by_login(cookie, address)
        except LoginRefused:
            self._failures.take(source)
            raise

    def _refuse_other_sites(self, request: Request) -> None:
        if request.method in _SAFE_METHODS:
            return
        if request.headers.get(CSRF_HEADER) != "1" or request.headers.get("origin", "") != (self._origin or None):
            raise RequestProblem(403, f"with a cookie, this takes the header {CSRF_HEADER}: 1 and the gateway's origin")


def _bearer_token(request: Request) -> str | None:
    """The token of the one Authorization header, None without the header. Raises RequestProblem."""
    values = request.headers.getlist("authorization")
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated("the Authorization header must be one, and read: Bearer TOKEN", "invalid_request")
    return token.strip()


def _refuse_when(wait_s: int, what: str) -> None:
    if wait_s:
        raise RequestProblem(429, f"too many {what}; try again in {wait_s} s", {"Retry-After": str(wait_s)})
