"""Scenario: a destructive mutation is seen in every form that GraphQL servers take it in."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec
import pytest

from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import EndpointSettings, HttpTarget
from interlock.protocols.http.dialects.base import Reading, Request
from interlock.protocols.http.dialects.graphql import GraphqlDialect
from interlock.protocols.http.wire.targets import canonical_target
from tests.protocols.http.dialects.requests import request

_DELETE = "mutation { volumeDelete(id: 1) { ok } }"
_STORED = "query Stored { volumes { name } }"
_DIGEST = hashlib.sha256(_STORED.encode()).hexdigest()


def _dialect(**endpoints: str) -> GraphqlDialect:
    named = {name: EndpointSettings(path=path) for name, path in endpoints.items()}
    return GraphqlDialect(HttpTarget(endpoints=named, graphql_documents=(_STORED,)))


def _reading(asked: Request) -> Reading:
    return _dialect().read(asked, None)


def _meaning(asked: Request) -> Meaning:
    return _reading(asked).meaning


def _post(value: object, content_type: str = "application/json") -> Request:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return request("POST", "/graphql", content_type=content_type, body=body)


def _get(method: str = "GET", path: str = "/graphql", **parameters: str) -> Request:
    target = canonical_target(f"{path}?{urlencode(parameters, quote_via=quote)}".encode())
    assert not isinstance(target, str), target
    return Request(method, target.path, target.query, target.query_keys, (), "api.example", "")


def _accesses(meaning: Meaning) -> list[str]:
    return [f"{access.action} {access.kind.value} {'/'.join(access.path)}".strip() for access in meaning.accesses]


@pytest.mark.parametrize(
    "asked",
    [
        _post({"query": _DELETE}),
        _post({"query": "mutation { nothing: volumeDelete(id: 1) { ok } }"}),
        _post({"query": f"query A {{ volumes }} {_DELETE.replace('mutation', 'mutation B')}", "operationName": "B"}),
        _post({"query": "mutation { ...F } fragment F on Mutation { volumeDelete(id: 1) { ok } }"}),
        _post({"query": _DELETE, "operationName": None, "variables": None, "extensions": None}),
        _post([{"query": _DELETE}]),
        _post(_DELETE.encode(), "application/graphql"),
        _post(urlencode({"query": _DELETE}).encode(), "application/x-www-form-urlencoded"),
        _post({"query": _DELETE}, "application/graphql+json"),
        _get(query=_DELETE),
        _get("HEAD", query=_DELETE),
        _get(path="/graphql/", query=_DELETE),
        _get(path="/GraphQL", query=_DELETE),
        _get(path="/graphql/below", query=_DELETE),
    ],
)
def test_a_mutation_is_seen_in_every_form(asked: Request) -> None:
    meaning = _meaning(asked)
    assert _accesses(meaning) == ["graphql-mutation GraphqlField Mutation.volumeDelete"]
    assert meaning.verb == "mutation volumeDelete"
    assert meaning.refusal is None
    graphql = meaning.facts["graphql"]
    assert isinstance(graphql, Mapping)
    assert graphql["operation"] == "mutation"
    assert "Mutation.volumeDelete" in graphql["fields"]


def test_a_batch_is_everything_that_is_in_it() -> None:
    meaning = _meaning(_post([{"query": "{ volumes { name } }"}, {"query": _DELETE}]))
    assert _accesses(meaning) == [
        "graphql-query GraphqlField Query.volumes",
        "graphql-mutation GraphqlField Mutation.volumeDelete",
    ]
    assert meaning.verb == "query volumes; mutation volumeDelete"
    graphql = meaning.facts["graphql"]
    assert isinstance(graphql, Mapping)
    assert graphql == {
        "operation": "mutation",
        "fields": ("Mutation.volumeDelete", "Query.volumes", "name", "ok", "volumeDelete", "volumes"),
    }


def test_what_a_schema_is_asked_is_introspection() -> None:
    assert _accesses(_meaning(_post({"query": "{ __schema { types { name } } user { __typename } }"}))) == [
        "introspect GraphqlField Query.__schema",
        "graphql-query GraphqlField Query.user",
    ]


def test_a_typename_alone_is_a_query() -> None:
    assert _accesses(_meaning(_post({"query": "{ __typename }"}))) == ["graphql-query GraphqlField Query.__typename"]
    assert _accesses(_meaning(_post({"query": "{ __typename user }"}))) == ["graphql-query GraphqlField Query.user"]


def test_a_subscription() -> None:
    assert _accesses(_meaning(_post({"query": "subscription { events }"}))) == [
        "graphql-subscription GraphqlField Subscription.events"
    ]


def test_variables_are_facts_of_the_body() -> None:
    http = _meaning(_post({"query": "query($id: ID) { volume(id: $id) }", "variables": {"id": 7}})).facts["http"]
    assert isinstance(http, Mapping)
    assert "/variables/id=7" in http["body"]


def test_a_named_endpoint_is_asked_too() -> None:
    meaning = _dialect(api="/graphql").read(_post({"query": _DELETE}), None).meaning
    assert _accesses(meaning) == [
        "graphql-mutation GraphqlField Mutation.volumeDelete",
        "graphql-mutation Endpoint api",
    ]


@pytest.mark.parametrize("text", ["{", "mutation { ...F }", "query A { a } query B { b }", "{ a } #\u2028"])
def test_what_does_not_parse_is_unclassified(text: str) -> None:
    meaning = _meaning(_post({"query": text}))
    assert meaning.accesses == (Access("unclassified", ResourceKind.CONNECTION),)
    assert isinstance(meaning.facts["error"], str)
    assert meaning.refusal is None


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (_post(b"{"), "not valid JSON"),
        (_post(b'{"query": "{ volumes }", "query": "mutation { volumeDelete }"}'), "twice"),
        (_post(b'{"query": "{ volumes }", "Query": "mutation { volumeDelete }"}'), "twice"),
        (_post({"QUERY": _DELETE}), "almost 'query'"),
        (_post({"query": "{ volumes }", "operationname": "B"}), "almost 'operationName'"),
        (_post({"query": 1}), "has no document"),
        (_post({}), "has no document"),
        (_post([]), "from 1 to"),
        (_post([{"query": "{ a }"}] * 101), "from 1 to"),
        (_post(["{ a }"]), "JSON object"),
        (_post({"query": "{ a }", "operationName": 1}), "is a string"),
        (_post({"query": "{ a }", "documentId": "x"}), "names another one"),
        (_post({"documentId": "x"}), "does not know"),
        (_post({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "00"}}}), "does not know"),
        (_post({"extensions": {"persistedquery": {"sha256Hash": _DIGEST}}}), "does not know"),
        (_post({"query": "{ a }", "extensions": {"persistedQuery": {"sha256Hash": _DIGEST}}}), "names another one"),
        (_post({"query": "{ a }", "extensions": []}), "is an object"),
        (_post({"query": "{ a }"}, "text/plain"), "another content type"),
        (_post(_DELETE.encode(), "application/graphql; charset=utf-7"), "charset"),
        (_get(**{" query": _DELETE}), "almost 'query'"),
        (_post(b"+query=%7Ba%7D", "application/x-www-form-urlencoded"), "almost 'query'"),
        (_post(b"--b--", "multipart/form-data; boundary=b"), "multipart"),
        (_post(b"query=%7Ba%7D&query=%7Bb%7D", "application/x-www-form-urlencoded"), "twice"),
        (_post(b"\xff", "application/graphql"), "UTF-8"),
        (request("POST", "/graphql", content_type="application/json", has_body=True), "longer than"),
        (_get("POST", query=_DELETE), "in the body, or by GET"),
        (_get(query=_DELETE, QUERY="{ a }"), "twice"),
        (_get(extensions='{"persistedQuery": {"sha256Hash": "00"}}'), "does not know"),
        (request("GET", "/graphql", headers=((b"upgrade", b"websocket"),)), "WebSocket"),
        (request("GET", "/graphql", query=(("query", "%7Ba%7D"),), has_body=True), "no body"),
        (
            request(
                "POST",
                "/graphql",
                query=(("_method", "GET"),),
                content_type="application/json",
                body=b'{"query":"{a}"}',
            ),
            "method",
        ),
    ],
)
def test_what_servers_could_read_differently_is_refused(asked: Request, why: str) -> None:
    meaning = _meaning(asked)
    assert meaning.refusal is not None
    assert why in meaning.refusal


@pytest.mark.parametrize("given", [{}, {"query": _STORED}])
def test_a_listed_document_may_be_named(given: dict[str, str]) -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": _DIGEST}}
    assert _accesses(_meaning(_post({**given, "extensions": extensions}))) == [
        "graphql-query GraphqlField Query.volumes"
    ]
    by_url = _get(extensions=json.dumps(extensions), **given)
    assert _accesses(_meaning(by_url)) == ["graphql-query GraphqlField Query.volumes"]


@pytest.mark.parametrize(
    "asked",
    [
        request("GET", "/graphql"),
        request("OPTIONS", "/graphql"),
        request("POST", "/upload", content_type="image/png"),
        request("GET", "/graphql", query=(("theme", "dark"),)),
        request("GET", "/graphql/logo.png"),
        request("POST", "/graphqlx", content_type="image/png"),
    ],
)
def test_other_requests_are_plain_http(asked: Request) -> None:
    assert _accesses(_meaning(asked)) == [f"http-{asked.method.lower()} Connection"]


def test_which_bodies_are_wanted() -> None:
    dialect = _dialect()
    assert dialect.wants_body(request("POST", "/graphql", content_type="image/png"))
    assert not dialect.wants_body(request("POST", "/upload", content_type="image/png"))


def test_equal_requests_have_the_identical_meaning() -> None:
    dialect = _dialect()
    first, again = (dialect.read(_post({"query": _DELETE}), None) for _ in range(2))
    assert first.meaning is again.meaning
    assert dialect.read(_get(query="{ a }"), None).meaning is not dialect.read(_get(query="{ b }"), None).meaning


def test_aliases_say_what_they_stand_for() -> None:
    fields = _reading(_post({"query": "{ u: user { x: email, name } orders { total } }"})).fields
    assert fields == {"u": ("/data/user",), "x": ("/data/user/email",), "name": ("/data/user/name",)}


@pytest.mark.parametrize(
    "text", ["subscription { events { email } }", "subscription { events { ... @defer { email } } }"]
)
def test_where_the_answer_has_its_data_elsewhere_every_name_counts(text: str) -> None:
    assert _reading(_post({"query": text})).fields == {"events": ("/data/events",), "email": ("/data/events/email",)}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (b"*/*", b"application/problem+json"),
        (b"application/graphql-response+json", b"application/graphql-response+json"),
    ],
)
def test_a_denial_is_an_error_of_graphql_too(accept: bytes, kind: bytes) -> None:
    asked = msgspec.structs.replace(_post({"query": _DELETE}), headers=((b"accept", accept),))
    denial = Denial(DenialReason.FORBIDDEN, "volumes stay.", "Ask ann.", rules=("no-deletes",))
    reply = _dialect().refuse(asked, _reading(asked), denial, "")
    assert reply is not None
    assert (reply.status, reply.headers[0]) == (403, (b"content-type", kind))
    told = json.loads(reply.body)
    assert told["errors"] == [{"message": "volumes stay. Ask ann.", "extensions": {"code": "FORBIDDEN"}}]
    assert (told["rules"], told["retry"]) == (["no-deletes"], False)


def test_a_denial_of_plain_http_is_an_ordinary_one() -> None:
    asked = request("GET", "/other")
    assert _dialect().refuse(asked, _reading(asked), Denial(DenialReason.NO_PERMIT, "no."), "") is None


def test_a_document_in_a_coded_body_is_read() -> None:
    asked = msgspec.structs.replace(
        _post(gzip.compress(json.dumps({"query": _DELETE}).encode())),
        headers=((b"content-type", b"application/json"), (b"content-encoding", b"gzip")),
    )
    assert _accesses(_meaning(asked)) == ["graphql-mutation GraphqlField Mutation.volumeDelete"]


def test_variables_that_are_too_many_are_unread() -> None:
    meaning = _meaning(
        _post({"query": "query($ids: [ID]) { volumes(ids: $ids) }", "variables": {"ids": list(range(2000))}})
    )
    assert _accesses(meaning) == ["graphql-query GraphqlField Query.volumes"]
    assert "values" in str(meaning.facts["unread"])


def test_a_batch_is_bounded_as_a_whole() -> None:
    asked = _post([{"query": f"{{ a{number} # {'x' * 3000}\n }}"} for number in range(30)])
    assert "characters together" in str(_meaning(asked).facts["error"])
