"""Answers that the gateway gives itself: problem details (RFC 9457) that an agent and its developer can act on."""

from typing import Final

import msgspec

from interlock.core.denial import Denial, DenialReason
from interlock.protocols.base import LoginFailed
from interlock.protocols.http.dialects.base import Reply
from interlock.protocols.http.values import Misrouted
from interlock.protocols.http.wire.messages import Headers

_TITLES: Final = {
    400: "The request cannot be read",
    401: "A token is needed",
    403: "Denied by the access gateway",
    404: "Nothing there",
    405: "Not possible here",
    407: "A token is needed",
    408: "The request did not come in time",
    413: "The request is too large",
    421: "Wrong host",
    502: "The target did not answer properly",
    503: "The gateway cannot do this now",
    504: "The target did not answer in time",
}
_HEADERS: Final[Headers] = (
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
    (b"x-should-retry", b"false"),
)
_OF_LOGIN: Final = {"28P01": 401, "28000": 502, "08001": 502, "58000": 503, "58030": 503}
"""Statuses by the code of a ``LoginFailed``; any other is 403."""


class ApiError(msgspec.Struct, frozen=True):
    """A problem once more, as APIs of models have errors: their clients show ``message`` and nothing else."""

    message: str
    type: str
    code: str
    param: None = None


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The members of a problem. ``retry`` says whether sending the same request again can help."""

    type: str
    title: str
    status: int
    detail: str
    hint: str = ""
    reason: str = ""
    rules: tuple[str, ...] = ()
    access: str = ""
    approval: str = ""
    link: str = ""
    retry: bool | None = None
    error: ApiError | None = None


def reply(status: int, detail: str, hint: str = "", headers: Headers = ()) -> Reply:
    """A problem that is not about a decision."""
    return _reply(Problem(f"urn:interlock:problem:{status}", _title(status), status, detail, hint), headers)


def misrouted(found: Misrouted) -> Reply:
    """For a request that has no way."""
    return reply(found.status, found.detail, found.hint)


def needs_token(detail: str, *, by_proxy: bool, challenge: bytes = b"") -> Reply:
    """401, or 407 from the proxy (RFC 9110, sections 11.6 and 11.7). ``challenge`` is added to that for Bearer."""
    bearer = b'Bearer realm="interlock"' + challenge
    if by_proxy:
        headers: Headers = ((b"proxy-authenticate", b'Basic realm="interlock"'), (b"proxy-authenticate", bearer))
        return reply(
            407, detail, "Give the token as password in the URL of the proxy: http://agent:TOKEN@HOST.", headers
        )
    hint = "Send the token as Authorization: Bearer, as the password of Basic, or as Interlock-Token."
    return reply(401, detail, hint, ((b"www-authenticate", bearer),))


def login_failed(failed: LoginFailed, *, by_proxy: bool, challenge: bytes = b"") -> Reply:
    """Why a caller has no session, or the session no target."""
    status = _OF_LOGIN.get(failed.code, 403)
    if status == 401:
        return needs_token(failed.message, by_proxy=by_proxy, challenge=challenge)
    return reply(status, failed.message, failed.hint)


def denied(denial: Denial, approval: str, link: str) -> Reply:
    """A decision against the request. ``approval`` and ``link`` are those of a request to people that is open."""
    return _reply(denial_problem(denial, approval, link))


def denial_problem(denial: Denial, approval: str, link: str) -> Problem:
    """What ``denied`` says."""
    pending = denial.reason is DenialReason.NEEDS_APPROVAL and bool(approval or link)
    status = 503 if denial.reason is DenialReason.UNRECORDED else 403
    return Problem(
        type=f"urn:interlock:problem:{'approval-pending' if pending else 'denied'}",
        title="Approval pending" if pending else _title(status),
        status=status,
        detail=denial.message,
        hint=denial.hint,
        reason=denial.reason.value,
        rules=denial.rules,
        access=denial.access,
        approval=approval if pending else "",
        link=link if pending else "",
        retry=pending,
    )


def _title(status: int) -> str:
    return _TITLES.get(status, "The request was not carried out")


def _reply(problem: Problem, headers: Headers = ()) -> Reply:
    told = msgspec.structs.replace(problem, error=error_of(problem))
    return Reply(problem.status, (*_HEADERS, *headers), msgspec.json.encode(told))


def error_of(problem: Problem) -> ApiError:
    """The same as an error of an API."""
    message = " ".join(filter(None, (problem.detail, problem.hint, problem.link)))
    return ApiError(message, "gateway_error", problem.type.rpartition(":")[2])
