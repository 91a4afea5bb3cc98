"""Responses over WebSocket: what a client's text means, how it is refused, and what becomes of the provider's."""

import json
from typing import Any

import pytest

from interlock.core.denial import Denial, DenialReason
from interlock.core.masking import Masking
from interlock.core.operation import Access, ResourceKind
from interlock.core.settings.http import HostedTools, HttpTarget
from interlock.protocols.http.dialects.base import MessageDialect
from interlock.protocols.http.dialects.openai import OpenAiDialect
from interlock.protocols.http.websocket.values import Filtered
from tests.protocols.http.dialects.requests import request
from tests.protocols.http.dialects.streams import cut, response_stream, text_events

OPENING = request("GET", "/v1/responses", headers=((b"upgrade", b"websocket"), (b"connection", b"upgrade")))
SEARCH = Access("model-tool", ResourceKind.HOSTED_TOOL, ("web_search",))
CARD = "4111 1111 1111 1111"


def text(**message: Any) -> bytes:
    return json.dumps({"type": "response.create", "model": "gpt-5", **message}).encode()


@pytest.fixture
def dialect() -> OpenAiDialect:
    return OpenAiDialect(HttpTarget(hosted_tools=HostedTools.REMOVE, outside=True))


def test_connections_with_messages_are_those_to_responses(dialect: OpenAiDialect) -> None:
    assert isinstance(dialect, MessageDialect)
    assert dialect.has_messages(OPENING)
    assert not dialect.has_messages(request("GET", "/v1/responses"))
    assert not dialect.has_messages(request("GET", "/v1/realtime", headers=OPENING.headers))


def test_a_text_is_a_request_of_its_own(dialect: OpenAiDialect) -> None:
    reading = dialect.read_message(OPENING, text(input="hi", tools=[{"type": "web_search"}]), None)
    assert reading.meaning.verb == "response.create gpt-5"
    assert reading.meaning.accesses == (Access("model-call", ResourceKind.MODEL, ("gpt-5",)), SEARCH)
    model = reading.meaning.facts["model"]
    assert isinstance(model, dict)
    assert model["stream"]
    again = dialect.read_message(OPENING, text(input="ho", tools=[{"type": "web_search"}], stream_id="a"), None)
    assert again.meaning is reading.meaning


def test_steering_is_a_call_of_any_model(dialect: OpenAiDialect) -> None:
    steer = {"type": "response.steer", "previous_response_id": "resp_1", "input": "wait"}
    reading = dialect.read_message(OPENING, json.dumps(steer).encode(), None)
    assert reading.meaning.accesses == (Access("model-call", ResourceKind.CONNECTION),)
    for more in ({"model": "gpt-5"}, {"tools": [{"type": "web_search"}]}):
        refused = dialect.read_message(OPENING, json.dumps({**steer, **more}).encode(), None)
        assert "must have neither" in (refused.meaning.refusal or "")


@pytest.mark.parametrize(
    "message", [b"{}", b"[]", b"x", b'{"type": "session.update"}', b'{"type": "response.create", "type": "x"}']
)
def test_other_texts_are_refused(dialect: OpenAiDialect, message: bytes) -> None:
    assert dialect.read_message(OPENING, message, None).meaning.refusal


def test_a_denial_is_an_event(dialect: OpenAiDialect) -> None:
    denial = Denial(DenialReason.NO_PERMIT, "You may not.", "Ask ops.", "model-call on model llm/gpt-5")
    message = text(input="hi", stream_id="lane")
    reading = dialect.read_message(OPENING, message, None)
    said = json.loads(dialect.refuse_message(OPENING, message, reading, denial, ""))
    error = {"message": "You may not. Ask ops.", "type": "gateway_error", "code": "denied", "param": None}
    assert said == {"type": "error", "status": 403, "error": error, "stream_id": "lane"}
    assert "stream_id" not in json.loads(dialect.refuse_message(OPENING, b"{", reading, denial, ""))


def test_a_denied_hosted_tool_is_taken_out(dialect: OpenAiDialect) -> None:
    message = text(input="hi", tools=[{"type": "web_search"}])
    reading = dialect.read_message(OPENING, message, None)
    denial = Denial(DenialReason.FORBIDDEN, "No.", access="model-tool on hosted tool llm/web_search")
    amended = dialect.amend_message(OPENING, message, reading, denial, None)
    assert amended is not None
    assert amended.body == b'{"type":"response.create","model":"gpt-5","input":"hi"}'


def test_what_leaves_is_masked(dialect: OpenAiDialect, masking: Masking) -> None:
    reading = dialect.read_message(OPENING, text(input=f"card {CARD}"), masking)
    assert json.loads(reading.body or b"")["input"] == "card ***"


def test_answers_are_masked_event_by_event(dialect: OpenAiDialect, masking: Masking) -> None:
    answers = dialect.answer_messages(OPENING, masking)
    said: list[Any] = []
    told = response_stream(text_events(cut(f"card {CARD} ok", 4)))
    for event in told:
        filtered = answers.take(json.dumps(event).encode())
        assert isinstance(filtered, Filtered)
        said += map(json.loads, filtered.instead or ())
    assert [event["type"] for event in said] == [event["type"] for event in told]
    assert "".join(event.get("delta", "") for event in said) == "card *** ok"
    assert (answers.usage, answers.found) == (42, (("credit-card", 4),))
    assert answers.masked_values > 0


def test_without_masks_answers_stay_as_they_are(dialect: OpenAiDialect) -> None:
    answers = dialect.answer_messages(OPENING, None)
    for event in response_stream(text_events(["hi"])):
        message = json.dumps(event).encode()
        assert answers.take(message) == Filtered(message)
    assert answers.usage == 42


def test_an_answer_that_is_cut_counts_as_well(dialect: OpenAiDialect) -> None:
    answers = dialect.answer_messages(OPENING, None)
    told = response_stream(text_events(["hi"] * 30))
    for number, event in enumerate(told[:-1], 1):
        answers.take(json.dumps(event).encode())
        assert answers.usage >= number
    counted = answers.usage
    answers.take(json.dumps(told[-1]).encode())
    assert answers.usage == max(counted, 42)


def test_lanes_are_kept_apart(dialect: OpenAiDialect, masking: Masking) -> None:
    answers = dialect.answer_messages(OPENING, masking)
    first = [{**event, "stream_id": "a"} for event in response_stream(text_events(cut(f"a {CARD}", 3)))]
    second = [{**event, "stream_id": "b"} for event in response_stream(text_events(cut(f"b {CARD}", 3)))]
    said: list[Any] = []
    for event in (event for pair in zip(first, second, strict=True) for event in pair):
        filtered = answers.take(json.dumps(event).encode())
        assert isinstance(filtered, Filtered)
        said += map(json.loads, filtered.instead or ())
    for lane in ("a", "b"):
        assert "".join(e.get("delta", "") for e in said if e["stream_id"] == lane) == f"{lane} ***"


def test_a_text_that_cannot_be_looked_into_ends_it(dialect: OpenAiDialect, masking: Masking) -> None:
    assert isinstance(dialect.answer_messages(OPENING, masking).take(b"not json"), str)
