"""Streams of models, masked: nothing that must not be seen comes through, however it is cut, and the rest stays."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.catalogue import Catalogue
from interlock.core.content.text_masker import MAX_HELD_BYTES
from interlock.core.masking import ColumnMask, DetectorMask, Masking, MaskKind
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.openai_answers import answer_filter
from interlock.protocols.http.dialects.openai_events import MAX_TEXTS
from interlock.protocols.http.dialects.openai_usage import Usage
from tests.protocols.http.dialects.streams import (
    USAGE,
    call_events,
    chat_calls,
    chat_text,
    chunk,
    cut,
    events,
    message,
    response,
    response_stream,
    sse,
    text_events,
)

CARD = "4111 1111 1111 1111"
SECRET_KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 40 + "-----END PRIVATE KEY-----"
FILLER = "All of this may be read by anybody who wants to. " * 8
MASKING = Masking(
    "v1",
    Catalogue("c1"),
    detectors={name: DetectorMask(True) for name in ("credit-card", "email", "secret", "iban", "ssn", "phone")},
    fields={"salary": ColumnMask(MaskKind.REDACT)},
    key=b"k",
)
MAX_BYTES = 1 << 20


def masked(stream: bytes, path: str = "/v1/responses", step: int = 0, masking: Masking = MASKING) -> bytes:
    """The stream as it goes on, fed as a whole or in pieces."""
    answer = answer_filter(path, b"text/event-stream", masking, Usage(0, True), MAX_BYTES)
    assert answer is not None
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)] if step else [stream]
    return b"".join(answer.feed(piece) for piece in pieces) + answer.finish()


def deltas(stream: bytes, kind: str = "response.output_text.delta") -> str:
    return "".join(event["delta"] for event in events(stream) if event["type"] == kind)


def chat_content(stream: bytes, index: int = 0) -> str:
    choices = (choice for event in events(stream) for choice in event["choices"] if choice["index"] == index)
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def chat_arguments(stream: bytes, number: int) -> str:
    calls = (
        call
        for event in events(stream)
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls", ())
        if call["index"] == number
    )
    return "".join(call["function"]["arguments"] for call in calls)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_card_number_that_is_cut_over_events_does_not_come_through(size: int) -> None:
    text = f"{FILLER}The card is {CARD}, and {FILLER}"
    pieces = cut(text, size)
    output = masked(sse(response_stream(text_events(pieces), output=[message(text)])))
    shown = text.replace(CARD, "***")
    assert deltas(output) == shown
    (done,) = [event for event in events(output) if event["type"] == "response.output_text.done"]
    assert done["text"] == shown
    assert events(output)[-1]["response"]["output"][0]["content"][0]["text"] == shown
    assert b"4111" not in output
    assert chat_content(masked(sse(chat_text(pieces), named=False, done=True), "/v1/chat/completions")) == shown


@pytest.mark.parametrize(
    "secret",
    [
        "bob@example.com",
        "DE89 3704 0044 0532 0130 00",
        "ghp_" + "a1B2c3D4e5" * 4,
        SECRET_KEY,
        "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N" * 20,
    ],
    ids=["email", "iban", "token", "private key", "long token"],
)
def test_texts_in_pieces_are_masked_as_whole_ones(secret: str) -> None:
    text = f"{FILLER}Here: {secret} {FILLER}"
    output = masked(sse(response_stream(text_events(cut(text, 5)))))
    (done,) = [event for event in events(output) if event["type"] == "response.output_text.done"]
    assert deltas(output) == done["text"]
    assert secret[:40] not in deltas(output)
    assert deltas(output).count(FILLER.strip()) == 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_cut_gives_what_the_whole_text_gives(data: st.DataObject) -> None:
    words = st.sampled_from(
        [CARD, "bob@example.com", "hello ", "x", " ", "\n", "ä€😀", "4111", "+49 30 1234567", FILLER]
    )
    text = "".join(data.draw(st.lists(words, max_size=12)))
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    output = masked(sse(response_stream(text_events(pieces))), step=data.draw(st.integers(1, 500)))
    (done,) = [event for event in events(output) if event["type"] == "response.output_text.done"]
    assert deltas(output) == done["text"]


def test_one_byte_at_a_time_is_the_same_as_all_at_once() -> None:
    stream = sse(response_stream(text_events(cut(f"{FILLER}{CARD}", 4)), call_events(cut('{"salary": 5}', 2), 1)))
    assert masked(stream, step=1) == masked(stream)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_fields_of_arguments_are_masked(size: int) -> None:
    arguments = json.dumps({"salary": 5000, "card": CARD, "note": 'say "hi" to bob@example.com', "rest": FILLER})
    shown = {"salary": None, "card": "***", "note": 'say "hi" to ***', "rest": FILLER}
    output = masked(sse(response_stream(call_events(cut(arguments, size)))))
    (done,) = [event for event in events(output) if event["type"] == "response.function_call_arguments.done"]
    assert json.loads(deltas(output, "response.function_call_arguments.delta")) == shown
    assert json.loads(done["arguments"]) == shown
    chat = masked(
        sse(chat_calls([("a", cut(arguments, size)), ("b", cut('{"salary": 1}', size))]), named=False),
        "/v1/chat/completions",
    )
    assert json.loads(chat_arguments(chat, 0)) == shown
    assert json.loads(chat_arguments(chat, 1)) == {"salary": None}


def test_prose_that_begins_like_json_is_masked_as_prose() -> None:
    for text in (f"[1] {FILLER} {CARD}", "{" + FILLER + CARD, f'{{"a": 1}} and {CARD}', f'["a", "{CARD}'):
        output = masked(sse(response_stream(text_events(cut(text, 3)))))
        assert deltas(output) == text.replace(CARD, "***")


def test_texts_of_several_items_and_choices_are_kept_apart() -> None:
    first, second = list(text_events(cut(f"a {CARD} b", 3))), list(text_events(cut(f"c {CARD} d", 3), 1))
    mixed = [event for pair in zip(first, second, strict=True) for event in pair]
    output = masked(sse(response_stream(mixed)))
    texts = [
        "".join(e["delta"] for e in events(output) if e["type"].endswith("text.delta") and e["output_index"] == index)
        for index in (0, 1)
    ]
    assert texts == ["a *** b", "c *** d"]
    chunks = [
        c
        for pair in zip(chat_text(cut(f"a {CARD} b", 3)), chat_text(cut(f"c {CARD} d", 3), 1), strict=True)
        for c in pair
    ]
    chat = masked(sse(chunks, named=False), "/v1/chat/completions")
    assert [chat_content(chat, index) for index in (0, 1)] == ["a *** b", "c *** d"]


def test_events_between_pieces_do_not_break_a_text_apart() -> None:
    told = list(text_events(["4111 1111 ", "1111 1111"]))
    note = {"type": "response.output_text.annotation.added", "item_id": "msg_0", "output_index": 0, "annotation": {}}
    told.insert(3, note)
    output = masked(sse(response_stream(told)))
    assert deltas(output) == "***"
    assert note["type"] in [event["type"] for event in events(output)]


def test_every_event_of_the_provider_is_said_once_and_in_order() -> None:
    stream = response_stream(text_events(cut(FILLER, 6)), call_events(cut('{"a":1}', 2), 1))
    output = events(masked(sse(stream)))
    assert [event["sequence_number"] for event in output] == list(range(len(stream)))
    assert [event["type"] for event in output] == [event["type"] for event in stream]


def test_probabilities_spell_nothing() -> None:
    text = f"it is {CARD}"
    spelt = [{"token": character, "bytes": list(character.encode())} for character in text]
    part = {"type": "output_text", "text": text, "logprobs": spelt}
    document = response({"type": "message", "content": [part]}, usage=USAGE)
    answer = answer_filter("/v1/responses", b"application/json", MASKING, Usage(0, True), MAX_BYTES)
    assert answer is not None
    assert answer.feed(json.dumps(document).encode()) == b""
    output = answer.finish()
    shown: Mapping[str, Any] = json.loads(output)["output"][0]["content"][0]
    assert shown == {"type": "output_text", "text": "it is ***", "logprobs": []}
    stream = masked(sse(response_stream(text_events(cut(text, 1)))))
    assert all(event.get("logprobs", []) == [] for event in events(stream))
    chat = masked(sse(chat_text(cut(text, 1)), named=False), "/v1/chat/completions")
    assert all(choice["logprobs"] is None for event in events(chat) for choice in event["choices"])


def test_the_output_of_a_shell_comes_side_by_side() -> None:
    place = {"item_id": "sh_1", "output_index": 0, "command_index": 0}
    kind = "response.shell_call_output_content"
    told = [
        {"type": f"{kind}.delta", **place, "delta": {"stdout": "4111 1111 ", "stderr": "bob@exam"}},
        {"type": f"{kind}.delta", **place, "delta": {"stdout": "1111 1111"}},
        {"type": f"{kind}.delta", **place, "delta": {"stderr": "ple.com"}},
        {"type": f"{kind}.done", **place, "output": []},
    ]
    output = events(masked(sse(response_stream(told))))
    pieces = [event["delta"] for event in output if event["type"] == f"{kind}.delta"]
    assert "".join(piece.get("stdout", "") for piece in pieces) == "***"
    assert "".join(piece.get("stderr", "") for piece in pieces) == "***"


def test_what_is_held_is_said_when_the_stream_is_cut() -> None:
    stream = sse(response_stream(text_events(cut(f"until {CARD} here", 2))))
    cut_off = stream[: stream.index(b"event: response.output_text.done")]
    assert deltas(masked(cut_off)) == "until *** here"
    chat = sse(list(chat_text(cut(f"until {CARD} here", 2)))[:-1], named=False)
    assert chat_content(masked(chat, "/v1/chat/completions")) == "until *** here"


def test_a_finding_without_end_is_left_out() -> None:
    text = f"see ada@{'example.' * MAX_HELD_BYTES}com {FILLER}"
    output = masked(sse(response_stream(list(text_events(cut(text, 1000)))[:-3])))
    assert deltas(output) == f"see *** {FILLER}"


def test_little_is_held() -> None:
    answer = answer_filter("/v1/responses", b"text/event-stream", MASKING, Usage(0, True), MAX_BYTES)
    assert answer is not None
    told = "".join(deltas(answer.feed(sse([event]))) for event in list(text_events(cut(FILLER, 1)))[:-3])
    assert len(FILLER) - len(told) < 20


def test_comments_do_not_carry_anything() -> None:
    output = masked(b": 4111 1111 1111 1111\n\n" + b"id: 4111111111111111\nretry: 5\ndata: [DONE]\n\n")
    assert output == b":\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(
    "stream",
    [
        b"data: not json\n\n",
        b"data: [1]\n\n",
        b'data: {"type": "a.delta", "delta": "x", "delta": "y"}\n\n',
        b'data: {"type": "a.delta", "delta": 5}\n\n',
        b'data: {"type": "a.delta", "delta": ["4111"]}\n\n',
        b'data: {"delta": "x"}\n\n',
        b'data: {"type": "a", "x": "\\ud800"}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: " + b"x" * (MAX_BYTES + 1),
        sse({"type": f"t{number}.delta", "delta": "x"} for number in range(MAX_TEXTS + 1)),
    ],
    ids=range(10),
)
def test_what_cannot_be_looked_into_is_cut_off(stream: bytes) -> None:
    with pytest.raises(BodyRefused):
        masked(stream)


def test_chunks_that_cannot_be_looked_into_are_cut_off() -> None:
    for event in ({"choices": [5]}, {"choices": [{"index": "0", "delta": {"content": "x"}}]}):
        with pytest.raises(BodyRefused):
            masked(sse([event], named=False), "/v1/chat/completions")


@pytest.mark.parametrize(
    "selector",
    [
        "text",
        "content",
        "part",
        "delta",
        "*",
        "/response/output/*/content/*/text",
        "/output/*/content/*/text",
        "/*/item",
    ],
)
def test_a_mask_on_what_a_text_is_in_lies_on_its_pieces(selector: str) -> None:
    masking = Masking("v1", Catalogue("c1"), fields={selector: ColumnMask(MaskKind.REDACT)})
    output = masked(sse(response_stream(text_events(["secret ", "words"]))), masking=masking)
    assert b"secret" not in b"".join(line for line in output.split(b"\n") if b".delta" in line)
    assert b"words" not in b"".join(line for line in output.split(b"\n") if b".delta" in line)


@pytest.mark.parametrize("selector", ["content", "message", "/choices/*/message/content", "choices"])
def test_a_mask_on_what_a_choice_is_in_lies_on_its_pieces(selector: str) -> None:
    masking = Masking("v1", Catalogue("c1"), fields={selector: ColumnMask(MaskKind.REDACT)})
    try:
        chat = masked(sse(chat_text(["secret ", "words"]), named=False), "/v1/chat/completions", masking=masking)
    except BodyRefused:
        return
    assert b"secret" not in chat
    assert b"words" not in chat


@pytest.mark.parametrize("kind", ["arguments", "/output/*/arguments"])
def test_a_mask_on_arguments_lies_on_their_pieces(kind: str) -> None:
    masking = Masking("v1", Catalogue("c1"), fields={kind: ColumnMask(MaskKind.REDACT)})
    output = masked(sse(response_stream(call_events(cut('{"secret": 1}', 4)))), masking=masking)
    assert set(deltas(output, "response.function_call_arguments.delta")) == {"*"}


def test_a_text_that_must_not_be_there_cuts_the_stream() -> None:
    masking = Masking("v1", Catalogue("c1"), fields={"arguments": ColumnMask(MaskKind.FORBID)})
    with pytest.raises(BodyRefused):
        masked(sse(list(call_events(["{}"]))[1:2]), masking=masking)


def test_legacy_completions_have_texts_without_delta() -> None:
    told = [{"choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in cut(f"a {CARD} b", 4)]
    told.append({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    output = events(masked(sse(told, named=False), "/v1/completions"))
    assert "".join(event["choices"][0]["text"] for event in output) == "a *** b"


def test_what_the_last_chunk_has_is_joined_with_what_was_held() -> None:
    told = [chunk({"content": "4111 1111 "}), chunk({"content": "1111 1111"}, "stop")]
    output = events(masked(sse(told, named=False), "/v1/chat/completions"))
    assert [event["choices"][0]["delta"]["content"] for event in output] == ["", "***"]
