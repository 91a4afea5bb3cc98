"""GraphQL over HTTP: a request is the fields of root types that its operations ask for, by their real names.

Other paths of the connection than those of its GraphQL are plain HTTP. What does not parse is ``unclassified``.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from interlock.core.denial import Denial
from interlock.core.masking import Masking
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import HttpTarget
from interlock.protocols.http.dialects.base import AnswerFilter, Reading, Reply, Request
from interlock.protocols.http.dialects.body_facts import body_facts, fields_of_body, header
from interlock.protocols.http.dialects.graphql_documents import (
    MAX_LENGTH,
    DocumentUnread,
    GraphqlOperation,
    names_of,
    read_operation,
)
from interlock.protocols.http.dialects.graphql_requests import GraphqlQuestion, questions
from interlock.protocols.http.dialects.json_facts import NO_BODY, BodyFacts, BodyRejected
from interlock.protocols.http.dialects.plain import (
    PlainDialect,
    asks_for_websocket,
    facts_of_request,
    http_facts,
    override,
)
from interlock.protocols.http.dialects.readings import Readings
from interlock.protocols.http.problems import denial_problem, error_of
from interlock.protocols.http.wire.messages import ResponseHead

MAX_VERB_LENGTH: Final = 200
_KINDS: Final = ("mutation", "subscription", "query")
"""What a batch is, as a whole: the first of these that is in it."""
_ANSWER: Final = b"application/graphql-response+json"
_NO_WEBSOCKET: Final = "GraphQL over WebSocket is not read; subscribe over HTTP, with server-sent events."


class GraphqlDialect:
    """Implements ``Dialect``. Meanings are remembered, so that equal short requests give the identical one."""

    def __init__(self, target: HttpTarget) -> None:
        """Raises ``ValueError`` for endpoints that contradict one another."""
        self._plain = PlainDialect(target)
        self._paths = tuple(_comparable(path) for path in target.graphql_paths)
        self._stored = {hashlib.sha256(text.encode()).hexdigest(): text for text in target.graphql_documents}
        self._readings = Readings()

    def wants_body(self, request: Request) -> bool:
        return self._is_graphql(request) or self._plain.wants_body(request)

    def read(self, request: Request, masking: Masking | None) -> Reading:
        if not self._is_graphql(request):
            return self._plain.read(request, masking)
        return self._readings.of(request, _key(request), self._read)

    def refuse(self, request: Request, reading: Reading, denial: Denial, link: str, approval: str = "") -> Reply | None:
        if not self._is_graphql(request):
            return self._plain.refuse(request, reading, denial, link, approval)
        return refusal(denial, approval, link, header(request.headers, b"accept"))

    def answer(
        self, request: Request, reading: Reading, head: ResponseHead, masking: Masking | None
    ) -> AnswerFilter | None:
        return None

    def _is_graphql(self, request: Request) -> bool:
        return _comparable(request.path).startswith(self._paths)

    def _read(self, request: Request) -> Reading:
        body = NO_BODY
        try:
            if asks_for_websocket(request.headers):
                raise BodyRejected(_NO_WEBSOCKET)
            asked = questions(request, self._stored)
            if not asked:
                return self._plain.read(request, None)
            body = body_facts(request)
            refusal = override(request.query_keys, body)
            operations = _operations(asked)
        except DocumentUnread as error:
            return Reading(_unclassified(request, body, error=str(error)))
        except BodyRejected as error:
            return Reading(_unclassified(request, body, refusal=str(error)))
        return Reading(self._meaning(request, body, operations, refusal), fields=_fields(operations))

    def _meaning(
        self, request: Request, body: BodyFacts, operations: list[GraphqlOperation], refusal: str | None
    ) -> Meaning:
        accesses = [access for operation in operations for access in _accesses(operation)]
        if (endpoint := self._plain.endpoint(request.path)) is not None:
            kinds = dict.fromkeys(operation.kind for operation in operations)
            accesses += [Access(f"graphql-{kind}", ResourceKind.ENDPOINT, (endpoint,)) for kind in kinds]
        graphql = {"operation": _kind(operations), "fields": names_of(operations)}
        facts = facts_of_request(request, body, graphql=graphql)
        return Meaning(_verb(operations), tuple(dict.fromkeys(accesses)), facts, refusal)


def refusal(denial: Denial, approval: str, link: str, accept: bytes) -> Reply:
    """A denial that is a problem and an answer of GraphQL at once (GraphQL over HTTP, 6.4), so that clients show it."""
    problem = denial_problem(denial, approval, link)
    error = {"message": error_of(problem).message, "extensions": {"code": denial.reason.name}}
    told = {**msgspec.to_builtins(problem), "errors": [error]}
    kind = _ANSWER if _ANSWER in accept else b"application/problem+json"
    headers = ((b"content-type", kind), (b"cache-control", b"no-store"), (b"x-should-retry", b"false"))
    return Reply(problem.status, headers, msgspec.json.encode(told))


def _operations(asked: Sequence[GraphqlQuestion]) -> list[GraphqlOperation]:
    """What is asked for. Raises ``DocumentUnread``, also for documents that are too long together."""
    if sum(len(question.document) for question in asked) > MAX_LENGTH:
        raise DocumentUnread(f"The GraphQL documents have more than {MAX_LENGTH} characters together.")
    return [read_operation(question.document, question.operation) for question in asked]


def _comparable(path: str) -> str:
    """A path as the freest servers compare it: without case, and with all that is below.

    So no spelling of a GraphQL path is taken for plain HTTP.
    """
    return path.casefold().rstrip("/") + "/"


def _key(request: Request) -> tuple[object, ...]:
    """Everything that ``GraphqlDialect._read`` looks at."""
    websocket = asks_for_websocket(request.headers)
    place = (request.method, request.path, request.query, request.host)
    return (*place, request.content_type, request.has_body, request.body, websocket, fields_of_body(request))


def _unclassified(request: Request, body: BodyFacts, *, error: str = "", refusal: str | None = None) -> Meaning:
    facts: dict[str, object] = {"http": http_facts(request, body)}
    if error:
        facts["error"] = error
    return Meaning(f"{request.method} (GraphQL)", (Access("unclassified", ResourceKind.CONNECTION),), facts, refusal)


def _accesses(operation: GraphqlOperation) -> Iterator[Access]:
    """One for each field of the root type; ``__typename`` counts only when nothing else is asked for."""
    fields = [root for root in operation.roots if root != "__typename"] or operation.roots
    for root in fields:
        action = "introspect" if root in ("__schema", "__type") else f"graphql-{operation.kind}"
        yield Access(action, ResourceKind.GRAPHQL_FIELD, (f"{operation.root_type}.{root}",))


def _kind(operations: Iterable[GraphqlOperation]) -> str:
    kinds = {operation.kind for operation in operations}
    return next(kind for kind in _KINDS if kind in kinds)


def _verb(operations: Iterable[GraphqlOperation]) -> str:
    verb = "; ".join(f"{operation.kind} {', '.join(operation.roots)}" for operation in operations)
    return verb if len(verb) <= MAX_VERB_LENGTH else f"{verb[: MAX_VERB_LENGTH - 1]}…"


def _fields(operations: Iterable[GraphqlOperation]) -> Mapping[str, tuple[str, ...]]:
    """Under which names the answer has what masks know by others.

    Answers that come in pieces, and events, have their data elsewhere than in ``data``: there every name counts.
    """
    found: dict[str, dict[str, None]] = {}
    for operation in operations:
        elsewhere = operation.incremental or operation.kind == "subscription"
        for field in operation.answer:
            if field.moved or elsewhere:
                found.setdefault(field.name, {})["/data/" + "/".join(field.path)] = None
    return {name: tuple(paths) for name, paths in found.items()}
