"""What is read of a model's answer that nobody masks: every byte goes on at once, and what was used is known."""

import json

import pytest

from interlock.core.catalogue import Catalogue
from interlock.core.masking import Masking
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.base import AnswerFilter, MaskingFilter
from interlock.protocols.http.dialects.openai_answers import answer_filter
from interlock.protocols.http.dialects.openai_usage import Usage, tokens_in
from tests.protocols.http.dialects.streams import (
    CHAT_USAGE,
    USAGE,
    chat_text,
    message,
    response,
    response_stream,
    sse,
    text_events,
)

NOTHING_MASKED = Masking("v1", Catalogue("c1"))
MAX_BYTES = 1 << 16


def watched(
    content_type: str, path: str = "/v1/responses", request_bytes: int = 400, success: bool = True
) -> AnswerFilter:
    usage = Usage(request_bytes, success)
    answer = answer_filter(path, content_type.encode(), NOTHING_MASKED, usage, MAX_BYTES)
    assert answer is not None
    assert not isinstance(answer, MaskingFilter)
    return answer


@pytest.mark.parametrize(
    ("body", "content_type", "tokens"),
    [
        (json.dumps(response(message("hi"), usage=USAGE)), "application/json", 42),
        (json.dumps({"choices": [], "usage": CHAT_USAGE}), "application/json", 15),
        (json.dumps({"usage": {"input_tokens": 7, "output_tokens": 2}}), "application/json", 9),
        (sse(response_stream(text_events(["hi"]))).decode(), "text/event-stream", 42),
        (
            sse([*chat_text(["hi"]), {"choices": [], "usage": CHAT_USAGE}], named=False).decode(),
            "text/event-stream",
            15,
        ),
    ],
    ids=["response", "chat", "without total", "response stream", "chat stream"],
)
@pytest.mark.parametrize("step", [1, 5000])
def test_usage_is_what_the_answer_says(body: str, content_type: str, tokens: int, step: int) -> None:
    answer = watched(content_type)
    data = body.encode()
    for at in range(0, len(data), step):
        assert answer.feed(data[at : at + step]) == data[at : at + step]
    assert answer.finish() == b""
    assert answer.usage == tokens


def test_usage_is_estimated_when_an_answer_does_not_say() -> None:
    answer = watched("text/event-stream", "/v1/chat/completions")
    told = [{"choices": [{"index": 0, "delta": {"content": "hi"}}]}] * 50
    answer.feed(sse(told[:20], named=False))
    assert answer.usage == 100 + 20, "also when it is cut here"
    answer.feed(sse(told[20:], named=False))
    answer.finish()
    assert answer.usage == 100 + len(told)
    document = watched("application/json")
    document.feed(b"{}" + b" " * 398)
    document.finish()
    assert document.usage == 100 + 100


def test_an_error_uses_nothing() -> None:
    answer = watched("application/json", success=False)
    answer.feed(b'{"error": {"message": "no"}}')
    answer.finish()
    assert answer.usage == 0


def test_answers_that_are_too_long_to_be_read_go_on_and_are_estimated() -> None:
    for content_type in ("application/json", "text/event-stream"):
        answer = watched(content_type, request_bytes=0)
        assert answer.feed(b"x" * MAX_BYTES) == b"x" * MAX_BYTES
        answer.feed(b"y")
        answer.finish()
        assert answer.usage == (MAX_BYTES + 1 + 3) // 4


@pytest.mark.parametrize(
    "usage",
    [None, [], "many", {}, {"total_tokens": "5"}, {"total_tokens": -5}, {"total_tokens": True}, {"input_tokens": 1.5}],
)
def test_usage_that_is_none_says_nothing(usage: object) -> None:
    assert tokens_in({"usage": usage}) == 0
    assert tokens_in(usage) == 0


def test_broken_answers_say_nothing_about_usage() -> None:
    usage = Usage(0, True)
    for text in (b'{"usage"', b'"usage"\xff', b'{"usage":' + b"[" * 100_000):
        usage.read(text)
    assert usage.tokens == 0


def test_what_is_no_json_and_no_stream_is_looked_at_as_any_other_answer() -> None:
    assert answer_filter("/v1/responses", b"text/html", None, Usage(0, True), MAX_BYTES) is None
    assert answer_filter("/v1/models", b"application/json", None, Usage(0, True), MAX_BYTES) is None


def test_a_document_to_mask_must_be_json_and_not_too_long(masking: Masking) -> None:
    for body in (b"{", b'{"a": 1, "a": 2}', b"{}" + b" " * MAX_BYTES):
        answer = answer_filter("/v1/responses", b"application/json", masking, Usage(0, True), MAX_BYTES)
        assert isinstance(answer, MaskingFilter)
        with pytest.raises(BodyRefused):
            _ = answer.feed(body) + answer.finish()


def test_an_empty_document_stays_empty(masking: Masking) -> None:
    answer = answer_filter("/v1/responses", b"application/json", masking, Usage(0, True), MAX_BYTES)
    assert answer is not None
    assert answer.finish() == b""


def test_masks_are_counted(masking: Masking) -> None:
    answer = answer_filter("/v1/responses", b"application/json", masking, Usage(0, True), MAX_BYTES)
    assert isinstance(answer, MaskingFilter)
    answer.feed(json.dumps(response(message("4111 1111 1111 1111"), usage=USAGE)).encode())
    answer.finish()
    assert (answer.masked_values, answer.found, answer.usage) == (1, (("credit-card", 1),), 42)
