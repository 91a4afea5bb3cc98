"""The model API as a dialect: what requests mean, how they are refused, and what is taken out of them."""

import json
from typing import Any

import pytest

from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import HostedTools, HttpTarget
from interlock.protocols.http.dialects.base import AmendingDialect, Reading, Request
from interlock.protocols.http.dialects.openai import OpenAiDialect
from interlock.protocols.http.problems import denied
from tests.protocols.http.dialects.requests import request

FUNCTION = {"type": "function", "name": "run_sql", "parameters": {}}
ANY_MODEL = Access("model-call", ResourceKind.CONNECTION)


def call(path: str = "/v1/responses", content_type: str = "application/json", **body: Any) -> Request:
    sent = json.dumps({"model": "gpt-5", **body}).encode()
    return request("POST", path, content_type=content_type, body=sent)


def model(name: str) -> Access:
    return Access("model-call", ResourceKind.MODEL, (name,))


def tool(name: str) -> Access:
    return Access("model-tool", ResourceKind.HOSTED_TOOL, (name,))


def denial_of(name: str, reason: DenialReason = DenialReason.FORBIDDEN) -> Denial:
    return Denial(reason, "No.", access=f"model-tool on hosted tool llm/{name}")


@pytest.fixture
def dialect() -> OpenAiDialect:
    return OpenAiDialect(HttpTarget())


@pytest.fixture
def remover() -> OpenAiDialect:
    return OpenAiDialect(HttpTarget(hosted_tools=HostedTools.REMOVE))


def meaning(dialect: OpenAiDialect, asked: Request) -> Meaning:
    return dialect.read(asked, None).meaning


def test_a_call_is_about_its_model_and_its_hosted_tools(dialect: OpenAiDialect) -> None:
    tools = [FUNCTION, {"type": "web_search"}, {"type": "mcp", "server_url": "https://mcp.example.com"}]
    read = dialect.read(call(input="hi", tools=tools, stream=True), None)
    assert read.body is None, "the body goes as it came"
    assert read.meaning.verb == "POST /v1/responses gpt-5"
    assert read.meaning.accesses == (model("gpt-5"), tool("mcp:mcp.example.com"), tool("web_search"))
    assert read.meaning.facts["model"] == {
        "name": "gpt-5",
        "tools": ("mcp:mcp.example.com", "web_search"),
        "functions": ("run_sql",),
        "stored_prompt": False,
        "stream": True,
        "background": False,
        "continued": False,
    }


def test_turns_of_one_conversation_have_the_identical_meaning(dialect: OpenAiDialect) -> None:
    first = meaning(dialect, call(input=[{"role": "user", "content": "a"}], tools=[FUNCTION]))
    second = meaning(dialect, call(input=[{"role": "user", "content": "b"}], tools=[FUNCTION]))
    other = meaning(dialect, call(input="b", tools=[FUNCTION], stream=True))
    assert first is second
    assert other is not first


@pytest.mark.parametrize(
    "path",
    ["/v1/responses", "/v1/responses/", "/V1/Responses", "/openai/v1/chat/completions", "/v1/responses/compact"],
)
def test_calls_are_known_by_the_end_of_the_path(dialect: OpenAiDialect, path: str) -> None:
    asked = call(path)
    assert dialect.wants_body(asked)
    assert meaning(dialect, asked).accesses == (model("gpt-5"),)


def test_all_else_is_plain_http(dialect: OpenAiDialect) -> None:
    for asked in (call("/v1/embeddings", input="a"), request("GET", "/v1/models"), request("GET", "/v1/responses")):
        assert meaning(dialect, asked).accesses == (Access(f"http-{asked.method.lower()}", ResourceKind.CONNECTION),)
        assert dialect.refuse(asked, dialect.read(asked, None), denial_of("x"), "") is None


def test_without_a_model_every_model_must_be_allowed(dialect: OpenAiDialect) -> None:
    stored = meaning(dialect, call(model=None, prompt={"id": "pmpt_1"}))
    assert stored.accesses == (ANY_MODEL, tool("stored_prompt:pmpt_1"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (request("POST", "/v1/responses"), "needs a body"),
        (request("POST", "/v1/responses", content_type="application/json", has_body=True), "too long"),
        (call(content_type="text/plain"), "must be application/json"),
        (call(content_type="application/json; charset=utf-16"), "in UTF-8"),
        (call(content_type="application/json; charset=utf-8; charset=utf-7"), "in UTF-8"),
        (request("POST", "/v1/responses", content_type="application/json", body=b"[]"), "must be a JSON object"),
        (request("POST", "/v1/responses", content_type="application/json", body=b'\xef\xbb\xbf{"model":"a"}'), "JSON"),
        (request("POST", "/v1/responses", content_type="application/json", body=b'{"model":"\xff"}'), "UTF-8"),
        (request("POST", "/v1/responses", content_type="application/json", body=b'{"model":"a"}{}'), "JSON"),
        (
            request("POST", "/v1/responses", content_type="application/json", body=b'{"model":"a","mod\\u0065l":"b"}'),
            "a key twice",
        ),
        (request("POST", "/v1/responses", content_type="application/json", body=b"[" * 100_000), "too deeply"),
    ],
    ids=range(11),
)
def test_what_is_not_clearly_json_is_refused(dialect: OpenAiDialect, asked: Request, says: str) -> None:
    read = meaning(dialect, asked)
    assert read.accesses == (ANY_MODEL,)
    assert says in (read.refusal or "")


