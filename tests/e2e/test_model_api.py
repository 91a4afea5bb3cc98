"""A model API behind the gateway, with the provider's own client: what is let through, refused, taken out, masked."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from interlock.core.ledger import OperationCompleted, OperationDecided, SessionClosed, SessionOpened
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.model_gateway import base_url, client, model_gateway
from tests.servers.gateway import GatewayServer
from tests.servers.model_api import Call, ModelApi, Turn

CARD = "4111 1111 1111 1111"
SEARCH: dict[str, Any] = {"type": "web_search"}
CODE: dict[str, Any] = {"type": "code_interpreter", "container": {"type": "auto"}}
FUNCTION: dict[str, Any] = {"type": "function", "name": "run_sql", "parameters": {}, "strict": False}


def mcp(server_url: str) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "harmless", "server_url": server_url}


@pytest.fixture(scope="module")
def api() -> Iterator[ModelApi]:
    with ModelApi() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(api: ModelApi) -> Iterator[GatewayServer]:
    with model_gateway(api) as running:
        yield running


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def create(ask: openai.OpenAI, **request: Any) -> Response:
    """A Response in one piece, whatever the types of the client say about the request."""
    answer: Response = ask.responses.create(**{"model": "gpt-5", "input": "hi", **request})
    return answer


def refused(gateway: GatewayServer, connection: str = "llm", **request: Any) -> openai.PermissionDeniedError:
    with pytest.raises(openai.PermissionDeniedError) as raised:
        create(client(gateway, connection), **request)
    return raised.value


def test_answers_come_through_in_every_form(gateway: GatewayServer, api: ModelApi) -> None:
    turn = Turn(cut("hello there", 3))
    api.begin(turn, turn, turn, turn)
    ask = client(gateway)
    assert ask.responses.create(model="gpt-5", input="hi").output_text == "hello there"
    with ask.responses.stream(model="gpt-5", input="hi") as stream:
        assert "".join(e.delta for e in stream if e.type == "response.output_text.delta") == "hello there"
        assert stream.get_final_response().output_text == "hello there"
    said = ask.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "hi"}])
    assert said.choices[0].message.content == "hello there"
    chunks = ask.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "hi"}], stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello there"


def test_the_body_goes_as_it_came_and_the_token_stays_here(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    token = gateway.token()
    create(client(gateway, token=token), input="ä \U0001f600", tools=[FUNCTION], temperature=0.10)
    (asked,) = api.asked
    assert asked.headers["authorization"] == "Bearer nothing"
    assert token not in str(asked.headers)
    assert asked.json["input"] == "ä \U0001f600"
    assert asked.json["temperature"] == 0.1


def test_a_model_that_a_rule_forbids_is_asked_for_once(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    error = refused(gateway, model="gpt-5-pro")
    assert "gpt-5-pro costs too much." in str(error), "what the agent's developer sees"
    assert error.code == "denied"
    assert isinstance(error.response.json(), dict)
    assert error.response.json()["rules"] == ["expensive"]
    assert api.asked == []
    tried = [r for r in records_of(gateway, OperationDecided) if "gpt-5-pro" in str(r)]
    assert len(tried) == 1, "the client did not try again"


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"tools": [SEARCH]}, "Nothing leaves by a search."),
        ({"tools": [FUNCTION, CODE, SEARCH]}, "Nothing leaves by a search."),
        ({"tools": [{"type": "image_generation"}]}, "hosted tool llm/image_generation"),
        ({"tools": [mcp("https://evil.example/mcp")]}, "hosted tool llm/mcp:evil.example"),
        ({"tools": [mcp("https://169.254.169.254/latest")]}, "metadata service"),
        ({"tools": [mcp("https://mcp.example.com@10.0.0.1/")]}, "no plain https address"),
        ({"tools": [{"type": "mcp", "server_label": "x", "connector_id": "connector_gmail"}]}, "connector_gmail"),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, "container:cntr_1"),
        ({"prompt": {"id": "pmpt_other"}}, "stored_prompt:pmpt_other"),
        ({"input": [{"type": "additional_tools", "role": "developer", "tools": [SEARCH]}]}, "by a search"),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "https://x.example/?q=data"}]}
                ]
            },
            "fetch:x.example",
        ),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_hosted_tools_that_nothing_permits_do_not_reach_the_provider(
    gateway: GatewayServer, api: ModelApi, request_: dict[str, Any], says: str
) -> None:
    api.begin()
    assert says in str(refused(gateway, **request_))
    assert api.asked == []


def test_hosted_tools_that_are_permitted_go_through_and_are_on_record(gateway: GatewayServer, api: ModelApi) -> None:
    item = {"type": "mcp_call", "id": "mcp_1", "server_label": "x", "name": "look", "arguments": "{}", "output": "seen"}
    api.begin(Turn(("done",), items=[item]))
    tools = [CODE, mcp("https://mcp.example.com/sse")]
    create(client(gateway), tools=tools, prompt={"id": "pmpt_listed"})
    assert api.asked[0].json["tools"] == tools
    decided = records_of(gateway, OperationDecided)[-1]
    assert set(decided.accesses) == {
        "model-call on Model gpt-5",
        "model-tool on HostedTool code_interpreter",
        "model-tool on HostedTool mcp:mcp.example.com",
        "model-tool on HostedTool stored_prompt:pmpt_listed",
    }


def test_denied_hosted_tools_are_taken_out_where_the_settings_say_so(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin(Turn(("without",)), Turn(("without",)))
    tools = [SEARCH, FUNCTION, mcp("https://evil.example/mcp")]
    ask = client(gateway, "trim")
    answer = create(ask, tools=tools, tool_choice={"type": "web_search_preview"})
    assert answer.output_text == "without"
    assert api.asked[0].json == {"model": "gpt-5", "input": "hi", "tools": [FUNCTION]}
    create(ask, tools=[SEARCH], tool_choice="required")
    assert api.asked[1].json == {"model": "gpt-5", "input": "hi"}
    assert "stored_prompt" in str(refused(gateway, "trim", prompt={"id": "x"})), "that is no tool"
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-5","model":"gpt-5-pro","input":"x"}',
        b'{"model":"gpt-5","input":"x","tools":[],"tools":[{"type":"web_search"}]}',
        b'{"model":"gpt-5","input":"x","Tools":[{"type":"web_search"}]}',
        b'{"model":["gpt-5-pro"],"input":"x"}',
        b'\xef\xbb\xbf{"model":"gpt-5","input":"x"}',
        '{"model":"gpt-5","input":"x"}'.encode("utf-16"),
        b'{"model":"gpt-5","input":"x"',
    ],
    ids=range(7),
)
def test_bodies_with_two_meanings_do_not_reach_the_provider(gateway: GatewayServer, api: ModelApi, body: bytes) -> None:
    api.begin()
    with pytest.raises(openai.PermissionDeniedError):
        client(gateway).post(
            "/responses", content=body, cast_to=object, options={"headers": {"Content-Type": "application/json"}}
        )
    assert api.asked == []


def test_a_card_number_in_an_answer_is_masked_in_every_form(gateway: GatewayServer, api: ModelApi) -> None:
    turn = Turn(cut(f"It is {CARD}, as ever. " + "And so on. " * 40, 5))
    shown = "".join(turn.pieces).replace(CARD, "***")
    api.begin(turn, turn, turn, turn)
    ask = client(gateway, token=gateway.token("clerk"))
    assert ask.responses.create(model="gpt-5", input="hi").output_text == shown
    with ask.responses.stream(model="gpt-5", input="hi") as stream:
        assert "".join(e.delta for e in stream if e.type == "response.output_text.delta") == shown
        assert stream.get_final_response().output_text == shown
    said = ask.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "hi"}])
    assert said.choices[0].message.content == shown
    with ask.chat.completions.stream(model="gpt-5", messages=[{"role": "user", "content": "hi"}]) as chunks:
        assert chunks.get_final_completion().choices[0].message.content == shown


def test_arguments_of_calls_are_masked_and_stay_arguments(gateway: GatewayServer, api: ModelApi) -> None:
    arguments = json.dumps({"card": CARD, "number": 4111111111111111, "query": "select 1"})
    turn = Turn(calls=[Call("run_sql", cut(arguments, 4))])
    api.begin(turn, turn)
    ask = client(gateway, token=gateway.token("clerk"))
    shown = {"card": "***", "number": 0, "query": "select 1"}
    with ask.responses.stream(model="gpt-5", input="hi") as stream:
        told = "".join(e.delta for e in stream if e.type == "response.function_call_arguments.delta")
        final = stream.get_final_response().output[0]
    assert json.loads(told) == shown
    assert final.type == "function_call"
    assert json.loads(final.arguments) == shown
    with ask.chat.completions.stream(model="gpt-5", messages=[{"role": "user", "content": "hi"}]) as chunks:
        calls = chunks.get_final_completion().choices[0].message.tool_calls
    assert calls
    assert json.loads(calls[0].function.arguments) == shown


def test_prompts_to_a_target_outside_are_masked(gateway: GatewayServer, api: ModelApi) -> None:
    output = json.dumps({"rows": [{"card": CARD, "name": "Ann"}]})
    items: Any = [
        {"role": "user", "content": f"charge {CARD}"},
        {"type": "function_call_output", "call_id": "call_1", "output": output},
    ]
    api.begin()
    client(gateway, "outside", gateway.token("clerk")).responses.create(model="gpt-5", input=items)
    client(gateway, "llm", gateway.token("clerk")).responses.create(model="gpt-5", input=items)
    outside, inside = api.asked
    assert CARD.encode() not in outside.body
    assert json.loads(outside.json["input"][1]["output"]) == {"rows": [{"card": "***", "name": "Ann"}]}
    assert inside.json["input"] == items, "the target is ours: it gets what the agent has"


def test_whatever_else_goes_to_a_target_outside_is_masked_too(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    ask = client(gateway, "outside", gateway.token("clerk"))
    ask.embeddings.create(model="text-embedding-3-small", input=f"charge {CARD}", encoding_format="float")
    assert api.asked[0].json["input"] == "charge ***"


def test_tokens_are_counted_and_have_a_budget(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    ask = client(gateway, token=gateway.token("spender"))
    for _ in range(3):
        ask.responses.create(model="gpt-5", input="hi")
    with pytest.raises(openai.PermissionDeniedError, match="tokens"):
        ask.responses.create(model="gpt-5", input="hi")
    assert len(api.asked) == 3
    completed = wait_for(lambda: [r.tokens for r in records_of(gateway, OperationCompleted)][-3:], "completed")
    assert completed == [42, 42, 42]


def test_whoever_hangs_up_before_the_end_is_charged_as_well(gateway: GatewayServer, api: ModelApi) -> None:
    turn = Turn(["word "] * 200, pause_after=150)
    api.begin(turn)
    with client(gateway, token=gateway.token("hasty")) as ask:
        stream = ask.responses.create(model="gpt-5", input="go on", stream=True)
        for number, _ in enumerate(stream, 1):
            if number == turn.pause_after:
                break
        stream.close()
    assert turn.left.wait(10)

    def tokens() -> int:
        sessions = {r.session for r in records_of(gateway, SessionOpened) if r.principal == "hasty"}
        return sum(r.tokens for r in records_of(gateway, OperationCompleted) if r.session in sessions)

    assert wait_for(tokens, "what the cut answer used") >= turn.pause_after
    with pytest.raises(openai.PermissionDeniedError, match="tokens"):
        create(client(gateway, token=gateway.token("hasty")))


def test_a_held_call_is_let_through_once_when_it_is_sent_again(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    ask = client(gateway, token=gateway.token("asks"))
    with pytest.raises(openai.PermissionDeniedError, match="asked-for") as raised:
        create(ask, model="gpt-6")
    assert raised.value.code == "approval-pending"
    problem: Any = raised.value.response.json()
    gateway.command("approvals", "approve", problem["approval"], "-r", "for this once")
    with pytest.raises(openai.PermissionDeniedError, match="asked-for"):
        create(ask, model="gpt-6", input="something else")
    assert create(ask, model="gpt-6").output_text == "ok"
    with pytest.raises(openai.PermissionDeniedError, match="asked-for"):
        create(ask, model="gpt-6")
    assert len(api.asked) == 1


def test_errors_of_the_provider_come_through(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin(Turn(status=400))
    with pytest.raises(openai.BadRequestError, match="the model is on strike"):
        client(gateway).responses.create(model="gpt-5", input="hi")


def test_what_is_not_for_a_model_is_plain_http(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    with pytest.raises(openai.PermissionDeniedError, match="http-post on connection llm"):
        client(gateway).embeddings.create(model="text-embedding-3-small", input="hi")
    assert api.asked == []


def test_the_message_is_shown_where_there_is_no_session_either(gateway: GatewayServer, api: ModelApi) -> None:
    with pytest.raises(openai.PermissionDeniedError, match="does not exist or agent may not use it"):
        client(gateway, "elsewhere").responses.create(model="gpt-5", input="hi")
    with pytest.raises(openai.AuthenticationError, match="token"):
        openai.OpenAI(base_url=base_url(gateway), api_key="sk-leaked").responses.create(model="gpt-5", input="hi")


def test_a_replay_shows_what_was_asked_and_said(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin(Turn(cut("It is forty-two.", 3), [Call("run_sql", ['{"query": ', '"select 1"}'])]))
    token = gateway.token("replayed")
    with client(gateway, token=token) as ask, ask.responses.stream(model="gpt-5", input="How many?") as stream:
        stream.until_done()

    def session() -> str:
        records = records_of(gateway, SessionClosed)
        mine = {record.session for record in records_of(gateway, SessionOpened) if record.principal == "replayed"}
        return next((record.session for record in records if record.session in mine), "")

    shown = gateway.command("sessions", "replay", wait_for(session, "the session's end")).stdout
    for line in ("user: How many?", "assistant: It is forty-two.", 'run_sql {"query": "select 1"}', "tokens: 42"):
        assert line in shown
    assert token not in shown
