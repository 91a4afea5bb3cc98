"""Plain HTTP: a request is its method on a named endpoint, with the fields of its body where it is JSON or a form.

What would make the target take a request for another one is refused: a method that the query or the body gives, a body
that is not what it is declared to be.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from interlock.core.denial import Denial
from interlock.core.masking import Masking
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import HttpTarget
from interlock.protocols.http.dialects.base import AnswerFilter, Reading, Reply, Request
from interlock.protocols.http.dialects.body_facts import (
    FORM,
    MULTIPART,
    UNDECLARED,
    body_facts,
    fields_of_body,
    is_json,
)
from interlock.protocols.http.dialects.endpoints import Endpoints
from interlock.protocols.http.dialects.json_facts import NO_BODY, BodyFacts, BodyRejected
from interlock.protocols.http.dialects.readings import Readings
from interlock.protocols.http.wire.messages import Headers, ResponseHead

ACTIONS: Final[Mapping[str, str]] = {
    method: f"http-{method.lower()}" for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
}
OTHER_ACTION: Final = "http-other"

_OVERRIDES: Final = frozenset({"_method", "x_http_method_override", "x_http_method", "x_method_override"})


class PlainDialect:
    """Implements ``Dialect``. Meanings are remembered, so that equal short requests give the identical one."""

    def __init__(self, target: HttpTarget) -> None:
        """Raises ``ValueError`` for endpoints that contradict one another."""
        self._endpoints = Endpoints({name: endpoint.path for name, endpoint in target.endpoints.items()})
        self._templates = {name: endpoint.path for name, endpoint in target.endpoints.items()}
        self._readings = Readings()

    def wants_body(self, request: Request) -> bool:
        kind = request.content_type
        return is_json(kind) or kind in (FORM, MULTIPART) or kind in UNDECLARED

    def read(self, request: Request, masking: Masking | None) -> Reading:
        return self._readings.of(request, _key(request), self._read)

    def refuse(self, request: Request, reading: Reading, denial: Denial, link: str, approval: str = "") -> Reply | None:
        return None

    def answer(
        self, request: Request, reading: Reading, head: ResponseHead, masking: Masking | None
    ) -> AnswerFilter | None:
        return None

    def endpoint(self, path: str) -> str | None:
        """The name of the endpoint that a path belongs to."""
        return self._endpoints.find(path)

    def _read(self, request: Request) -> Reading:
        endpoint = self.endpoint(request.path)
        shown = request.method if endpoint is None else f"{request.method} {self._templates[endpoint]}"
        accesses = (self._access(request, endpoint),)
        try:
            body = body_facts(request)
            refusal = override(request.query_keys, body)
        except BodyRejected as error:
            body, refusal = NO_BODY, str(error)
        return Reading(Meaning(shown, accesses, facts_of_request(request, body), refusal))

    def _access(self, request: Request, endpoint: str | None) -> Access:
        action = "http-websocket" if asks_for_websocket(request.headers) else action_of(request.method)
        if endpoint is None:
            return Access(action, ResourceKind.CONNECTION)
        return Access(action, ResourceKind.ENDPOINT, (endpoint,))


def action_of(method: str) -> str:
    """The action of policy that a method is; methods are case-sensitive (RFC 9110, 9.1)."""
    return ACTIONS.get(method, OTHER_ACTION)


def asks_for_websocket(headers: Headers) -> bool:
    """Whether the request offers to go on as WebSocket (RFC 6455, 4.1)."""
    return any(name == b"upgrade" and b"websocket" in value.lower() for name, value in headers)


def facts_of_request(request: Request, body: BodyFacts, **parts: object) -> Mapping[str, object]:
    """The facts of a meaning. ``unread`` is for policy: whoever asks for something about the body is then refused."""
    facts: dict[str, object] = {"http": http_facts(request, body), **parts}
    if body.unread:
        facts["unread"] = body.unread
    return facts


def http_facts(request: Request, body: BodyFacts) -> Mapping[str, object]:
    """What policy reads as ``context.http``."""
    return {
        "method": request.method,
        "path": request.path,
        "host": request.host,
        "content_type": request.content_type,
        "query": tuple(sorted(set(request.query_keys))),
        "fields": body.fields,
        "body": body.values,
    }


def override(query_keys: Iterable[str], body: BodyFacts) -> str | None:
    """Why not, when a parameter would make some servers take the request for one with another method."""
    for name in (*query_keys, *(field[1:] for field in body.fields)):
        if as_php_reads(name) in _OVERRIDES:
            return f"The parameter {name[:64]!r} would change the method of the request; use the method itself."
    return None


def as_php_reads(name: str) -> str:
    """A parameter's name as PHP has it, the server that is the freest with names."""
    cut = name.lstrip(" ").partition("\0")[0]
    return re.sub(r"[ .\[-]", "_", cut).lower()


def _key(request: Request) -> tuple[object, ...]:
    """Everything that ``PlainDialect._read`` looks at."""
    return (
        request.method,
        request.path,
        request.query_keys,
        request.content_type,
        request.host,
        request.has_body,
        request.body,
        asks_for_websocket(request.headers),
        fields_of_body(request),
    )
