"""Errors as RFC 9457 has them (``application/problem+json``), and which error is which.

What is not expected is answered without its text: that could hold a secret.
"""

import http
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response

from interlock.core.errors import (
    AdministrationRefused,
    CredentialUnavailable,
    EvidenceError,
    InterlockError,
    InvalidCommand,
    LedgerUnavailable,
    LoginRefused,
    NotAllowed,
    NotFound,
    StateUnavailable,
)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5

log = structlog.get_logger()


class Problem(msgspec.Struct, frozen=True, omit_defaults=False):
    """What is wrong: ``detail`` is a sentence on this case and what to do, ``title`` names the kind of error."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


class RequestProblem(Exception):
    """A request that cannot be answered as asked. ``headers`` go out with it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


_STATUS: Final[tuple[tuple[type[InterlockError], int], ...]] = (
    (NotFound, 404),
    (NotAllowed, 403),
    (InvalidCommand, 422),
    (AdministrationRefused, 409),
    (LedgerUnavailable, 503),
    (StateUnavailable, 503),
    (CredentialUnavailable, 409),
    (EvidenceError, 409),
)
"""The first that fits."""


def problem_of(error: Exception) -> RequestProblem:
    """The answer to an error. What nobody foresaw is logged by its type only."""
    if isinstance(error, RequestProblem):
        return error
    if isinstance(error, LoginRefused):
        return unauthenticated(f"the token is not accepted: {error}", "invalid_token")
    if isinstance(error, HTTPException):
        return RequestProblem(error.status_code, _ROUTING.get(error.status_code, str(error.detail)), error.headers)
    for kind, status in _STATUS:
        if isinstance(error, kind):
            headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
            return RequestProblem(status, str(error), headers)
    log.error("api request failed", error=type(error).__name__)
    return RequestProblem(500, "the gateway failed to do this; its log says more")


_ROUTING: Final = {
    404: "there is nothing at this path; /openapi.json lists what there is (a / within a name is written %2F)",
    405: "this path does not take this method; the Allow header has those that it takes",
}


def unauthenticated(detail: str, error: str = "") -> RequestProblem:
    """The caller must prove who it is. ``error`` is the code of RFC 6750, empty when there was no token."""
    challenge = 'Bearer realm="interlock"' + (f', error="{error}"' if error else "")
    return RequestProblem(401, detail, {"WWW-Authenticate": challenge})


def response_of(problem: RequestProblem) -> Response:
    """The HTTP response."""
    return Response(body_of(problem.status, problem.detail), problem.status, problem.headers, MEDIA_TYPE)


def body_of(status: int, detail: str) -> bytes:
    """A problem in JSON."""
    return msgspec.json.encode(Problem(http.HTTPStatus(status).phrase, status, detail))
