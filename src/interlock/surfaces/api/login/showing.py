"""Errors as people in browsers are shown them, and how often they may come in vain."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from interlock.core.addresses import one_source
from interlock.core.errors import LoginRefused
from interlock.services.ports import Clock
from interlock.services.rate_limit import RateLimit
from interlock.surfaces.api.login.browsers import client_address
from interlock.surfaces.api.login.pages import failure
from interlock.surfaces.api.oauth.forms import OAuthError
from interlock.surfaces.api.problems import RequestProblem
from interlock.surfaces.api.routes import Endpoint

FAILURES_PER_MINUTE: Final = 60
"""Sign-ins that come to nothing, from one address."""


class Showing:
    """Makes endpoints whose errors are shown to people. Addresses that fail over and over are not heard for a while."""

    def __init__(self, clock: Clock) -> None:
        self._failures = RateLimit(FAILURES_PER_MINUTE, clock)

    def __call__(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with an answer for every error."""

        async def answer(request: Request) -> Response:
            source = one_source(client_address(request))
            if wait_s := self._failures.wait_s(source):
                text = f"too many logins that failed; try again in {wait_s} s"
                return failure(RequestProblem(429, text, {"Retry-After": str(wait_s)}))
            try:
                return await endpoint(request)
            except OAuthError as error:
                return failure(RequestProblem(error.status, str(error), error.headers))
            except Exception as error:  # noqa: BLE001 - whatever went wrong gets an answer, without its text
                if isinstance(error, LoginRefused):
                    self.failed(request)
                return failure(error)

        return answer

    def failed(self, request: Request) -> None:
        """A sign-in came to nothing of which somebody else is told."""
        self._failures.take(one_source(client_address(request)))
