"""What a replay shows of conversations with a model, beside the exchanges themselves."""

import json

from interlock.core.recording import Direction, Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.protocols.base import Side
from interlock.protocols.http.transcript import HttpTranscriber
from interlock.protocols.http.websocket.recorded import recorded
from interlock.protocols.http.websocket.values import Kind, Message
from tests.protocols.http.dialects.streams import cut, message, response_stream, sse, text_events

ASKED = b'{"model":"gpt-5","input":"How many?"}'
SAID = response_stream(text_events(cut("It is 42.\x1b[2J", 2)), output=[message("It is 42.\x1b[2J")])
IN_SHORT = ["in short:\nmodel: gpt-5\nuser: How many?", "in short:\nassistant: It is 42.\\x1b[2J\ntokens: 42"]


def notices(lines: list[TranscriptLine]) -> list[str]:
    return [line.text for line in lines if line.kind is TranscriptKind.NOTICE]


def transcript(request: SealedRequest, *answers: bytes) -> list[TranscriptLine]:
    reader = HttpTranscriber()
    lines = list(reader.request(1, 1, request))
    for answer in answers:
        lines += reader.frame(Frame(2, Direction.ANSWER, 1, answer))
    return [*lines, *reader.finish()]


def test_a_streamed_answer_is_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    asked = SealedRequest(b"POST /v1/responses?a=1 HTTP/1.1\r\nhost: llm\r\n", ASKED, 0, 0)
    answer = head + sse(SAID)
    assert notices(transcript(asked, answer)) == IN_SHORT
    assert notices(transcript(asked, *(answer[at : at + 7] for at in range(0, len(answer), 7)))) == IN_SHORT


def test_what_was_asked_is_what_went_to_the_model() -> None:
    asked = SealedRequest(b"POST /v1/responses HTTP/1.1\r\nhost: llm\r\n", ASKED, 0, 0, ASKED.replace(b"How", b"***"))
    assert notices(transcript(asked))[-1] == "in short:\nmodel: gpt-5\nuser: *** many?"


def test_messages_of_a_websocket() -> None:
    opened = SealedRequest(b"GET /v1/responses HTTP/1.1\r\nupgrade: websocket\r\n", b"", 0, 0)
    asked = SealedRequest(b"WEBSOCKET /v1/responses\r\nhost: llm\r\n", ASKED[:-1] + b',"type":"response.create"}', 0, 0)
    reader = HttpTranscriber()
    lines = list(reader.request(1, 1, opened))
    lines += reader.frame(Frame(2, Direction.ANSWER, 1, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"))
    lines += reader.request(3, 2, asked)
    for event in SAID:
        told = Message(Side.CLIENT, Kind.TEXT, json.dumps(event).encode())
        lines += reader.frame(Frame(4, Direction.ANSWER, 2, recorded(told)))
    assert notices(lines) == IN_SHORT


def test_other_requests_are_not_looked_into() -> None:
    asked = SealedRequest(b"POST /tickets HTTP/1.1\r\nhost: crm\r\n", ASKED, 0, 0)
    assert notices(transcript(asked, b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(SAID[-1]).encode())) == []
