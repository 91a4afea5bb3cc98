"""The description of the API (OpenAPI 3.1), made of the commands: routes, fields, answers, and what can go wrong."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from interlock import __version__
from interlock.core.administration import Command, answer_type
from interlock.core.administration.base import Permission, Route
from interlock.core.administration.requests import shape_of, tag_of
from interlock.surfaces.api.problems import MEDIA_TYPE, Problem

_REFERENCE: Final = "#/components/schemas/{name}"
_ERRORS: Final = {
    400: "The request cannot be read: its query, its JSON, or a name in its path.",
    401: "There is no token, or it is not accepted.",
    403: "The caller does not have the permission, or is locked.",
    404: "What is asked about is not there.",
    408: "The body did not come in time.",
    409: "It cannot be done as things stand.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A field is missing, unknown, or not as it must be.",
    429: "The caller asks too often.",
    500: "The gateway failed.",
    503: "It could not be recorded or kept, or the gateway is busy.",
}
_HEADERS: Final = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
_INTRODUCTION: Final = """\
Every error is a problem as RFC 9457 has it. Parameters and members that are not described are errors. \
Within a name in a path, `/` is written `%2F`. Lists come in pages: give the `next` of an answer as `after`."""


def describe(commands: Iterable[type[Command[Any]]], others: Mapping[str, Any]) -> dict[str, Any]:
    """The whole document; ``others`` are further path items by their paths."""
    commands = tuple(commands)
    types = [*(answer_type(kind) for kind in commands), *commands, Problem]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for kind in sorted(commands, key=lambda kind: kind.route.path):
        paths.setdefault(kind.route.path, {})[kind.route.method.lower()] = _operation(kind, schemas[kind.__name__])
    for kind in commands:
        del schemas[kind.__name__]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Interlock", "version": __version__, "description": _INTRODUCTION},
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in sorted({_noun(kind.route) for kind in commands})],
        "paths": paths | dict(others),
        "components": {
            "schemas": _tidy(schemas),
            "responses": {str(status): _problem(status) for status in _ERRORS},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def responses(content: Mapping[str, Any]) -> dict[str, Any]:
    """What an operation answers: this content, or a problem."""
    errors = {str(status): {"$ref": f"#/components/responses/{status}"} for status in _ERRORS}
    return {"200": {"description": "It is so, or it was done.", "content": dict(content)}} | errors


def permission_note(permissions: Iterable[Permission]) -> str:
    """Who may, as a sentence."""
    words = [f"`{permission.value}`" for permission in permissions]
    return f"Takes the permission {' or '.join(words)}." if words else "Whoever is known may ask."


def _operation(kind: type[Command[Any]], schema: dict[str, Any]) -> dict[str, Any]:
    route, shape = kind.route, shape_of(kind)
    properties, required = schema["properties"], set(schema["required"])
    (answer,), _ = msgspec.json.schema_components([answer_type(kind)], ref_template=_REFERENCE)
    summary, _, rest = _prose(kind.__doc__ or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": tag_of(kind),
        "tags": [_noun(route)],
        "summary": summary,
        "description": "\n\n".join(filter(None, [rest.strip(), permission_note(route.permissions)])),
        "parameters": [_parameter("path", name, properties[name], required=True) for name in shape.path],
        "responses": responses({"application/json": {"schema": _tidy(answer)}}),
        "x-permissions": [permission.value for permission in route.permissions],
    }
    if route.method == "GET":
        beside = (_parameter("query", name, properties[name], required=name in required) for name in shape.beside)
        operation["parameters"] += beside
    else:
        operation["requestBody"] = _body({name: properties[name] for name in shape.beside}, required)
    return operation


def _parameter(place: str, name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """A parameter. In a query nothing is null: it is left out. In a path nothing is empty."""
    shown = _without_null(_tidy(schema))
    if place == "path" and shown.get("type") == "string":
        shown = {"minLength": 1} | shown
    return {"name": name, "in": place, "required": required, "schema": shown}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    return rest | (choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})


def _body(members: dict[str, Any], required: set[str]) -> dict[str, Any]:
    needed = [name for name in members if name in required]
    schema = {"type": "object", "properties": _tidy(members), "required": needed, "additionalProperties": False}
    return {"required": bool(needed), "content": {"application/json": {"schema": schema}}}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(name=Problem.__name__)}
    response: dict[str, Any] = {"description": _ERRORS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
    if status in _HEADERS:
        response["headers"] = {_HEADERS[status]: {"required": True, "schema": {"type": "string"}}}
    return response


def _tidy(schema: Any) -> Any:
    """A schema with docstrings as prose."""
    if isinstance(schema, dict):
        return {name: _prose(value) if name == "description" else _tidy(value) for name, value in schema.items()}
    return [_tidy(item) for item in schema] if isinstance(schema, list | tuple) else schema


def _prose(text: Any) -> Any:
    """Text of a docstring in Markdown."""
    return re.sub(r"``([^`]*)``", r"`\1`", re.sub(r"\n +", "\n", text)) if isinstance(text, str) else _tidy(text)


def _noun(route: Route) -> str:
    return route.path.split("/")[2]
