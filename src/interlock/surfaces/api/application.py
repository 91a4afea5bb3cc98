"""The ASGI application of the API, put together."""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from interlock import __version__
from interlock.core.administration import COMMANDS, Command
from interlock.services.ports import Clock
from interlock.surfaces.api.authentication import Authentication
from interlock.surfaces.api.events import PATH, EventStreams, describe_events
from interlock.surfaces.api.gate import Gate
from interlock.surfaces.api.landing import add_landing
from interlock.surfaces.api.openapi import describe
from interlock.surfaces.api.problems import RequestProblem, problem_of, response_of
from interlock.surfaces.api.routes import Executor, add_commands, allowed_methods


class Pages(Protocol):
    """Routes that are no commands: what other programs and browsers ask by standards of their own."""

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""


def build_application(
    executor: Executor,
    authentication: Authentication,
    clock: Clock,
    streams: EventStreams | None = None,
    commands: Iterable[type[Command[Any]]] = COMMANDS,
    public_url: str = "",
    pages: Iterable[Pages] = (),
) -> ASGIApp:
    """Everything that the API answers; without ``streams`` there is no event stream. ``pages`` add routes of their own.

    With a ``public_url``, the links that lead there from messages are answered, too.
    """
    app = FastAPI(
        title="Interlock", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False, openapi_url=None
    )
    add_commands(app, commands, executor, authentication)
    if streams is not None:
        streams.add_to(app)
    if public_url:
        add_landing(app, public_url)
    for page in pages:
        page.add_to(app)
    _add_description(app, describe(commands, {PATH: describe_events()} if streams is not None else {}))
    for kind in (HTTPException, RequestProblem):
        app.add_exception_handler(kind, _problem)
    return Gate(app, clock)


def _add_description(app: FastAPI, description: dict[str, Any]) -> None:
    """Answer with the description; anybody may read it."""
    encoded = msgspec.json.encode(description)

    async def answer(_: Request) -> Response:
        return Response(encoded, media_type="application/json")

    app.add_api_route("/openapi.json", answer, methods=["GET"], response_class=Response)


async def _problem(request: Request, error: Exception) -> Response:
    """No such path, no such method on it, or what a response finds out only when it begins."""
    problem = problem_of(error)
    if problem.status == 405:
        problem.headers = {"Allow": allowed_methods(request.app, request)}
    return response_of(problem)
