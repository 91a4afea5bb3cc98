"""Where identity providers say that a login or an account has ended: back-channel logout, and pushed security events.

Anybody can send something there, so that nothing is believed but signatures. What is not accepted is on the ledger with
its reason; the sender gets no more than the code of the standard. When the gateway cannot carry something out now it
says so, and the provider sends it again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from interlock.core.addresses import one_source
from interlock.core.errors import InterlockError
from interlock.core.security_event import SecurityEvent
from interlock.services.ports import Clock
from interlock.services.rate_limit import RateLimit
from interlock.services.security_events import EventRefused, SecurityEvents, Way
from interlock.surfaces.api.oauth.forms import OAuthError, read_form

LOGOUT_PATH: Final = "/logout/backchannel/{name}"
EVENTS_PATH: Final = "/events/{name}"
FAILURES_PER_MINUTE: Final = 60
"""Of one address; more are turned away unheard."""
MAX_TOKEN_BYTES: Final = 65_536
READ_TIMEOUT_S: Final = 15.0
_EVENT_TYPE: Final = "application/secevent+jwt"
_STATUS: Final = {"authentication_failed": 401, "access_denied": 404}

log = structlog.get_logger(__name__)


class Verifier(Protocol):
    """Knows whose word something is, by the name in the path. All raise EventRefused and StateUnavailable."""

    async def logout(self, name: str, token: str) -> SecurityEvent:
        """What a logout token says."""

    async def event(self, name: str, token: str) -> SecurityEvent:
        """What a security event token says."""

    async def check_sender(self, name: str, authorization: str) -> None:
        """Whether the sender of a pushed event may send it, by its header ``Authorization``."""


class SecurityEventPages:
    """Implements ``application.Pages``."""

    def __init__(self, verifier: Verifier, events: SecurityEvents, clock: Clock) -> None:
        self._verifier = verifier
        self._events = events
        self._failures = RateLimit(FAILURES_PER_MINUTE, clock)

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        app.add_api_route(LOGOUT_PATH, self._logout, methods=["POST"], response_class=Response)
        app.add_api_route(EVENTS_PATH, self._event, methods=["POST"], response_class=Response)

    async def _logout(self, request: Request) -> Response:
        """OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8."""

        async def read(name: str) -> SecurityEvent:
            form = await read_form(request)
            return await self._verifier.logout(name, form.require("logout_token"))

        return await self._answer(request, Way.LOGOUT, read, Response(status_code=200))

    async def _event(self, request: Request) -> Response:
        """RFC 8935 section 2."""

        async def read(name: str) -> SecurityEvent:
            await self._verifier.check_sender(name, request.headers.get("authorization", ""))
            return await self._verifier.event(name, await _read_token(request))

        return await self._answer(request, Way.PUSH, read, Response(status_code=202))

    async def _answer(
        self, request: Request, way: Way, read: Callable[[str], Awaitable[SecurityEvent]], done: Response
    ) -> Response:
        name, client_address = str(request.path_params["name"]), request.client.host if request.client else ""
        origin = one_source(client_address)
        if wait_s := self._failures.wait_s(origin):
            return _refusal(way, "access_denied", "too many events that were not accepted", 429, wait_s)
        try:
            try:
                await self._events.receive(await read(name), way)
            except (EventRefused, OAuthError) as refused:
                self._failures.take(origin)
                code = refused.code if isinstance(refused, EventRefused) else "invalid_request"
                await self._events.refuse(name[:256], way, client_address, str(refused))
                return _refusal(way, code, "the event is not accepted", _STATUS.get(code, 400))
        except Exception as error:  # noqa: BLE001 - whatever broke, the sender has to send it again
            log.error("security event not carried out", way=way.value, error=type(error).__name__)
            said = str(error) if isinstance(error, InterlockError) else "the gateway cannot do this now"
            return _refusal(way, "temporarily_unavailable", said, 503, 5)
        return done


async def _read_token(request: Request) -> str:
    """The token that is the body. Raises EventRefused."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _EVENT_TYPE:
        raise EventRefused(f"the Content-Type is not {_EVENT_TYPE}")
    data = bytearray()
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for piece in request.stream():
                data += piece
                if len(data) > MAX_TOKEN_BYTES:
                    raise EventRefused("the body is too long")
        return data.decode("ascii").strip()
    except TimeoutError:
        raise EventRefused("the body took too long") from None
    except UnicodeDecodeError:
        raise EventRefused("the body is no token") from None


def _refusal(way: Way, code: str, text: str, status: int, retry_after_s: int = 0) -> Response:
    """An error as the standard of the way has it (RFC 8935 section 2.3, RFC 6749 section 5.2); nobody may keep it."""
    names = ("error", "error_description") if way is Way.LOGOUT else ("err", "description")
    codes = ("invalid_request" if way is Way.LOGOUT and status == 400 else code, text)
    headers = {"Content-Language": "en"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if retry_after_s:
        headers["Retry-After"] = str(retry_after_s)
    content = dict(zip(names, codes, strict=True))
    return Response(msgspec.json.encode(content), status, headers, "application/json")
