"""Conversations with a model as people see them in a replay."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.http.dialects.openai_conversation import MAX_TEXT, asked_lines, said_lines
from tests.protocols.http.dialects.streams import (
    USAGE,
    call_events,
    chat_calls,
    chat_document,
    chat_text,
    cut,
    function_call,
    message,
    response,
    response_stream,
    sse,
    text_events,
)

ARGUMENTS = '{"query":"select 1"}'


def asked(**body: Any) -> list[str]:
    return asked_lines(json.dumps({"model": "gpt-5", **body}).encode())


def test_a_request_of_responses() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "How many?"}, {"type": "input_image"}]},
        function_call(ARGUMENTS),
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    ]
    tools = [{"type": "function", "name": "run_sql"}, {"type": "web_search"}]
    assert asked(instructions="Be brief.", input=items, tools=tools) == [
        "model: gpt-5",
        "tools of the agent: run_sql",
        "tools of the provider: web_search",
        "instructions: Be brief.",
        "user: How many?\n(input_image)",
        f"call [call_1]: run_sql {ARGUMENTS}",
        "result of call_1: 42",
        "reasoning: hm",
    ]


def test_a_request_of_chat_completions() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "run_sql", "arguments": ARGUMENTS}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    assert asked(messages=messages) == [
        "model: gpt-5",
        "system: Be brief.",
        f"call [c1]: run_sql {ARGUMENTS}",
        "tool (result of c1): 42",
    ]


def test_a_prompt_as_a_text_and_a_stored_one() -> None:
    assert asked(input="hi") == ["model: gpt-5", "user: hi"]
    assert asked(model=None, prompt={"id": "p"}) == ["model: as stored", "tools of the provider: stored_prompt:p"]


SAID = ["assistant: It is 42.", f"call [call_1]: run_sql {ARGUMENTS}", "tokens: 42"]


def test_an_answer_of_responses_in_every_form() -> None:
    output = [message("It is 42."), function_call(ARGUMENTS)]
    stream = response_stream(text_events(cut("It is 42.", 2)), call_events(cut(ARGUMENTS, 3), 1), output=output)
    assert said_lines(json.dumps(response(*output, usage=USAGE)).encode()) == SAID
    assert said_lines(sse(stream)) == SAID
    assert said_lines(json.dumps(stream[-1]).encode()) == SAID, "as a message over WebSocket"
    assert said_lines(sse(stream[:-1])) == ["assistant: It is 42.", f"call 1: {ARGUMENTS}"], "without its end"


def test_an_answer_of_chat_completions_in_every_form() -> None:
    document = chat_document("It is 42.", [("run_sql", ARGUMENTS)])
    assert said_lines(json.dumps(document).encode()) == [
        "assistant: It is 42.",
        f"call [call_0]: run_sql {ARGUMENTS}",
        "tokens: 15",
    ]
    stream = [*chat_text(cut("It is 42.", 2)), *chat_calls([("run_sql", cut(ARGUMENTS, 3))])]
    assert said_lines(sse(stream, named=False, done=True)) == ["assistant: It is 42.", f"call: run_sql {ARGUMENTS}"]


def test_what_hosted_tools_did() -> None:
    items: list[dict[str, Any]] = [
        {"type": "mcp_call", "server_label": "crm", "name": "look", "arguments": "{}", "output": "seen"},
        {"type": "web_search_call", "id": "ws", "action": {"type": "search", "query": "q"}},
        {"type": "code_interpreter_call", "code": "1+1"},
    ]
    assert said_lines(json.dumps(response(*items)).encode()) == [
        "mcp_call: crm look {}",
        "result of mcp_call: seen",
        'web_search_call: {"type":"search","query":"q"}',
        "code_interpreter_call: 1+1",
    ]


def test_secrets_of_hosted_servers_are_not_shown() -> None:
    tool = {"type": "mcp", "server_label": "x", "server_url": "https://mcp.example.com", "authorization": "s3cret"}
    assert "s3cret" not in str(asked(input="hi", tools=[tool]))


def test_texts_are_bounded() -> None:
    (_, line) = asked(input="x" * (MAX_TEXT + 5))
    assert line.endswith("x … (5 more characters)")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"a": 1}', b"\xff", b"[" * 100_000])
def test_anything_else_has_no_lines(body: bytes) -> None:
    assert asked_lines(body) == []
    assert said_lines(body) == []


KEYS = st.sampled_from(
    ["type", "role", "content", "text", "output", "call_id", "choices", "delta", "tool_calls", "action"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


@given(_JSON, _JSON)
def test_nothing_that_was_recorded_breaks_it(one: object, other: object) -> None:
    body = json.dumps({"input": one, "output": one, "choices": other, "delta": other, "type": "response.x"}).encode()
    asked_lines(body)
    said_lines(body)
    said_lines(b"data: " + body + b"\n\n")
