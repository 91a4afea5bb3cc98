"""Traces of agents: answered by the gateway, summarised for the record."""

import json
from typing import Any

import pytest

from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Access, ResourceKind
from interlock.core.settings.http import EndpointSettings, HttpTarget
from interlock.protocols.http.dialects.base import Reading
from interlock.protocols.http.dialects.openai import OpenAiDialect
from interlock.protocols.http.dialects.openai_traces import MAX_ITEMS
from tests.protocols.http.dialects.requests import request

TRACE = {"object": "trace", "id": "trace_1", "workflow_name": "w"}


def span(kind: str, name: str | None = None) -> dict[str, Any]:
    return {"object": "trace.span", "id": "span_1", "span_data": {"type": kind, "name": name, "output": "secret"}}


def read(*items: Any, target: HttpTarget = HttpTarget()) -> Reading:  # noqa: B008 - immutable
    body = json.dumps({"data": list(items)}).encode()
    dialect = OpenAiDialect(target)
    asked = request("POST", "/v1/traces/ingest", content_type="application/json", body=body)
    assert dialect.wants_body(asked)
    return dialect.read(asked, None)


def test_traces_stay_here() -> None:
    reading = read(TRACE, span("function", "run_sql"), span("function", "run_sql"), span("generation"))
    assert reading.reply is not None
    assert reading.reply.status == 204
    assert reading.meaning.accesses == (Access("http-post", ResourceKind.CONNECTION),)
    assert reading.meaning.verb == "TRACE 1 trace, 3 spans: 2 function run_sql, 1 generation"


def test_an_endpoint_can_be_named() -> None:
    target = HttpTarget(endpoints={"traces": EndpointSettings("/v1/traces/ingest")})
    assert read(TRACE, target=target).meaning.accesses == (Access("http-post", ResourceKind.ENDPOINT, ("traces",)),)


def test_what_is_on_record_is_short_and_printable() -> None:
    reading = read(*(span("function", f"tool-{number}\x1b[31m" + "x" * 1000) for number in range(50)))
    assert reading.meaning.verb.isprintable()
    assert reading.meaning.verb.endswith("and 30 other kinds")
    assert len(reading.meaning.verb) < 3000
    assert read({"object": "trace.span"}, {"object": 5}).meaning.verb == "TRACE 0 traces, 1 span: 1 unknown"


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"data": 5}', b'{"data": ["x"]}', b'{"data":[],"data":[]}'])
def test_other_bodies_are_refused(body: bytes) -> None:
    asked = request("POST", "/v1/traces/ingest", content_type="application/json", body=body)
    assert OpenAiDialect(HttpTarget()).read(asked, None).meaning.refusal


def test_a_batch_is_bounded() -> None:
    assert "at once" in (read(*([{}] * (MAX_ITEMS + 1))).meaning.refusal or "")


def test_a_denied_trace_is_an_ordinary_problem() -> None:
    asked = request("POST", "/v1/traces/ingest", content_type="application/json", body=b'{"data": []}')
    dialect = OpenAiDialect(HttpTarget())
    denial = Denial(DenialReason.NO_PERMIT, "No.")
    assert dialect.refuse(asked, dialect.read(asked, None), denial, "") is None
