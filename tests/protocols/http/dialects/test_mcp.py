"""What MCP requests mean, and how they are refused."""

import json
from collections.abc import Mapping

import pytest

from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Access, ResourceKind
from interlock.core.settings import ServerRequest
from interlock.protocols.http.dialects.base import Request
from tests.protocols.http.dialects.mcp_examples import (
    META,
    call,
    dialect,
    modern,
    post,
    refusal,
    refused_with,
    rpc,
)
from tests.protocols.http.dialects.requests import request

CONNECTION = ResourceKind.CONNECTION
DENIED = Denial(DenialReason.FORBIDDEN, "denied: a rule forbids it.", "Ask somebody.", rules=("no-delete",))


def accesses(asked: Request) -> tuple[Access, ...]:
    reading = dialect().read(asked, None)
    assert reading.meaning.refusal is None
    return reading.meaning.accesses


def mcp_facts(asked: Request) -> Mapping[str, object]:
    facts = dialect().read(asked, None).meaning.facts["mcp"]
    assert isinstance(facts, dict)
    return facts


def test_a_call_is_about_the_tool_with_its_arguments() -> None:
    asked = call("lookup", customer={"id": 7, "name": "Ann"}, tags=["a", "b"])
    assert accesses(asked) == (Access("mcp-call", ResourceKind.TOOL, ("lookup",)),)
    facts = mcp_facts(asked)
    assert facts["method"] == "tools/call"
    assert facts["tool"] == "lookup"
    assert {"/customer/id=7", "/customer/name=Ann", "/tags/*=a", "/tags/*=b", "/customer"} <= set(facts["arguments"])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("tools/list", "mcp-list"),
        ("initialize", "mcp-list"),
        ("ping", "mcp-list"),
        ("server/discover", "mcp-list"),
        ("resources/read", "mcp-read"),
        ("prompts/get", "mcp-read"),
        ("completion/complete", "mcp-read"),
        ("tools/delete", "unclassified"),
        ("sampling/createMessage", "unclassified"),
    ],
)
def test_other_methods_are_about_the_connection(method: str, action: str) -> None:
    assert accesses(post(rpc(method))) == (Access(action, CONNECTION),)


def test_a_parameter_is_a_fact() -> None:
    asked = modern("resources/read", uri="file:///etc/passwd")
    assert "/uri=file:///etc/passwd" in mcp_facts(asked)["arguments"]  # type: ignore[operator]


def test_notifications_that_are_not_known_are_unclassified() -> None:
    assert accesses(post(rpc("notifications/initialized", None))) == (Access("mcp-list", CONNECTION),)
    assert accesses(post(rpc("notifications/message", None))) == (Access("unclassified", CONNECTION),)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_stream_and_end_of_session(method: str) -> None:
    assert accesses(request(method, "/mcp")) == (Access("mcp-list", CONNECTION),)


def test_equal_requests_have_the_identical_meaning() -> None:
    first, second = dialect().read(call(id=1), None), dialect().read(call(id=1), None)
    assert first.meaning is second.meaning
    assert first.meaning is not dialect().read(call(id=2), None).meaning


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'"text"',
        b"[]",
        b'[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup"}}]',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"delete"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup","name":"delete"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup","Name":"delete"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"name":"delete"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup","arguments":{"id":1,"id":2}}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"' + b"x" * 300 + b'"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[1]}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":NaN}}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":"\\ud800"}}}',
        b'{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"a"}}',
        b'{"jsonrpc":"2.0","id":true,"method":"tools/call","params":{"name":"a"}}',
        b'{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{"name":"a"}}',
        b'{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"a"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"result":{}}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 3000 + b"1" + b"}" * 3001,
    ],
)
def test_what_two_servers_could_read_differently_is_refused_with_400(body: bytes) -> None:
    asked = post(body)
    reading = dialect().read(asked, None)
    assert refused_with(reading)
    assert [access.action for access in reading.meaning.accesses] == ["unclassified"]
    reply = refusal(asked, DENIED)
    assert reply is not None
    assert reply.status == 400
    assert json.loads(reply.body)["error"]["message"] == refused_with(reading)


