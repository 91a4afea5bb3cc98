"""What the reference implementation executes is among what was decided, however a request is written."""

import json
from typing import Any

from graphql import execute_sync, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.operation import ResourceKind
from interlock.core.settings.http import HttpTarget
from interlock.protocols.http.dialects.graphql import GraphqlDialect
from tests.protocols.http.dialects.requests import request
from tests.servers.graphql_service import GraphqlService

_ROOTS = ["volumeDelete(id: 1)", "x: volumeDelete(id: $id)", "user { id }", "user: user { x: email }", "__typename"]
_FRAGMENTS = (
    "fragment F on Query { q: user { ...P } ...G } fragment G on Mutation { m: volumeDelete(id: 3) } "
    "fragment P on User { id }"
)
_field = st.builds(
    str.__add__, st.sampled_from([*_ROOTS[:2], "...F", "...G"]), st.sampled_from(["", " @include(if: $yes)"])
)
_selection = st.recursive(
    st.one_of(_field, st.sampled_from(_ROOTS)),
    lambda inner: st.builds(
        lambda on, parts: f"...{on} {{ {' '.join(parts)} }}",
        st.sampled_from(["", " on Mutation", " on Query", " @skip(if: false)"]),
        st.lists(inner, min_size=1, max_size=2),
    ),
    max_leaves=4,
)
_operation = st.builds(
    lambda kind, name, parts: f"{kind} {name}($id: ID! = 2, $yes: Boolean! = true) {{ {' '.join(parts)} }}",
    st.sampled_from(["query", "mutation"]),
    st.sampled_from(["A", "B"]),
    st.lists(_selection, min_size=1, max_size=3),
)
_document = st.lists(_operation, min_size=1, max_size=2).map(lambda parts: " ".join([*parts, _FRAGMENTS]))
_asked = st.fixed_dictionaries({"query": _document}, optional={"operationName": st.sampled_from(["A", "B", None, ""])})


def _executed(service: GraphqlService, asked: dict[str, Any]) -> set[str]:
    """The fields of root types that have a value, as servers execute that do not validate first."""
    document, name = parse(asked["query"]), asked.get("operationName") or None
    result = execute_sync(service.schema, document, operation_name=name)
    text = json.dumps(result.formatted)
    return {"Query.user"} if "ada@example.com" in text or '"7"' in text else set()


def _decided(asked: object) -> tuple[bool, set[str]]:
    """Whether the request is one that is understood, and the fields that it is decided on."""
    body = json.dumps(asked).encode()
    meaning = (
        GraphqlDialect(HttpTarget())
        .read(request("POST", "/graphql", content_type="application/json", body=body), None)
        .meaning
    )
    fields = {access.path[0] for access in meaning.accesses if access.kind is ResourceKind.GRAPHQL_FIELD}
    return meaning.refusal is None and bool(fields), fields


@settings(max_examples=100)
@given(st.one_of(_asked, st.lists(_asked, min_size=1, max_size=3)))
def test_what_is_executed_was_decided(asked: Any) -> None:
    understood, fields = _decided(asked)
    service = GraphqlService()
    executed = {field for one in (asked if isinstance(asked, list) else [asked]) for field in _executed(service, one)}
    if service.deleted:
        executed.add("Mutation.volumeDelete")
    assert executed <= fields or not understood


def test_what_is_compared_is_executed() -> None:
    service = GraphqlService()
    asked = {"query": "mutation A { ...on Query { x: volumeDelete(id: 9) } ...G } " + _FRAGMENTS}
    assert _executed(service, asked) == set()
    assert service.deleted == ["3"]
    assert _executed(service, {"query": "query A { ...F } " + _FRAGMENTS}) == {"Query.user"}
    assert _decided(asked) == (True, {"Mutation.volumeDelete"})
