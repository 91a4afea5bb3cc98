"""Conversations as they are recorded, and what people see of them."""

import gzip
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.recording import Direction, DocumentLine, Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.protocols.base import Side
from interlock.protocols.http.documents import Fields
from interlock.protocols.http.transcript import HttpTranscriber
from interlock.protocols.http.websocket.recorded import recorded
from interlock.protocols.http.websocket.values import Kind, Message

_GET = b"GET /users/7 HTTP/1.1\r\nhost: api.example\r\naccept: */*\r\n"
_POST = b"POST /users HTTP/1.1\r\nhost: api.example\r\ncontent-type: application/json\r\n"


def _request(text: bytes, body: bytes = b"", *, bytes_sent: int = 0, forwarded: bytes = b"") -> SealedRequest:
    return SealedRequest(text, body, len(text), bytes_sent or len(body), forwarded)


def _answer(number: int, *parts: bytes) -> list[Frame]:
    return [Frame(1000 * place, Direction.ANSWER, number, part) for place, part in enumerate(parts)]


def _transcript(*said: tuple[int, SealedRequest] | Frame) -> list[TranscriptLine]:
    return list(_lines(HttpTranscriber(), said))


def _lines(
    transcriber: HttpTranscriber, said: tuple[tuple[int, SealedRequest] | Frame, ...]
) -> Iterator[TranscriptLine]:
    for item in said:
        yield from transcriber.frame(item) if isinstance(item, Frame) else transcriber.request(0, *item)
    yield from transcriber.finish()


def _shown(lines: list[TranscriptLine]) -> list[tuple[TranscriptKind, int, str]]:
    return [(line.kind, line.number, line.text) for line in lines]


def _fields(line: TranscriptLine) -> Fields:
    return line.fields if isinstance(line, DocumentLine) else ()


def _bodies(*said: tuple[int, SealedRequest] | Frame) -> list[str]:
    return [line.text for line in _transcript(*said) if line.kind is TranscriptKind.DATA]


def test_an_exchange() -> None:
    body = b'{"id":7,"email":"***"}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    lines = _transcript((1, _request(_GET)), *_answer(1, head + body))
    assert _shown(lines) == [
        (TranscriptKind.REQUEST, 1, "GET /users/7 HTTP/1.1\nhost: api.example\naccept: */*"),
        (TranscriptKind.DONE, 1, "200 OK\ncontent-type: application/json\ncontent-length: 22"),
        (TranscriptKind.DATA, 1, '{\n  "id": 7,\n  "email": "***"\n}'),
    ]
    assert _fields(lines[2]) == (("/id", "7"), ("/email", "***"))


def test_a_body_that_was_held_is_shown_with_its_request() -> None:
    (line,) = _transcript((1, _request(_POST, b'{"name":"a"}')))
    assert line.text.endswith('content-type: application/json\n\n{\n  "name": "a"\n}')
    assert _fields(line) == ()


def test_what_went_to_the_target_in_place_of_a_body_is_shown() -> None:
    lines = _transcript((1, _request(_POST, b'{"mail":"a@b"}', forwarded=b'{"mail":"***"}')))
    assert lines[1].text == 'sent to the target in its place:\n{\n  "mail": "***"\n}'


def test_what_was_not_kept_of_a_request_is_said() -> None:
    lines = _transcript((1, _request(_POST, b"{", bytes_sent=100)))
    assert (lines[1].kind, lines[1].text) == (TranscriptKind.GAP, "99 bytes of the request were not kept")


def test_a_refusal_is_an_error() -> None:
    head = b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\ncontent-length: 16\r\n\r\n"
    lines = _transcript((1, _request(_GET)), *_answer(1, head + b'{"title":"no it"}'[:16]))
    assert lines[1].kind is TranscriptKind.ERROR
    assert lines[1].text.startswith("403 Forbidden\n")


def test_the_end_of_an_answer_without_a_length_is_the_next_request() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    lines = _transcript((1, _request(_GET)), *_answer(1, head, b'{"a":', b"1}"), (2, _request(_GET)), *_answer(2, head))
    assert [line.number for line in lines] == [1, 1, 1, 2, 2]
    assert lines[2].text == '{\n  "a": 1\n}'
    assert lines[2].at_us == 2000


def test_a_head_answer_has_no_body() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
    lines = _transcript(
        (1, _request(_GET.replace(b"GET", b"HEAD"))), *_answer(1, head), *_answer(2, head + b'{"a":"b"}')
    )
    assert [line.number for line in lines if line.kind is TranscriptKind.DATA] == [2]


