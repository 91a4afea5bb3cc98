"""Who asks: an account of this machine on the Unix socket, or whoever a bearer token speaks for.

A token is in no log and no answer. Addresses that bring bad tokens over and over are turned away unheard for a while.
"""

from typing import Final

from starlette.requests import Request

from interlock.core.addresses import one_source
from interlock.core.errors import LoginRefused
from interlock.core.identity import Actor
from interlock.services.callers import Callers
from interlock.services.ports import Clock
from interlock.services.rate_limit import RateLimit
from interlock.surfaces.api.problems import RequestProblem, unauthenticated

FAILURES_PER_MINUTE: Final = 60
"""Tokens that are not accepted, from one address."""


class Authentication:
    """Finds the actor of each request and holds it to its rate. The gateway's own operators have no limit."""

    def __init__(self, callers: Callers, clock: Clock, requests_per_minute: int) -> None:
        self._callers = callers
        self._requests = RateLimit(requests_per_minute, clock)
        self._failures = RateLimit(FAILURES_PER_MINUTE, clock)

    async def actor(self, request: Request) -> Actor:
        """Who asks. Raises RequestProblem (401, 429), LoginRefused, LedgerUnavailable."""
        account: str | None = request.scope["state"].get("account")
        token = _bearer_token(request)
        if token is None and account is not None:
            return self._callers.on_this_machine(account)
        if token is None:
            raise unauthenticated("this takes a token of your identity provider: Authorization: Bearer TOKEN")
        actor = await self._by_token(token, request.client.host if request.client else "")
        _refuse_when(self._requests.take((actor.principal.kind, actor.name)), "requests")
        return actor

    async def _by_token(self, token: str, address: str) -> Actor:
        origin = one_source(address)
        _refuse_when(self._failures.wait_s(origin), "tokens that were not accepted")
        try:
            return await self._callers.by_token(token, address)
        except LoginRefused:
            self._failures.take(origin)
            raise


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