def test_scenario_15_headers_and_body_must_agree() -> None:
    for asked in (
        modern("tools/call", said="tools/list", name="delete"),
        post(rpc("tools/call", name="delete", arguments={}), (b"mcp-name", b"lookup")),
        post(rpc("tools/call", name="delete", arguments={}), (b"mcp-method", b"tools/list")),
        post(rpc("tools/call", name="delete", arguments={}), (b"mcp-name", b"delete"), (b"mcp-name", b"lookup")),
        post(rpc("tools/list"), (b"mcp-name", b"lookup")),
    ):
        reply = refusal(asked, DENIED)
        assert reply is not None
        assert reply.status == 400
        assert json.loads(reply.body)["error"]["code"] == -32020
        assert "delete" not in str(dialect().read(asked, None).meaning.accesses)


def test_a_stateless_request_needs_its_headers_and_its_version() -> None:
    version = (b"mcp-protocol-version", b"2026-07-28")
    name, method = (b"mcp-name", b"lookup"), (b"mcp-method", b"tools/call")
    message = rpc("tools/call", name="lookup", arguments={}, _meta=META)
    assert dialect().read(post(message, version, name, method), None).meaning.refusal is None
    for headers in (
        (version, name),
        (version, method),
        (name, method),
        ((b"mcp-protocol-version", b"2025-11-25"), name, method),
    ):
        assert refused_with(dialect().read(post(message, *headers), None))
    without_version = rpc("tools/call", name="lookup", arguments={})
    assert refused_with(dialect().read(post(without_version, version, name, method), None))


def test_names_in_base64_are_compared_as_what_they_stand_for() -> None:
    assert (
        dialect()
        .read(post(rpc("tools/call", name="löschen", arguments={}), (b"mcp-name", b"=?base64?bMO2c2NoZW4=?=")), None)
        .meaning.refusal
        is None
    )
    assert refused_with(
        dialect().read(
            post(rpc("tools/call", name="löschen", arguments={}), (b"mcp-name", b"=?base64?bMO2c2NoZW5=?=")), None
        )
    )


def test_parameter_headers_repeat_an_argument() -> None:
    message = rpc("tools/call", name="lookup", arguments={"region": "eu", "deep": {"n": 5, "b": True}})
    for value in (b"eu", b"5", b"true", b"=?base64?ZXU=?="):
        assert dialect().read(post(message, (b"mcp-param-x", value)), None).meaning.refusal is None
    assert refused_with(dialect().read(post(message, (b"mcp-param-region", b"us")), None))
    assert refused_with(dialect().read(post(message, (b"mcp-param-region", b"eu"), (b"mcp-param-region", b"eu")), None))


def test_versions_that_are_not_known_are_refused_with_those_that_are() -> None:
    asked = post(rpc("tools/list"), (b"mcp-protocol-version", b"2031-01-01"))
    reply = refusal(asked, DENIED)
    assert reply is not None
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"]) == (400, -32022)
    assert "2026-07-28" in error["data"]["supported"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("PUT", "/mcp"), 405),
        (request("OPTIONS", "/mcp"), 405),
        (request("GET", "/mcp", has_body=True), 405),
        (request("POST", "/mcp", content_type="text/plain", body=b"{}"), 415),
        (request("POST", "/mcp", content_type="application/json", has_body=True), 413),
        (post(rpc("ping"), path="/mcp/"), 404),
        (post(rpc("ping"), path="/admin"), 404),
        (post(rpc("ping"), query=(("token", "secret"),)), 400),
        (request("GET", "/mcp", query=(("token", "secret"),)), 400),
    ],
)
def test_what_the_transport_does_not_have_is_refused(asked: Request, status: int) -> None:
    reply = refusal(asked, DENIED)
    assert reply is not None
    assert reply.status == status


