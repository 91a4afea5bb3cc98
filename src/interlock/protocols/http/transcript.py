"""An HTTP session's recording as lines for people: requests, heads of answers, bodies, messages of WebSockets.

What is recorded of one operation: the answer's head and body as they were sent, without the framing of chunks; of a
request whose body streams, that body. After an answer 101, messages of both sides (``websocket.recorded``). Nothing in
here raises for what was recorded: what cannot be read is a gap.
"""

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from interlock.core.printable import printable
from interlock.core.recording import Direction, DocumentLine, Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.protocols.http.body_lines import BodyLines, shown_json
from interlock.protocols.http.dialects.openai import is_model_request
from interlock.protocols.http.dialects.openai_conversation import ModelAnswer, asked_lines, ends_answer, said_lines
from interlock.protocols.http.exchanges import HttpExchanges
from interlock.protocols.http.recorded_heads import RecordedHead, read_head
from interlock.protocols.http.websocket.recorded import RecordedMessage, take_recorded
from interlock.protocols.http.websocket.values import Kind
from interlock.protocols.http.wire.messages import Headers

MAX_HEAD_BYTES: Final = 2 << 20
MAX_REMEMBERED: Final = 1000


class _Reading(Protocol):
    """What is known while one direction of one operation is read."""

    number: int

    def feed(self, frame: Frame) -> Iterator[TranscriptLine]: ...

    def finish(self) -> Iterator[TranscriptLine]: ...


class HttpTranscriber:
    """Implements ``Transcript`` for one session, and ``services.evidence.archive.ExchangeTranscriber``."""

    def __init__(self) -> None:
        self._asked: dict[int, RecordedHead] = {}
        self._readings: dict[Direction, _Reading] = {}
        self._upgraded = False

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterator[TranscriptLine]:
        """What is left of earlier answers, then the request with its body as far as it was held."""
        yield from self._finish_before(number)
        head = read_head(request.text)
        self._remember(number, head)
        parts = (head.text(), *_body_text(head, request.parameters))
        yield TranscriptLine(at_us, number, TranscriptKind.REQUEST, "\n\n".join(parts))
        if request.forwarded:
            changed = "\n".join(_body_text(head, request.forwarded))
            yield TranscriptLine(at_us, number, TranscriptKind.NOTICE, f"sent to the target in its place:\n{changed}")
        yield from _notice(at_us, number, asked_of_model(head, request.forwarded or request.parameters))
        cut = request.text_bytes - len(request.text) + request.parameter_bytes - len(request.parameters)
        if cut > 0:
            yield TranscriptLine(at_us, number, TranscriptKind.GAP, f"{cut} bytes of the request were not kept")

    def frame(self, frame: Frame) -> Iterator[TranscriptLine]:
        """The lines that this frame completes."""
        reading = self._readings.get(frame.direction)
        if reading is None or (reading.number != frame.number and not isinstance(reading, _Messages)):
            if reading is not None:
                yield from reading.finish()
            reading = self._readings[frame.direction] = self._begin(frame)
        yield from reading.feed(frame)
        if isinstance(reading, _Answer) and reading.upgraded:
            self._upgraded = True
            rest = msgspec.structs.replace(frame, data=reading.rest)
            messages = self._readings[frame.direction] = _Messages(frame.number, TranscriptKind.DATA)
            yield from messages.feed(rest)

    def finish(self) -> Iterator[TranscriptLine]:
        """What was held."""
        for reading in self._readings.values():
            yield from reading.finish()
        self._readings.clear()

    def new_exchanges(self) -> HttpExchanges:
        """A reader of the same session's recording as whole exchanges."""
        return HttpExchanges()

    def _begin(self, frame: Frame) -> _Reading:
        head = self._asked.get(frame.number, RecordedHead(""))
        if self._upgraded:
            answers = frame.direction is Direction.ANSWER
            return _Messages(frame.number, TranscriptKind.DATA if answers else TranscriptKind.REQUEST)
        if frame.direction is Direction.ANSWER:
            return _Answer(frame.number, head)
        return _Upload(frame.number, head.headers)

    def _finish_before(self, number: int) -> Iterator[TranscriptLine]:
        """One request is answered before the next one is read; messages of WebSockets go on."""
        for direction, reading in list(self._readings.items()):
            if reading.number < number and not isinstance(reading, _Messages):
                yield from reading.finish()
                del self._readings[direction]

    def _remember(self, number: int, head: RecordedHead) -> None:
        self._asked[number] = head
        if len(self._asked) > MAX_REMEMBERED:
            del self._asked[next(iter(self._asked))]


def asked_of_model(head: RecordedHead, body: bytes) -> list[str]:
    """What a request asks of a model, in short; nothing for other requests."""
    is_model = head.method == "WEBSOCKET" or is_model_request(head.method, head.path)
    return asked_lines(body) if is_model else []


def _notice(at_us: int, number: int, lines: list[str]) -> Iterator[TranscriptLine]:
    """A conversation with a model, in one line of the transcript."""
    if lines:
        yield TranscriptLine(at_us, number, TranscriptKind.NOTICE, printable("\n".join(("in short:", *lines))))


def _body_text(head: RecordedHead, body: bytes) -> Iterator[str]:
    """A body that was held, as one text; nothing for none."""
    if body:
        lines = BodyLines(0, head.headers)
        shown = [*lines.feed(0, body), *lines.finish(0)]
        yield "\n".join(line.text for line in shown)


