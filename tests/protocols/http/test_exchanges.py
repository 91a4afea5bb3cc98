import gzip

from interlock.core.exchange import RecordedExchange, SocketMessage
from interlock.core.recording import Direction, Frame, SealedRequest
from interlock.protocols.base import Side
from interlock.protocols.http.exchanges import HttpExchanges
from interlock.protocols.http.websocket.recorded import recorded
from interlock.protocols.http.websocket.values import Kind, Message

_HEAD = b"POST /v?q=1 HTTP/1.1\r\nhost: api.example\r\ncontent-type: text/plain\r\n"


def _exchanges(*said: tuple[int, int, bytes] | Frame, head: bytes = _HEAD) -> list[RecordedExchange]:
    reader = HttpExchanges()
    found: list[RecordedExchange] = []
    for item in said:
        if isinstance(item, Frame):
            reader.frame(item)
        else:
            at_us, number, body = item
            found += reader.request(at_us, number, SealedRequest(head, body, len(head), len(body)))
    return [*found, *reader.finish()]


def _answer(at_us: int, number: int, data: bytes) -> Frame:
    return Frame(at_us, Direction.ANSWER, number, data)


def test_an_exchange() -> None:
    head = b"HTTP/1.1 201 Created\r\ncontent-type: text/plain\r\nlocation: /v/1\r\n\r\n"
    (one,) = _exchanges((10, 1, b"body"), _answer(30, 1, head[:20]), _answer(40, 1, head[20:] + b"made"))
    assert (one.method, one.target, one.request_header("host"), one.request_body) == (
        "POST",
        "/v?q=1",
        "api.example",
        b"body",
    )
    assert (one.status, one.reason, one.header("location"), one.body) == (201, "Created", "/v/1", b"made")
    assert (one.asked_us, one.sent_us, one.answered_us, one.ended_us) == (10, 10, 30, 40)
    assert (one.request_body_bytes, one.body_bytes) == (4, 4)


def test_interim_answers_are_left_out_and_codings_taken_off() -> None:
    coded = gzip.compress(b"hello")
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"
    (one,) = _exchanges((0, 1, b""), _answer(1, 1, head + coded))
    assert (one.status, one.body, one.body_bytes) == (200, b"hello", len(coded))
    (one,) = _exchanges((0, 1, b""), _answer(1, 1, head + b"no gzip"))
    assert one.body == b"no gzip"


def test_a_body_that_streamed() -> None:
    frames = [Frame(at_us, Direction.REQUEST, 1, b"x" * 3) for at_us in (5, 9)]
    (one,) = _exchanges((1, 1, b""), *frames, _answer(20, 1, b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert (one.request_body, one.request_body_bytes, one.sent_us, one.answered_us) == (b"xxxxxx", 6, 9, 20)


def test_requests_that_were_not_carried_out_and_those_that_were_decided_twice() -> None:
    found = _exchanges((1, 1, b""), (2, 2, b""), (5, 2, b""), _answer(9, 2, b"HTTP/1.1 200 OK\r\n\r\n"), (10, 3, b""))
    assert [(one.number, one.status, one.asked_us, one.ended_us) for one in found] == [
        (1, 0, 1, 1),
        (2, 200, 2, 9),
        (3, 0, 10, 10),
    ]


def test_messages_of_a_websocket() -> None:
    def said(to: Side, payload: bytes, final: bool = True, number: int = 1) -> Frame:
        direction = Direction.ANSWER if to is Side.CLIENT else Direction.REQUEST
        return Frame(7, direction, number, recorded(Message(to, Kind.TEXT, payload, final)))

    first, second = _exchanges(
        (0, 1, b""),
        _answer(1, 1, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        said(Side.TARGET, b"he", final=False),
        said(Side.CLIENT, b"hi"),
        said(Side.TARGET, b"llo"),
        (8, 2, b"ask"),
        said(Side.CLIENT, b"answer", number=2),
    )
    assert first.status == 101
    assert first.messages == (SocketMessage(7, False, 1, b"hi"), SocketMessage(7, True, 1, b"hello"))
    assert second.messages == (SocketMessage(7, False, 1, b"answer"),)
