"""Where the links in messages lead: how the request can be looked at and answered.

It shows nothing of the request, not even whether there is one: whoever has a link has no permission by it.
"""

from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from interlock.core.session import is_session_id
from interlock.surfaces.api.problems import RequestProblem
from interlock.surfaces.api.routes import answering

_TEXT: Final = """\
Request for approval {approval}

With a token of yours in INTERLOCK_TOKEN, from any machine that reaches this gateway:

  interlock --api {url} approvals show {approval}
  interlock --api {url} approvals rehearse {approval}
  interlock --api {url} approvals approve {approval} --reason "..."
  interlock --api {url} approvals deny {approval} --reason "..."
"""


def add_landing(app: FastAPI, public_url: str) -> None:
    """Answer ``public_url/approvals/ID``; anybody may read it."""

    async def answer(request: Request) -> Response:
        approval = request.path_params["id"]
        if not is_session_id(approval):
            raise RequestProblem(404, "this is not the id of a request for approval")
        return PlainTextResponse(_TEXT.format(approval=approval, url=public_url))

    app.add_api_route("/approvals/{id}", answering(answer), methods=["GET"], response_class=Response)
