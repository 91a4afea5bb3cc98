"""``/saml/NAME/…``: what a SAML provider is told of this gateway, and where it logs people out.

Answers of providers to logins come to the callback that all providers have (``login.login``).
"""

from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from interlock.services.sign_in import Redirect
from interlock.services.single_logout import LogoutMessage, SingleLogout
from interlock.surfaces.api.login.browsers import client_address
from interlock.surfaces.api.login.login import MAX_ANSWER_BYTES
from interlock.surfaces.api.login.pages import onward, page, paragraph
from interlock.surfaces.api.login.showing import Showing
from interlock.surfaces.api.oauth.forms import read_form
from interlock.surfaces.api.problems import RequestProblem

METADATA_TYPE: Final = "application/samlmetadata+xml"
MAX_QUERY_BYTES: Final = 32_768


def metadata_path(name: str) -> str:
    """Where a provider reads the gateway's metadata."""
    return f"/saml/{name}/metadata"


def logout_path(name: str) -> str:
    """Where a provider logs people out."""
    return f"/saml/{name}/slo"


class SamlPages:
    """Implements ``application.Pages``."""

    def __init__(self, logout: SingleLogout, showing: Showing) -> None:
        self._logout = logout
        self._showing = showing

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        app.add_api_route(
            metadata_path("{name}"), self._showing(self._metadata), methods=["GET"], response_class=Response
        )
        app.add_api_route(
            logout_path("{name}"), self._showing(self._log_out), methods=["GET", "POST"], response_class=Response
        )

    async def _metadata(self, request: Request) -> Response:
        metadata = self._logout.metadata(request.path_params["name"])
        if metadata is None:
            raise RequestProblem(404, "there is no SAML provider of this name")
        return Response(metadata, media_type=METADATA_TYPE)

    async def _log_out(self, request: Request) -> Response:
        query = request.scope["query_string"]
        if len(query) > MAX_QUERY_BYTES:
            raise RequestProblem(414, f"the query has more than {MAX_QUERY_BYTES} bytes")
        form = (await read_form(request, max_bytes=MAX_ANSWER_BYTES)).values if request.method == "POST" else {}
        message = LogoutMessage(query.decode("latin-1"), form)
        where = await self._logout.log_out(request.path_params["name"], message, client_address(request))
        if where is None:
            return page("Logged out", paragraph("You are logged out."))
        return RedirectResponse(where.url, 303) if isinstance(where, Redirect) else onward(where)