def test_interim_answers_come_first() -> None:
    lines = _transcript(*_answer(1, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
    assert [line.text for line in lines] == ["103 Early Hints\nlink: </a>", "204 No Content"]


def test_events_are_shown_one_by_one() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n"
    lines = _transcript(*_answer(1, head, b'event: a\ndata: {"x"', b': "y"}\n\nda', b"ta: [DONE]\n\ndata: cut"))
    assert _shown(lines)[1:] == [
        (TranscriptKind.DATA, 1, 'event: a\ndata: {"x": "y"}'),
        (TranscriptKind.DATA, 1, "data: [DONE]"),
        (TranscriptKind.DATA, 1, "data: cut"),
    ]
    assert [_fields(line) for line in lines[1:]] == [(("/x", "y"),), (), ()]


def test_lines_of_json_are_shown_one_by_one() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n"
    lines = _transcript(*_answer(1, head, b'{"a":1}\n{"a"', b":2}\n"))
    assert [(line.text, _fields(line)) for line in lines[1:]] == [
        ('{"a":1}', (("/a", "1"),)),
        ('{"a":2}', (("/a", "2"),)),
    ]


@pytest.mark.parametrize(
    ("content_type", "body", "shown"),
    [
        (b"text/plain", "Grüße\nund mehr".encode(), ["Grüße", "und mehr"]),
        (b"text/plain; charset=iso-8859-1", "Grüße".encode("latin-1"), ["Grüße"]),
        (b"text/csv", b"a,b\n1,2\n", ["a,b\n1,2\n"]),
        (b"application/octet-stream", b'{"a":1}', ['{\n  "a": 1\n}']),
        (b"image/png", b"\x89PNG\r\n\x1a\n", ["a body of the type image/png"]),
        (b"text/html", b"<b>\x1b[2J</b>", ["<b>\\x1b[2J</b>"]),
        (b"application/json", b'{"a":"\\u202e\xe2\x80\xae"', ['{"a":"\\u202e\\u202e"']),
    ],
)
def test_bodies_are_shown_readably_and_steer_nothing(content_type: bytes, body: bytes, shown: list[str]) -> None:
    assert _bodies(*_answer(1, b"HTTP/1.1 200 OK\r\ncontent-type: " + content_type + b"\r\n\r\n" + body)) == shown


def test_a_coded_body_is_decoded() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\r\n"
    assert _bodies(*_answer(1, head + gzip.compress(b'{"a":1}'))) == ['{\n  "a": 1\n}']
    assert _bodies(*_answer(1, head + b"no gzip")) == ["7 bytes that cannot be decoded"]


def test_a_streamed_upload() -> None:
    frames = [Frame(0, Direction.REQUEST, 1, part) for part in (b"one\nt", b"wo\n")]
    asked = _request(_POST.replace(b"application/json", b"text/plain"))
    lines = _transcript((1, asked), *frames, *_answer(1, b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert [line.text for line in lines if line.kind is TranscriptKind.REQUEST][1:] == ["one", "two"]


def test_a_websocket() -> None:
    def said(to: Side, kind: Kind, payload: bytes, final: bool = True) -> Frame:
        direction = Direction.ANSWER if to is Side.CLIENT else Direction.REQUEST
        return Frame(5, direction, 1, recorded(Message(to, kind, payload, final)))

    lines = _transcript(
        (1, _request(_GET)),
        *_answer(1, b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"),
        said(Side.TARGET, Kind.TEXT, b'{"q":', final=False),
        said(Side.TARGET, Kind.TEXT, b"1}", final=True),
        said(Side.CLIENT, Kind.TEXT, b'{"email"', final=False),
        said(Side.CLIENT, Kind.PING, b""),
        said(Side.CLIENT, Kind.TEXT, b':"***"}'),
        said(Side.CLIENT, Kind.BINARY, b"x" * 70_000),
        said(Side.CLIENT, Kind.CLOSE, b"\x03\xe8bye"),
    )
    assert [(line.kind, line.text) for line in lines[2:]] == [
        (TranscriptKind.REQUEST, '{"q":1}'),
        (TranscriptKind.DATA, "ping"),
        (TranscriptKind.DATA, '{"email":"***"}'),
        (TranscriptKind.DATA, "70000 bytes"),
        (TranscriptKind.DATA, "close 1000 bye"),
    ]
    assert _fields(lines[4]) == (("/email", "***"),)


def test_messages_that_cannot_be_read_are_a_gap() -> None:
    lines = _transcript(*_answer(1, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"\xff\xff\xff", b"more"))
    assert [line.kind for line in lines] == [TranscriptKind.DONE, TranscriptKind.GAP]


def test_a_head_that_was_cut_off_is_a_gap() -> None:
    assert [line.kind for line in _transcript(*_answer(1, b"HTTP/1.1 200 OK\r\nx"))] == [TranscriptKind.GAP]


_BODY = json.dumps({"a": ["ü", {"b": 1}], "c": None}).encode()
_WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY) + _BODY,
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\r\n\r\nevent: x\r\ndata: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(_BODY),
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + recorded(Message(Side.CLIENT, Kind.TEXT, _BODY)),
)


@given(st.sampled_from(_WHOLE), st.data())
def test_the_cut_of_the_recording_does_not_matter(whole: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert _without_times(_transcript(*_answer(1, *parts))) == _without_times(_transcript(*_answer(1, whole)))


def _without_times(lines: list[TranscriptLine]) -> list[tuple[object, ...]]:
    return [(line.kind, line.text, _fields(line)) for line in lines]


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_shown_or_a_gap(parts: list[bytes]) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n"):
        for line in _transcript((1, _request(b"".join(parts), b"{")), *_answer(1, start, *parts)):
            assert "\x1b" not in line.text
