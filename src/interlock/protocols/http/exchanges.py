"""An HTTP session's recording as whole exchanges (``core.exchange``), for exports.

Like ``transcript`` it takes whatever was recorded and raises for nothing. An exchange is over when the next request of
the session was decided on, or when the session is; those of a WebSocket when the session is.
"""

from collections.abc import Iterator
from typing import Final

from interlock.core.exchange import Fields, RecordedExchange, SocketMessage
from interlock.core.recording import Direction, Frame, SealedRequest
from interlock.protocols.http.bodies.codings import Decoding, open_decoding
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.recorded_heads import RecordedHead, read_head
from interlock.protocols.http.websocket.recorded import RecordedMessage, take_recorded
from interlock.protocols.http.wire.messages import Headers

MAX_BODY_BYTES: Final = 256 << 20


class _Open:
    """What is known of one exchange so far."""

    def __init__(self, at_us: int, number: int, request: SealedRequest) -> None:
        self.number = number
        self.asked_us = self.sent_us = self.answered_us = self.ended_us = at_us
        self.head = read_head(request.text)
        self.request_body = bytearray(request.parameters)
        self.request_body_bytes = request.parameter_bytes
        self.answer = bytearray()
        self.messages: list[SocketMessage] = []

    def sent(self, frame: Frame) -> None:
        self.sent_us = self.answered_us = self.ended_us = frame.at_us
        self.request_body += frame.data
        self.request_body_bytes += len(frame.data)

    def answered(self, frame: Frame) -> None:
        if not self.answer:
            self.answered_us = frame.at_us
        self.ended_us = frame.at_us
        self.answer += frame.data

    def whole(self) -> RecordedExchange:
        head, body = _split(bytes(self.answer))
        method, target = _asked(self.head.start)
        return RecordedExchange(
            number=self.number,
            asked_us=self.asked_us,
            sent_us=self.sent_us,
            answered_us=self.answered_us,
            ended_us=self.ended_us,
            method=method,
            target=target,
            request_headers=_texts(self.head.headers),
            request_body=_decoded(bytes(self.request_body), self.head.headers),
            request_body_bytes=self.request_body_bytes,
            status=head.status,
            reason=head.start.partition(" ")[2].partition(" ")[2],
            headers=_texts(head.headers),
            body=_decoded(body, head.headers),
            body_bytes=len(body),
            messages=tuple(self.messages),
        )


class HttpExchanges:
    """Implements ``services.evidence.archive.ExchangeReader`` for one session."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._upgraded = False
        self._messages = {Direction.REQUEST: _MessageBuffer(), Direction.ANSWER: _MessageBuffer()}

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterator[RecordedExchange]:
        """What was over before this request; of one that is decided again, nothing more."""
        if number in self._open:
            return
        if not self._upgraded:
            yield from self.finish()
        self._open[number] = _Open(at_us, number, request)

    def frame(self, frame: Frame) -> None:
        """Take what was said."""
        exchange = self._open.get(frame.number)
        if exchange is None:
            return
        if self._upgraded:
            exchange.messages.extend(self._messages[frame.direction].take(frame))
            exchange.ended_us = frame.at_us
        elif frame.direction is Direction.REQUEST:
            exchange.sent(frame)
        else:
            exchange.answered(frame)
            self._upgraded = exchange.answer.startswith(b"HTTP/1.1 101 ") and b"\r\n\r\n" in exchange.answer

    def finish(self) -> Iterator[RecordedExchange]:
        """There is no more."""
        for exchange in self._open.values():
            yield exchange.whole()
        self._open.clear()


class _MessageBuffer:
    """Messages of one direction, of which only whole ones count."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._parts: list[RecordedMessage] = []

    def take(self, frame: Frame) -> Iterator[SocketMessage]:
        self._bytes += frame.data
        try:
            while (message := take_recorded(self._bytes)) is not None:
                if message.kind.value >= 8:
                    yield self._message(frame, message.kind.value, message.payload)
                    continue
                self._parts.append(message)
                if message.final:
                    payload = b"".join(part.payload for part in self._parts)
                    self._parts.clear()
                    yield self._message(frame, message.kind.value, payload)
        except ValueError:
            self._bytes.clear()

    def _message(self, frame: Frame, opcode: int, data: bytes) -> SocketMessage:
        return SocketMessage(frame.at_us, frame.direction is Direction.REQUEST, opcode, data)


def _asked(start: str) -> tuple[str, str]:
    """Method and target of a request line; a tunnel's is only where it leads to."""
    method, blank, rest = start.partition(" ")
    return (method, rest.rpartition(" HTTP/")[0] or rest) if blank else ("CONNECT", start)


def _split(answer: bytes) -> tuple[RecordedHead, bytes]:
    """The head and body of an answer, without heads of interim ones."""
    head, end, body = answer.partition(b"\r\n\r\n")
    read = read_head(head)
    if end and 100 <= read.status < 200 and read.status != 101:
        return _split(body)
    return (read, body) if end else (RecordedHead(""), b"")


def _texts(headers: Headers) -> Fields:
    return tuple((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in headers)


def _decoded(body: bytes, headers: Headers) -> bytes:
    """The body without its content codings, as far as it can be decoded; as it came when it cannot."""
    codings = b",".join(value for name, value in headers if name == b"content-encoding").lower().split(b",")
    decoding = open_decoding([coding.strip() for coding in codings], MAX_BODY_BYTES)
    if not isinstance(decoding, Decoding):
        return body
    pieces: list[bytes] = []
    try:
        pieces.extend(decoding.feed(body))
    except BodyRefused:
        return b"".join(pieces) or body
    return b"".join(pieces)
