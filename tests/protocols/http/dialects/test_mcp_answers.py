"""What of a server's answers reaches the client."""

import json
from typing import Any

import pytest

from interlock.core.settings import ServerRequest
from interlock.protocols.http.bodies.refusal import BodyRefused
from tests.protocols.http.dialects.mcp_examples import (
    DELETE,
    LOOKUP,
    answer_of,
    call,
    dialect,
    event,
    head,
    modern,
    post,
    rpc,
    through,
)
from tests.protocols.http.dialects.requests import request

JSON, STREAM = "application/json; charset=utf-8", "text/event-stream"


def result(identity: object = 1, **members: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identity, "result": members}


def listing(*tools: object, **members: object) -> bytes:
    return json.dumps(result(tools=list(tools), **members)).encode()


def data_of(stream: bytes) -> list[Any]:
    """The messages in a stream of events."""
    lines = stream.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]


def test_tools_that_may_not_be_shown_are_left_out() -> None:
    answers = answer_of(post(rpc("tools/list")), JSON)
    shown = json.loads(through(answers, listing(LOOKUP, DELETE, nextCursor="2"), frozenset({"lookup"})))
    assert shown == result(tools=[LOOKUP], nextCursor="2")


def test_nothing_goes_on_before_the_review() -> None:
    answers = answer_of(post(rpc("tools/list")), JSON)
    assert answers.feed(listing(LOOKUP)) == b""
    assert not answers.listed
    assert answers.finish() == b""
    assert [tool.name for tool in answers.listed] == ["lookup"]
    assert answers.reviewed((False,)) == json.dumps(result(tools=[]), separators=(",", ":")).encode()
    assert answers.listed == ()


def test_a_list_is_looked_at_wherever_it_comes() -> None:
    for asked in (call(), request("GET", "/mcp"), modern("prompts/list")):
        stream = (
            event(rpc("notifications/message", None, data="x"))
            + event(result("other", tools=[DELETE]))
            + event(rpc("ping"))
        )
        assert "Deletes" not in through(answer_of(asked, STREAM), stream, frozenset()).decode()
        assert len(data_of(through(answer_of(asked, STREAM), stream, frozenset()))) == 3


@pytest.mark.parametrize("size", [1, 2, 7, 64, 4096])
def test_the_cut_of_a_stream_does_not_matter(size: int) -> None:
    stream = (
        b"\xef\xbb\xbf: hello\r\n\r\n" + event(result(tools=[LOOKUP, DELETE]), identity="5") + event(rpc("ping", 8))
    )
    out = through(answer_of(post(rpc("tools/list")), STREAM), stream, frozenset({"lookup"}), size)
    assert data_of(out) == [result(tools=[LOOKUP]), rpc("ping", 8)]
    assert b"id: 5" in out
    assert out.startswith(b": hello")


def test_line_ends_of_every_kind_and_data_on_several_lines() -> None:
    text = json.dumps(result(tools=[LOOKUP, DELETE]), indent=1)
    stream = "".join(f"data: {line}\r" for line in text.splitlines()) + "\rdata:" + json.dumps(rpc("ping", 2)) + "\n\n"
    out = through(answer_of(post(rpc("tools/list")), STREAM), stream.encode(), frozenset({"lookup"}), 3)
    assert b"Deletes" not in out
    assert b'"lookup"' in out


def test_each_name_is_shown_once_and_what_is_no_tool_never() -> None:
    twice = {**LOOKUP, "description": "Another one."}
    answers = answer_of(post(rpc("tools/list")), JSON)
    shown = json.loads(through(answers, listing(LOOKUP, twice, "text", {"description": "no name"}, {"name": 7})))
    assert shown["result"]["tools"] == [LOOKUP]


def test_a_tool_that_is_too_long_to_be_kept_is_not_shown() -> None:
    long = {**LOOKUP, "description": "x" * 200_000}
    assert json.loads(through(answer_of(post(rpc("tools/list")), JSON), listing(long)))["result"]["tools"] == []


