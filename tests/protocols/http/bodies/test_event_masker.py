"""Server-sent events: the data of each is masked, in one line or several, and its other lines stay."""

import json

import pytest

from interlock.core.content.tally import Tally
from interlock.core.masking import MaskKind
from interlock.protocols.http.bodies import event_masker
from interlock.protocols.http.bodies.event_masker import EventMasker
from interlock.protocols.http.bodies.plan import plan_for
from interlock.protocols.http.bodies.refusal import BodyRefused
from tests.protocols.http.bodies.maskings import masking

MASKING = masking({"email": MaskKind.REDACT}, "ssn")


def masked(stream: bytes, step: int = 1 << 20) -> bytes:
    masker = EventMasker(plan_for(MASKING), Tally())
    out = [masker.feed(stream[at : at + step]) for at in range(0, len(stream), step)]
    return b"".join([*out, masker.finish()])


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_data_is_masked_as_json(line_end: bytes, step: int) -> None:
    stream = (
        b': hello\nevent: x\nid: 7\ndata: {"email": "ada", "id": 1}\nretry: 10\n\n'
        b'data:{"a": 1.50}\n\ndata: {"email":\ndata: "ada",\ndata:"x": 2}\n\ndata: [DONE]\n\n'
    )
    expected = (
        b': hello\nevent: x\nid: 7\ndata: {"email": "***", "id": 1}\nretry: 10\n\n'
        b'data:{"a": 1.50}\n\ndata: {"email":\ndata: "***",\ndata: "x": 2}\n\ndata: [DONE]\n\n'
    )
    assert masked(stream.replace(b"\n", line_end), step) == expected.replace(b"\n", line_end)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r"])
def test_the_last_event_is_masked_even_when_it_is_not_ended(end: bytes) -> None:
    assert masked(b'data: {"email": 1}' + end) == b'data: {"email": null}' + (end or b"\n")


def test_other_lines_are_texts() -> None:
    stream = b": 123-45-6789\nid: 123-45-6789\ndata: it is 123-45-6789\nx-123-45-6789\ndata\n\n"
    out = masked(stream)
    assert b"6789" not in out
    assert out == b": ***\nid: ***\ndata: it is ***\ndata: \nx-***\n\n" or out.count(b"***") == 4


def test_an_event_goes_on_as_soon_as_it_is_whole() -> None:
    masker = EventMasker(plan_for(MASKING), Tally())
    assert masker.feed(b"data: 1\n") == b""
    assert masker.feed(b"\ndata: 2") == b"data: 1\n\n"
    assert masker.feed(b"\n\n") == b"data: 2\n\n"


def test_events_are_bounded() -> None:
    masker = EventMasker(plan_for(MASKING), Tally())
    with pytest.raises(BodyRefused):
        masker.feed(b"data: " + b"x" * event_masker.MAX_EVENT_BYTES)


def test_a_nul_character_is_refused() -> None:
    with pytest.raises(BodyRefused):
        masked("data: {}\n\n".encode("utf-16-le"))


def test_deltas_pass_byte_for_byte() -> None:
    deltas = b"".join(
        b"event: d\ndata: " + json.dumps({"delta": word}).encode() + b"\n\n" for word in ["a", "b", "c", "ü"]
    )
    assert masked(deltas, 5) == deltas
