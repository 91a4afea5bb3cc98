"""The commands as routes, all from the table: path, query and body become a command, its answer becomes JSON."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.routing import Match

from interlock.core.administration import AnswerT, Command
from interlock.core.administration.requests import command_of, tag_of
from interlock.core.identity import Actor
from interlock.surfaces.api.authentication import Authentication
from interlock.surfaces.api.problems import RequestProblem, problem_of, response_of

MAX_BODY_BYTES: Final = 1 << 20
BODY_TIMEOUT_S: Final = 30.0
_JSON: Final = "application/json"

Endpoint = Callable[[Request], Awaitable[Response]]


class Executor(Protocol):
    """``services.administration.Administration``."""

    def execute(self, command: Command[AnswerT], actor: Actor) -> Awaitable[AnswerT]:
        """Do what the command says, if the actor may. Raises InterlockError."""


def add_commands(
    app: FastAPI, commands: Iterable[type[Command[Any]]], executor: Executor, authentication: Authentication
) -> None:
    """One route for each command."""
    for kind in sorted(commands, key=_literals_first):
        app.add_api_route(
            kind.route.path,
            answering(_endpoint(kind, executor, authentication)),
            methods=[kind.route.method],
            operation_id=tag_of(kind),
            response_class=Response,
        )


def answering(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose errors are answers."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:  # noqa: BLE001 - whatever went wrong gets an answer, without its text
            return response_of(problem_of(error))

    return answer


def allowed_methods(app: FastAPI, request: Request) -> str:
    """For the Allow header: the methods that a request's path takes."""
    found = {
        method for route in app.routes if route.matches(request.scope)[0] is not Match.NONE for method in _of(route)
    }
    return ", ".join(sorted(found))


def _of(route: object) -> set[str]:
    return getattr(route, "methods", None) or set()


def _endpoint(kind: type[Command[Any]], executor: Executor, authentication: Authentication) -> Endpoint:
    async def execute(request: Request) -> Response:
        actor = await authentication.actor(request)
        command = command_of(kind, request.path_params, query_of(request), await _body(kind, request))
        return Response(msgspec.json.encode(await executor.execute(command, actor)), media_type=_JSON)

    return execute


def query_of(request: Request) -> list[tuple[str, str]]:
    """The query, decoded. Raises RequestProblem when it is no UTF-8."""
    try:
        text = request.scope["query_string"].decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise RequestProblem(400, "the query is not UTF-8 in percent-encoding, or has over 100 parameters") from None


async def _body(kind: type[Command[Any]], request: Request) -> dict[str, object] | None:
    """The members of a JSON body; without one, none. Raises RequestProblem."""
    data = await _read(request)
    if kind.route.method == "GET" or not data:
        if data:
            raise RequestProblem(400, "a GET has no body: parameters are in the query")
        return None
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise RequestProblem(415, f"the body must be JSON: Content-Type: {_JSON}")
    try:
        value = msgspec.json.decode(data)
        json.loads(data, object_pairs_hook=_unique)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RequestProblem(400, f"the body is not JSON as it should be: {error}") from None
    if not isinstance(value, dict):
        raise RequestProblem(400, "the body must be a JSON object")
    return value


async def _read(request: Request) -> bytes:
    """The whole body. Raises RequestProblem when it is too large or takes too long."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                data += piece
                if len(data) > MAX_BODY_BYTES:
                    close = {"Connection": "close"}
                    raise RequestProblem(413, f"a body may have {MAX_BODY_BYTES} bytes at most", close)
    except TimeoutError:
        raise RequestProblem(
            408, f"the body did not come within {BODY_TIMEOUT_S:g} s", {"Connection": "close"}
        ) from None
    return bytes(data)


def _unique(members: list[tuple[str, object]]) -> None:
    names = [name for name, _ in members]
    if len(set(names)) != len(names):
        raise ValueError("an object has a member twice")


def _literals_first(kind: type[Command[Any]]) -> list[tuple[bool, str]]:
    """Order of the routes: a word in a path goes before a field that could have it as its value."""
    return [(segment.startswith("{"), segment) for segment in kind.route.path.split("/")]
