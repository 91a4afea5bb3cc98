"""A model's answer on its way to the client: what it used, and, where somebody must not see all, masked.

Without a mask every byte goes on at once, and only what it used is read. With one, a stream goes on event by event
(``openai_events``), and an answer in one piece once it is there.
"""

from collections.abc import Callable
from typing import Final, Protocol

from interlock.core.content.tally import Tally
from interlock.core.masking import Masking
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.plan import Plan, plan_for
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.base import AnswerFilter, NoTools
from interlock.protocols.http.dialects.event_stream import EventStream, StreamEvent
from interlock.protocols.http.dialects.openai_chat_events import ChatEvents
from interlock.protocols.http.dialects.openai_events import (
    EventMasker,
    Said,
    read_value,
    without_probabilities,
    write_value,
)
from interlock.protocols.http.dialects.openai_response_events import ResponseEvents
from interlock.protocols.http.dialects.openai_usage import Usage

_DONE: Final = b"[DONE]"
_STREAM: Final = b"text/event-stream"
_DOCUMENT: Final = b"application/json"


def answer_filter(
    path: str, content_type: bytes, masking: Masking | None, usage: Usage, max_bytes: int
) -> AnswerFilter | None:
    """What looks at an answer of the model API, None for one that is looked at as any other is."""
    events = _events_of(path)
    if events is None or content_type not in (_STREAM, _DOCUMENT):
        return None
    streams = content_type == _STREAM
    if masking is None or not (masking.fields or masking.detectors):
        return WatchedAnswer(StreamReader(usage, max_bytes) if streams else DocumentReader(usage, max_bytes), usage)
    plan, tally = plan_for(masking), Tally()
    if streams:
        return MaskedStream(events(plan, tally), tally, usage, max_bytes)
    return MaskedDocument(plan, tally, usage, max_bytes)


def _events_of(path: str) -> Callable[[Plan, Tally], EventMasker] | None:
    """How what this part of the API streams is read; None for the parts that do not stream."""
    folded = path.casefold().rstrip("/")
    if folded.endswith("/completions"):
        return ChatEvents
    return ResponseEvents if "/responses" in folded else None


class _Reader(Protocol):
    """Looks at what goes by."""

    def feed(self, data: bytes) -> None: ...

    def finish(self) -> None: ...


class WatchedAnswer(NoTools):
    """An answer of which nothing is masked. Implements ``AnswerFilter``."""

    def __init__(self, reader: _Reader, usage: Usage) -> None:
        self._reader = reader
        self._usage = usage

    @property
    def usage(self) -> int:
        return self._usage.tokens

    def feed(self, data: bytes) -> bytes:
        self._usage.passed(len(data))
        self._reader.feed(data)
        return data

    def finish(self) -> bytes:
        self._reader.finish()
        return b""


class StreamReader:
    """Reads what a stream says about usage; events that are too long are not read."""

    def __init__(self, usage: Usage, max_bytes: int) -> None:
        self._usage = usage
        self._max_bytes = max_bytes
        self._stream = EventStream()

    def feed(self, data: bytes) -> None:
        self._stream.feed(data)
        while (event := self._stream.next()) is not None:
            if event.data is not None:
                self._usage.read_event(event.data)
        if self._stream.buffered > self._max_bytes:
            self._stream = EventStream()

    def finish(self) -> None:
        self._stream = EventStream()


class DocumentReader:
    """Reads what an answer in one piece says about usage, unless it is too long."""

    def __init__(self, usage: Usage, max_bytes: int) -> None:
        self._usage = usage
        self._max_bytes = max_bytes
        self._held = bytearray()
        self._whole = True

    def feed(self, data: bytes) -> None:
        if self._whole and len(self._held) + len(data) <= self._max_bytes:
            self._held += data
        else:
            self._whole = False
            self._held.clear()

    def finish(self) -> None:
        self._usage.read(bytes(self._held))


class _Masked(NoTools):
    """What the filters that mask have in common. They implement ``MaskingFilter``."""

    def __init__(self, tally: Tally, usage: Usage, max_bytes: int) -> None:
        self._tally = tally
        self._usage = usage
        self._max_bytes = max_bytes

    @property
    def usage(self) -> int:
        return self._usage.tokens

    @property
    def masked_values(self) -> int:
        return self._tally.masked_values

    @property
    def found(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self._tally.found.items()))


class MaskedStream(_Masked):
    """A stream of events. Comments, ids and times to reconnect do not go on."""

    def __init__(self, masker: EventMasker, tally: Tally, usage: Usage, max_bytes: int) -> None:
        super().__init__(tally, usage, max_bytes)
        self._masker = masker
        self._stream = EventStream()

    def feed(self, data: bytes) -> bytes:
        self._usage.passed(len(data))
        self._stream.feed(data)
        passed: list[bytes] = []
        while (event := self._stream.next()) is not None:
            passed.append(self._event(event))
        if self._stream.buffered > self._max_bytes:
            raise BodyRefused(f"an event of the stream is longer than {self._max_bytes} bytes")
        return b"".join(passed)

    def finish(self) -> bytes:
        return _written(self._masker.finish())

    def _event(self, event: StreamEvent) -> bytes:
        if event.data is None:
            return b":\n\n"
        if event.data.strip() == _DONE:
            return _written(self._masker.finish()) + b"data: [DONE]\n\n"
        self._usage.read_event(event.data)
        return _written(self._masker.take(event.data))


def _written(events: list[Said]) -> bytes:
    return b"".join(_named(event.kind) + b"data: %b\n\n" % event.data for event in events)


def _named(kind: str) -> bytes:
    """The line with an event's type, which is one of the provider's words."""
    return f"event: {kind}\n".encode() if kind.replace(".", "").replace("_", "").isalnum() else b""


class MaskedDocument(_Masked):
    """An answer in one piece, in JSON."""

    def __init__(self, plan: Plan, tally: Tally, usage: Usage, max_bytes: int) -> None:
        super().__init__(tally, usage, max_bytes)
        self._plan = plan
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        self._held += data
        if len(self._held) > self._max_bytes:
            raise BodyRefused(f"the answer is longer than the {self._max_bytes} bytes that are held to be masked")
        return b""

    def finish(self) -> bytes:
        data = bytes(self._held)
        self._usage.passed(len(data))
        self._usage.read(data)
        if not data.strip():
            return data
        masker = JsonMasker(self._plan, self._tally)
        value = without_probabilities(read_value(data, "the answer"))
        return masker.feed(write_value(value)) + masker.finish()
