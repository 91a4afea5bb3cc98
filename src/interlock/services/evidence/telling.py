"""What a session said, told in order: as lines for people, or as what happened at its terminals."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import msgspec

from interlock.core.ledger import OperationCompleted, OperationDecided, RecordingGap
from interlock.core.recording import Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.core.terminal_event import TerminalEvent, TerminalEventKind
from interlock.services.evidence.archive import SessionTranscriber, TerminalReader


class OperationView(msgspec.Struct, frozen=True):
    """One decision on an operation with what was asked, and what came of it (None while nothing has)."""

    at_ns: int
    sequence: int
    decided: OperationDecided
    request: SealedRequest
    completed: OperationCompleted | None = None


Said = OperationView | RecordingGap | Frame

ToldT = TypeVar("ToldT", covariant=True)


class Teller(Protocol[ToldT]):
    """Tells what was said, in the order of its times."""

    def take(self, at_us: int, item: Said) -> Iterable[ToldT]:
        """What is told of a decision, a frame or a gap, ``at_us`` microseconds after the session's start."""

    def finish(self) -> Iterable[ToldT]:
        """There is no more: what is left."""


def tell(said: Iterable[tuple[int, Said]], teller: Teller[ToldT]) -> Iterator[ToldT]:
    """All that is told of a session."""
    for at_us, item in said:
        yield from teller.take(at_us, item)
    yield from teller.finish()


class TranscriptTeller:
    """Tells lines: requests, decisions, answers and gaps."""

    def __init__(self, transcriber: SessionTranscriber) -> None:
        self._transcriber = transcriber

    def take(self, at_us: int, item: Said) -> Iterator[TranscriptLine]:
        """See ``Teller``."""
        if isinstance(item, Frame):
            yield from self._transcriber.frame(item)
        elif isinstance(item, OperationView):
            number = item.decided.number
            yield from self._transcriber.request(at_us, number, item.request)
            if text := _decision(item.decided):
                yield TranscriptLine(at_us, number, TranscriptKind.NOTICE, text)
        else:
            yield TranscriptLine(at_us, 0, TranscriptKind.GAP, _gap(item))

    def finish(self) -> Iterable[TranscriptLine]:
        """See ``Teller``."""
        return self._transcriber.finish()


class TerminalTeller:
    """Tells what happened at terminals."""

    def __init__(self, reader: TerminalReader) -> None:
        self._reader = reader

    def take(self, at_us: int, item: Said) -> Iterator[TerminalEvent]:
        """See ``Teller``."""
        if isinstance(item, Frame):
            yield from self._reader.frame(item)
        elif isinstance(item, OperationView):
            number = item.decided.number
            yield from self._reader.request(at_us, number, item.request)
            if text := _decision(item.decided):
                yield TerminalEvent(at_us, number, TerminalEventKind.DECIDED, text)
        else:
            yield TerminalEvent(at_us, 0, TerminalEventKind.GAP, _gap(item))

    def finish(self) -> Iterable[TerminalEvent]:
        """See ``Teller``."""
        return ()


def _decision(decided: OperationDecided) -> str:
    """How it was decided in words, empty when it was allowed."""
    if decided.decision == "allowed":
        return ""
    said = decided.message.removeprefix(f"{decided.decision}: ")
    return f"{decided.decision}: {said}".removesuffix(": ")


def _gap(record: RecordingGap) -> str:
    return f"{record.size_bytes} bytes were not kept: {record.reason}"