def test_a_denied_call_is_a_result_that_the_model_reads() -> None:
    reply = refusal(call("delete", identity="a1"), DENIED, "https://gateway/approvals/7")
    assert reply is not None
    answer = json.loads(reply.body)
    assert (reply.status, answer["id"], answer["result"]["isError"]) == (200, "a1", True)
    assert answer["result"]["content"] == [
        {
            "type": "text",
            "text": "denied: a rule forbids it. Ask somebody. It can be answered at: https://gateway/approvals/7",
        }
    ]
    assert "resultType" not in answer["result"]
    stateless = refusal(modern("tools/call", name="delete", arguments={}), DENIED)
    assert stateless is not None
    assert json.loads(stateless.body)["result"]["resultType"] == "complete"


def test_other_denied_requests_are_errors_and_notifications_ordinary_ones() -> None:
    reply = refusal(post(rpc("tools/list", 4)), DENIED)
    assert reply is not None
    answer = json.loads(reply.body)
    assert (reply.status, answer["id"], answer["error"]["code"]) == (200, 4, -32000)
    assert answer["error"]["data"] == {"reason": "a rule forbids it", "rules": ["no-delete"]}
    assert refusal(post(rpc("notifications/initialized", None)), DENIED) is None
    assert refusal(request("GET", "/mcp"), DENIED) is None


def test_a_client_that_takes_events_only_is_refused_with_an_event() -> None:
    asked = request(
        "POST",
        "/mcp",
        content_type="application/json",
        headers=((b"accept", b"text/event-stream"),),
        body=json.dumps(rpc("ping")).encode(),
    )
    reply = refusal(asked, DENIED)
    assert reply is not None
    assert reply.headers == ((b"content-type", b"text/event-stream"),)
    assert reply.body.startswith(b"event: message\ndata: {")
    assert reply.body.endswith(b"\n\n")


def test_an_approval_is_bound_to_everything_but_what_counts_messages() -> None:
    def bound(**params: object) -> bytes | None:
        return dialect().read(post(rpc("tools/call", params.pop("identity", 1), **params)), None).bound

    first = bound(name="delete", arguments={"id": 1}, _meta={"progressToken": 1, "traceparent": "00-a"})
    assert first == bound(identity=9, name="delete", arguments={"id": 1}, _meta={"progressToken": 2})
    assert first == bound(arguments={"id": 1}, name="delete")
    for other in (
        {"name": "delete", "arguments": {"id": 2}},
        {"name": "delete", "arguments": {"id": "1"}},
        {"name": "lookup", "arguments": {"id": 1}},
        {"name": "delete", "arguments": {"id": 1}, "task": {}},
        {"name": "delete", "arguments": {"id": 1}, "_meta": {"tenant": "b"}},
    ):
        assert first != bound(**other)


def test_servers_are_not_told_of_what_they_may_not_ask_for() -> None:
    asked = post(
        rpc(
            "initialize",
            protocolVersion="2025-11-25",
            capabilities={"sampling": {}, "elicitation": {}, "roots": {}, "x": {}},
        )
    )
    body = dialect(ServerRequest.ELICITATION).read(asked, None).body
    assert body is not None
    assert json.loads(body)["params"]["capabilities"] == {"elicitation": {}, "x": {}}
    assert json.loads(body)["id"] == 1
    everything = dialect(*ServerRequest).read(asked, None)
    assert everything.body is None
    meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"sampling": {}}}
    headers = ((b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/call"), (b"mcp-name", b"lookup"))
    stateless = (
        dialect().read(post(rpc("tools/call", name="lookup", arguments={"n": 1.50}, _meta=meta), *headers), None).body
    )
    assert stateless is not None
    params = json.loads(stateless)["params"]
    assert params["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {}
    assert params["arguments"] == {"n": 1.5}


def test_answers_to_requests_that_no_server_may_make_are_refused() -> None:
    sampled = {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"role": "assistant", "content": {"type": "text", "text": "secret"}},
    }
    assert refused_with(dialect().read(post(sampled), None))
    assert dialect(ServerRequest.SAMPLING).read(post(sampled), None).meaning.accesses == (
        Access("mcp-read", CONNECTION),
    )
    pong = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert dialect().read(post(pong), None).meaning.accesses == (Access("mcp-list", CONNECTION),)


def test_only_messages_are_held() -> None:
    assert dialect().wants_body(call())
    assert not dialect().wants_body(request("GET", "/mcp"))
