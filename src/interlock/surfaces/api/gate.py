"""What holds for every request, whatever it asks: bounds, headers, and that no error goes without an answer.

It takes a request's path as it was sent: names in it are percent-encoded, and decoded only when they are read.
"""

from collections import Counter
from email.utils import formatdate
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.services.ports import Clock
from interlock.surfaces.api.problems import RETRY_AFTER_S, RequestProblem, problem_of, response_of

MAX_REQUESTS: Final = 256
"""Requests that are being answered at a time, event streams among them: over the network, and as many on this machine.

Anybody can send forms slowly, which is no reason to keep the gateway's own operators waiting.
"""

log = structlog.get_logger()

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Gate:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._requests: Counter[bool] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = _Answer(send, self._clock)
        local = scope["state"].get("account") is not None
        self._requests[local] += 1
        try:
            if self._requests[local] > MAX_REQUESTS:
                busy = {"Retry-After": str(RETRY_AFTER_S)}
                raise RequestProblem(503, "the gateway is answering as many requests as it may", busy)
            if {b"content-length", b"transfer-encoding"} <= dict(scope["headers"]).keys():
                raise RequestProblem(400, "a body has a length or comes in chunks, not both", {"Connection": "close"})
            await self._app({**scope, "path": scope["raw_path"].decode("latin-1")}, receive, answer.send)
        except Exception as error:  # noqa: BLE001 - one request must not end the gateway
            if answer.begun:
                log.warning("an api answer was broken off", error=type(error).__name__)
                scope["state"]["abort"]()
            else:
                await response_of(problem_of(error))(scope, receive, answer.send)
        finally:
            self._requests[local] -= 1


class _Answer:
    """Sends what an application answers, with the headers that all answers have unless they say otherwise."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            said = list(message.get("headers", ()))
            names = {name for name, _ in said}
            message = {**message, "headers": [*said, *(one for one in _HEADERS if one[0] not in names), *self._date()]}
        await self._send(message)

    def _date(self) -> list[tuple[bytes, bytes]]:
        try:
            return [(b"date", formatdate(self._clock.now_s(), usegmt=True).encode())]
        except OSError:
            return []
