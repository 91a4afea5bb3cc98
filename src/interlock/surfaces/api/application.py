"""The ASGI application of the API, put together."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from interlock import __version__
from interlock.core.administration import COMMANDS, Command
from interlock.services.ports import Clock
from interlock.surfaces.api.authentication import Authentication
from interlock.surfaces.api.gate import Gate
from interlock.surfaces.api.problems import problem_of, response_of
from interlock.surfaces.api.routes import Executor, add_commands, allowed_methods


def build_application(
    executor: Executor,
    authentication: Authentication,
    clock: Clock,
    commands: Iterable[type[Command[Any]]] = COMMANDS,
) -> ASGIApp:
    """Everything that the API answers."""
    app = FastAPI(
        title="Interlock", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False, openapi_url=None
    )
    add_commands(app, commands, executor, authentication)
    app.add_exception_handler(HTTPException, _routing_problem)
    return Gate(app, clock)


async def _routing_problem(request: Request, error: Exception) -> Response:
    """No such path, or no such method on it."""
    problem = problem_of(error)
    if problem.status == 405:
        problem.headers = {"Allow": allowed_methods(request.app, request)}
    return response_of(problem)