class _Answer:
    """The answer to one request: interim heads, the head, the body."""

    def __init__(self, number: int, asked: RecordedHead) -> None:
        self.number = number
        self.upgraded = False
        self.rest = b""
        """What follows the head of an answer 101."""
        self._method = asked.method
        self._said = ModelAnswer() if is_model_request(asked.method, asked.path) else None
        self._head = bytearray()
        self._body: BodyLines | None = None
        self._left: int | None = None
        self._over = False
        self._at_us = 0

    def feed(self, frame: Frame) -> Iterator[TranscriptLine]:
        self._at_us = frame.at_us
        data = frame.data
        while self._body is None and not self.upgraded and data:
            self._head += data
            text, end, data = bytes(self._head).partition(b"\r\n\r\n")
            if not end and len(text) <= MAX_HEAD_BYTES:
                return
            self._head.clear()
            yield from self._begin(read_head(text))
        if self.upgraded:
            self.rest = data
        elif self._body is not None and data:
            yield from self._feed_body(data)

    def finish(self) -> Iterator[TranscriptLine]:
        if self._head:
            yield TranscriptLine(self._at_us, self.number, TranscriptKind.GAP, "the head of this answer was cut off")
        yield from self._end()

    def _begin(self, head: RecordedHead) -> Iterator[TranscriptLine]:
        kind = TranscriptKind.ERROR if head.status >= 400 or not head.status else TranscriptKind.DONE
        shown = RecordedHead(head.start.partition(" ")[2] if head.status else head.start, head.headers)
        yield TranscriptLine(self._at_us, self.number, kind, shown.text())
        self.upgraded = head.status == 101
        if head.status >= 200 or not head.status:
            self._body = BodyLines(self.number, head.headers)
            length = head.value(b"content-length")
            self._left = int(length) if length.isdigit() and self._method != "HEAD" else None

    def _feed_body(self, data: bytes) -> Iterator[TranscriptLine]:
        assert self._body is not None
        if self._said is not None:
            self._said.feed(data)
        yield from self._body.feed(self._at_us, data)
        if self._left is not None:
            self._left -= len(data)
            if self._left <= 0:
                yield from self._end()

    def _end(self) -> Iterator[TranscriptLine]:
        if self._body is not None and not self._over:
            self._over = True
            yield from self._body.finish(self._at_us)
            if self._said is not None:
                yield from _notice(self._at_us, self.number, self._said.lines())


class _Upload:
    """The body of one request that streamed."""

    def __init__(self, number: int, headers: Headers) -> None:
        self.number = number
        self._body = BodyLines(number, headers)
        self._at_us = 0

    def feed(self, frame: Frame) -> Iterator[TranscriptLine]:
        self._at_us = frame.at_us
        yield from _sent(self._body.feed(frame.at_us, frame.data))

    def finish(self) -> Iterator[TranscriptLine]:
        yield from _sent(self._body.finish(self._at_us))


def _sent(lines: Iterator[TranscriptLine]) -> Iterator[TranscriptLine]:
    """What went to the target, told apart from what came back; its values are not delivered ones."""
    for line in lines:
        yield TranscriptLine(line.at_us, line.number, TranscriptKind.REQUEST, line.text)


class _Messages:
    """Messages of a WebSocket in one direction, until the session ends."""

    def __init__(self, number: int, kind: TranscriptKind) -> None:
        self.number = number
        self._kind = kind
        self._buffer = bytearray()
        self._parts = bytearray()
        self._lost = False

    def feed(self, frame: Frame) -> Iterator[TranscriptLine]:
        self.number = frame.number
        if self._lost:
            return
        self._buffer += frame.data
        try:
            while (message := take_recorded(self._buffer)) is not None:
                yield from self._message(frame.at_us, message)
        except ValueError:
            self._lost = True
            self._buffer.clear()
            self._parts.clear()
            text = "the messages that follow cannot be read"
            yield TranscriptLine(frame.at_us, self.number, TranscriptKind.GAP, text)

    def finish(self) -> Iterator[TranscriptLine]:
        if self._buffer or self._parts:
            text = "the last message was cut off, or not kept as a whole"
            yield TranscriptLine(0, self.number, TranscriptKind.GAP, text)

    def _message(self, at_us: int, message: RecordedMessage) -> Iterator[TranscriptLine]:
        if message.kind in (Kind.TEXT, Kind.BINARY):
            self._parts += message.payload
            if not message.final:
                return
            payload, self._parts = bytes(self._parts), bytearray()
            yield self._shown(at_us, message.kind, payload)
            if self._kind is TranscriptKind.DATA and ends_answer(payload):
                yield from _notice(at_us, self.number, said_lines(payload))
        else:
            yield self._line(at_us, _control_text(message))

    def _shown(self, at_us: int, kind: Kind, payload: bytes) -> TranscriptLine:
        if kind is Kind.BINARY:
            return self._line(at_us, f"{len(payload)} bytes")
        text = payload.decode("utf-8", "replace")
        if self._kind is TranscriptKind.REQUEST or text.lstrip()[:1] not in ("{", "["):
            return self._line(at_us, text)
        fields = shown_json(text).fields
        return DocumentLine(at_us, self.number, self._kind, printable(text), fields=fields)

    def _line(self, at_us: int, text: str) -> TranscriptLine:
        return TranscriptLine(at_us, self.number, self._kind, printable(text))


def _control_text(message: RecordedMessage) -> str:
    if message.kind is not Kind.CLOSE:
        return message.kind.name.lower()
    code = int.from_bytes(message.payload[:2], "big") or 1005
    return f"close {code} {message.payload[2:].decode('utf-8', 'replace')}".rstrip()
