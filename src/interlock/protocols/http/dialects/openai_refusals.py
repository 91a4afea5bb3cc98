"""Denials in the words of a model API.

The body is a problem (RFC 9457) and an error of the API at once: clients of the API show ``error.message``, and nothing
else. It is 403 and says that sending it again is of no use, so that clients send it once.
"""

from typing import Final

import msgspec

from interlock.core.denial import Denial, DenialReason
from interlock.protocols.http.dialects.base import Reply
from interlock.protocols.http.problems import denied

_HOSTED: Final = "model-tool on hosted tool "


def refusal(denial: Denial, link: str) -> Reply:
    """The answer to a request that is denied, or not approved in time; ``link`` as for ``Dialect.refuse``."""
    ordinary = denied(denial, link, link)
    problem = msgspec.json.decode(ordinary.body)
    problem.pop("approval", None)
    return Reply(ordinary.status, ordinary.headers, msgspec.json.encode({**problem, "error": error_of(denial, link)}))


def error_of(denial: Denial, link: str) -> dict[str, object]:
    """The ``error`` member, as the API has it."""
    message = " ".join(filter(None, (denial.message, denial.hint, link)))
    return {"message": message, "type": "permission_error", "code": code_of(denial), "param": None}


def code_of(denial: Denial) -> str:
    """A word for programs: ``forbidden``, ``needs_approval``."""
    return denial.reason.name.lower()


def denied_hosted_tool(denial: Denial) -> str:
    """The id of the hosted tool that policy said no to, empty when the denial is about something else."""
    if denial.reason not in (DenialReason.FORBIDDEN, DenialReason.NO_PERMIT):
        return ""
    if not denial.access.startswith(_HOSTED):
        return ""
    _, _, tool = denial.access.removeprefix(_HOSTED).partition("/")
    return tool.replace("%2F", "/").replace("%25", "%")
