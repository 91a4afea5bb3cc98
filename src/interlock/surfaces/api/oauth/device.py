"""``POST /oauth2/device_authorization``: a program without a browser has a person sign in elsewhere (RFC 8628)."""

import math
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from interlock.core.addresses import one_source
from interlock.core.errors import LedgerUnavailable, LoginRefused
from interlock.services.device_sign_in import DeviceSignIns
from interlock.services.people import People
from interlock.services.ports import Clock
from interlock.services.rate_limit import RateLimit
from interlock.surfaces.api.login.browsers import client_address
from interlock.surfaces.api.oauth.forms import OAuthError, answer, read_form, refusal
from interlock.surfaces.api.oauth.grants import require_client

PATH: Final = "/oauth2/device_authorization"
FAILURES_PER_MINUTE: Final = 60
"""Requests from one address that begin no login: each is on record."""


class DeviceEndpoint:
    """Implements ``application.Pages``."""

    def __init__(self, devices: DeviceSignIns, people: People, clock: Clock) -> None:
        self._devices = devices
        self._people = people
        self._failures = RateLimit(FAILURES_PER_MINUTE, clock)

    def add_to(self, app: FastAPI) -> None:
        """Add the route."""
        app.add_api_route(PATH, self._answer, methods=["POST"], response_class=Response)

    async def _answer(self, request: Request) -> Response:
        origin = one_source(client_address(request))
        if wait_s := self._failures.wait_s(origin):
            slow = {"Retry-After": str(wait_s)}
            return refusal(OAuthError("invalid_request", f"too many requests that failed; wait {wait_s} s", 429, slow))
        try:
            return answer(await self._begin(request))
        except OAuthError as error:
            return refusal(error)
        except LoginRefused as refused:
            self._failures.take(origin)
            return refusal(OAuthError("temporarily_unavailable", str(refused), 503, {"Retry-After": "5"}))
        except LedgerUnavailable as error:
            return refusal(OAuthError("temporarily_unavailable", str(error), 503, {"Retry-After": "5"}))

    async def _begin(self, request: Request) -> dict[str, Any]:
        """RFC 8628 section 3.2."""
        require_client(await read_form(request))
        address = client_address(request)
        try:
            code, login = await self._devices.begin(address)
        except LoginRefused as refused:
            await self._people.record(refused, address)
            raise
        return {
            "device_code": code,
            "user_code": login.user_code,
            "verification_uri": login.verification_uri_complete.partition("?")[0],
            "verification_uri_complete": login.verification_uri_complete,
            "expires_in": int(login.expires_in_s),
            "interval": math.ceil(login.interval_s),
        }