def test_utf_8_may_be_said(dialect: OpenAiDialect) -> None:
    assert meaning(dialect, call(content_type='application/json; charset="UTF-8"')).refusal is None


def test_a_denial_is_an_ordinary_problem_which_has_an_error_of_the_api(dialect: OpenAiDialect) -> None:
    asked = call()
    denial = Denial(DenialReason.FORBIDDEN, "Rule a forbids it.", "Ask ops.", "model-call on model llm/gpt-5", ("a",))
    assert dialect.refuse(asked, dialect.read(asked, None), denial, "") is None
    reply = denied(denial, "", "")
    assert (reply.status, dict(reply.headers)[b"x-should-retry"]) == (403, b"false")
    error = {"message": "Rule a forbids it. Ask ops.", "type": "gateway_error", "code": "denied", "param": None}
    assert json.loads(reply.body)["error"] == error


def test_a_denied_hosted_tool_is_taken_out(remover: OpenAiDialect) -> None:
    assert isinstance(remover, AmendingDialect)
    asked = call(
        input=[{"type": "additional_tools", "tools": [{"type": "web_search"}, {"type": "file_search"}]}],
        tools=[{"type": "web_search_preview"}, FUNCTION],
        tool_choice={"type": "web_search_preview"},
        temperature=1e-30,
    )
    read = remover.read(asked, None)
    amended = remover.amend(asked, read, denial_of("web_search"), None)
    assert amended is not None
    assert amended.body is not None
    assert amended.meaning.accesses == (model("gpt-5"), tool("file_search"))
    assert json.loads(amended.body) == {
        "model": "gpt-5",
        "input": [{"type": "additional_tools", "tools": [{"type": "file_search"}]}],
        "tools": [FUNCTION],
        "temperature": 1e-30,
    }
    again = remover.amend(asked, amended, denial_of("file_search"), None)
    assert again is not None
    assert again.meaning.accesses == (model("gpt-5"),)


def test_without_any_tool_left_nothing_speaks_of_tools(remover: OpenAiDialect) -> None:
    asked = call(input="x", tools=[{"type": "web_search"}], tool_choice="required", parallel_tool_calls=True)
    amended = remover.amend(asked, remover.read(asked, None), denial_of("web_search"), None)
    assert amended is not None
    assert json.loads(amended.body or b"") == {"model": "gpt-5", "input": "x"}


def test_a_choice_of_a_function_stays(remover: OpenAiDialect) -> None:
    choice = {"type": "function", "name": "run_sql"}
    asked = call(input="x", tools=[{"type": "web_search"}, FUNCTION], tool_choice=choice)
    amended = remover.amend(asked, remover.read(asked, None), denial_of("web_search"), None)
    assert amended is not None
    assert json.loads(amended.body or b"")["tool_choice"] == choice


def test_numbers_stay_as_they_were_written(remover: OpenAiDialect) -> None:
    sent = b'{"model":"m","seed":123456789012345678901234567890,"top_p":0.10,"tools":[{"type":"web_search"}]}'
    asked = request("POST", "/v1/responses", content_type="application/json", body=sent)
    amended = remover.amend(asked, remover.read(asked, None), denial_of("web_search"), None)
    assert amended is not None
    assert amended.body == b'{"model":"m","seed":123456789012345678901234567890,"top_p":0.10}'


def test_ids_with_slashes_are_found_again(remover: OpenAiDialect) -> None:
    asked = call(tools=[{"type": "a/b%c"}])
    assert remover.amend(asked, remover.read(asked, None), denial_of("a%2Fb%25c"), None) is not None


@pytest.mark.parametrize(
    "denial",
    [
        denial_of("web_search", DenialReason.BUDGET_SPENT),
        denial_of("web_search", DenialReason.LOCKED),
        denial_of("stored_prompt:p"),
        denial_of("fetch:img.example.com"),
        denial_of("not_declared"),
        Denial(DenialReason.FORBIDDEN, "No.", access="model-call on model llm/web_search"),
    ],
    ids=lambda denial: denial.access + denial.reason.name,
)
def test_other_denials_stay(remover: OpenAiDialect, denial: Denial) -> None:
    picture = {"content": [{"type": "input_image", "image_url": "https://img.example.com/a.png"}]}
    asked = call(input=[picture], tools=[{"type": "web_search"}], prompt={"id": "p"})
    assert remover.amend(asked, remover.read(asked, None), denial, None) is None


def test_a_tool_that_cannot_be_taken_out_stays_denied(remover: OpenAiDialect) -> None:
    """It is declared deeper than where tools are taken out."""
    asked = call(input=[{"content": [{"tools": [{"type": "web_search"}]}]}])
    assert remover.amend(asked, remover.read(asked, None), denial_of("web_search"), None) is None


def test_nothing_is_taken_out_unless_the_settings_want_it(dialect: OpenAiDialect) -> None:
    asked = call(tools=[{"type": "web_search"}])
    reading: Reading = dialect.read(asked, None)
    assert dialect.amend(asked, reading, denial_of("web_search"), None) is None