@pytest.mark.parametrize("tools", ["text", None, {"lookup": LOOKUP}, 7])
def test_a_list_that_is_none_is_empty(tools: object) -> None:
    body = json.dumps(result(tools=tools)).encode()
    assert json.loads(through(answer_of(post(rpc("tools/list")), JSON), body))["result"]["tools"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[{"name":"delete"}]}}',
        b'[{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}]',
        b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"Result":{"tools":[{"name":"delete"}]}}',
        b'{"id":1,"result":{"tools":[]}}',
    ],
)
def test_what_is_no_message_with_one_meaning_is_cut_off(body: bytes) -> None:
    with pytest.raises(BodyRefused):
        through(answer_of(post(rpc("tools/list")), JSON), body)
    with pytest.raises(BodyRefused):
        through(answer_of(post(rpc("tools/list")), STREAM), b"data: " + body + b"\n\n")


def test_what_is_too_long_is_cut_off() -> None:
    bounded = dialect(max_held_bytes=1024)
    for kind in (JSON, STREAM):
        with pytest.raises(BodyRefused):
            through(answer_of(call(), kind, bounded), b"data: " + b"x" * 4096)
    held = answer_of(post(rpc("tools/list")), STREAM, bounded)
    held.feed(event(result(tools=[LOOKUP])))
    with pytest.raises(BodyRefused):
        held.feed(b"data: " + b"x" * 4096)


def test_other_media_types_are_cut_off_and_errors_of_other_layers_pass() -> None:
    asked = post(rpc("tools/list"))
    reading = dialect().read(asked, None)
    answers = dialect().answer(asked, reading, head("text/html"), None)
    assert answers is not None
    with pytest.raises(BodyRefused):
        answers.feed(b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"delete"}]}}')
    assert dialect().answer(asked, reading, head("text/html", 502), None) is None


@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list", "made/up"])
def test_what_servers_ask_of_clients_is_left_out(method: str) -> None:
    stream = event(rpc(method, 5)) + event(result(content=[]))
    assert data_of(through(answer_of(call(), STREAM), stream)) == [result(content=[])]


def test_what_the_settings_let_through_is_asked() -> None:
    stream = event(rpc("elicitation/create", 5)) + event(rpc("sampling/createMessage", 6))
    out = through(answer_of(call(), STREAM, dialect(ServerRequest.ELICITATION)), stream)
    assert data_of(out) == [rpc("elicitation/create", 5)]


def test_a_result_that_asks_for_input_becomes_one_that_says_why_not() -> None:
    asking = {"input1": {"method": "sampling/createMessage", "params": {"messages": []}}}
    body = json.dumps(result(resultType="input_required", inputRequests=asking, requestState="s")).encode()
    out = json.loads(through(answer_of(modern("tools/call", name="lookup", arguments={}), JSON), body))
    assert out["result"]["isError"] is True
    assert out["result"]["resultType"] == "complete"
    assert "sampling/createMessage" in out["result"]["content"][0]["text"]
    let = answer_of(modern("tools/call", name="lookup", arguments={}), JSON, dialect(ServerRequest.SAMPLING))
    assert json.loads(through(let, body))["result"]["requestState"] == "s"


def test_an_error_that_asks_for_an_elicitation_is_replaced() -> None:
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32042, "message": "", "data": {"url": "http://evil"}}}
    )
    out = through(answer_of(call(), JSON), body.encode())
    assert b"evil" not in out
    assert json.loads(out)["result"]["isError"] is True


def test_events_of_other_types_are_dropped() -> None:
    stream = event("/messages", kind="endpoint") + event(rpc("ping", 1))
    assert data_of(through(answer_of(request("GET", "/mcp"), STREAM), stream)) == [rpc("ping", 1)]


def test_an_event_that_is_cut_is_dropped() -> None:
    assert through(answer_of(call(), STREAM), event(result(content=[]))[:-2]) == b""


def test_ordinary_answers_pass_as_they_are() -> None:
    body = b'{"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "\\u00e9"}]}}'
    assert through(answer_of(call(), JSON), body, size=5) == body
