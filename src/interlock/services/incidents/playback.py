"""What sessions were told, from their recordings, in one pass over the ledger.

The entries of the ledger come in order; answers come back with what was asked. A recording that cannot be read is said
to be so and ends nothing else. Requests are kept only until their answer has come by.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from interlock.core.chain import Entry
from interlock.core.errors import InterlockError
from interlock.core.ledger import OperationDecided, RecordingGap, RecordingStored, SessionClosed, SessionOpened
from interlock.core.recording import Direction, Frame, TranscriptKind, TranscriptLine
from interlock.services.evidence.archive import ChunkSource, SessionKeys, StreamTranscriber, Transcriber
from interlock.services.evidence.sessions import session_of

MAX_CLOSED: Final = 10_000
"""Sessions that are remembered behind their end: the last chunks of a recording can come after it."""
MAX_TEXTS: Final = 1000
MAX_ASKED: Final = 10_000
"""Requests of one session whose answer has not come by; when there are more, the oldest have none that was kept."""
_SENT: Final = f"({Direction.REQUEST.value})"
"""In the reason of a gap in what streamed to the target."""
_NO_COLUMNS: Final = TranscriptLine(0, 0, TranscriptKind.COLUMNS)


def _only_stream(frame: Frame) -> tuple[str, bytes]:
    return "", frame.data


class SessionPlayback:
    """One session. ``problem`` says why its answers cannot be read (any more), ``gap_bytes`` were never kept."""

    def __init__(self, opened: SessionOpened, chunks: ChunkSource, keys: SessionKeys, transcriber: Transcriber) -> None:
        self.opened = opened
        self.problem = ""
        self.gap_bytes = 0
        self._chunks = chunks
        self._offset = 0
        self._asked: deque[OperationDecided] = deque(maxlen=MAX_ASKED)
        self._texts: OrderedDict[bytes, TranscriptLine] = OrderedDict()
        self._text = b""
        self._stream = _only_stream
        try:
            key = keys.reveal(opened.session, opened.wrapped_key)
            self._opener = keys.opener(opened.session, key)
            self._transcriber = reader = transcriber(opened.protocol)
            if isinstance(reader, StreamTranscriber):
                self._stream = reader.stream
        except InterlockError as error:
            self.problem = str(error)

    def asked(self, record: OperationDecided) -> None:
        """A request was decided on."""
        if record.decision == "allowed" and not self.problem:
            self._asked.append(record)

    def stored(self, record: RecordingStored) -> Iterator[tuple[Frame | None, list[TranscriptLine]]]:
        """The frames of a chunk, each with the lines that it completes; without one, those that a request completes."""
        if self.problem:
            return
        try:
            yield from self._read(record)
        except InterlockError as error:
            self.problem = str(error)

    def stream(self, frame: Frame) -> tuple[str, bytes]:
        """Which of its operation's streams a frame is of, and what it says there."""
        return self._stream(frame)

    def missed(self, record: RecordingGap) -> None:
        """Something was not kept; what went to the target does not matter here."""
        if _SENT not in record.reason:
            self.gap_bytes += record.size_bytes

    def rest(self) -> list[TranscriptLine]:
        """There are no more frames: the lines of what was not over."""
        return [] if self.problem else list(self._transcriber.finish())

    def columns(self, lines: TranscriptLine | None = None) -> TranscriptLine:
        """The columns of the answer that is being read: those that came, or those that the same text had before."""
        if lines is not None:
            self._texts[self._text] = lines
            if len(self._texts) > MAX_TEXTS:
                self._texts.popitem(last=False)
        return self._texts.get(self._text, _NO_COLUMNS)

    def _read(self, record: RecordingStored) -> Iterator[tuple[Frame | None, list[TranscriptLine]]]:
        chunk = self._chunks.chunk_at(self.opened.session, self._offset)
        if chunk is None or chunk.sha256 != record.sha256:
            self.problem = f"chunk {record.index} of the recording is missing or was changed"
            return
        self._offset = chunk.end
        for frame in self._opener.unseal_frames(chunk.counter, chunk.ciphertext):
            while frame.number and self._asked and self._asked[0].number <= frame.number:
                yield None, self._ask(self._asked.popleft(), frame)
            yield frame, list(self._transcriber.frame(frame))

    def _ask(self, record: OperationDecided, frame: Frame) -> list[TranscriptLine]:
        """What a request completes of the answers in front of it."""
        request = self._opener.unseal_request(record.number, record.sealed)
        self._text = request.text
        lines = self._transcriber.request(frame.at_us, record.number, request)
        return [line for line in lines if line.number != record.number]


class Playbacks:
    """The playbacks of several sessions. ``forgotten`` counts chunks that came too late to be read."""

    def __init__(self, chunks: ChunkSource, keys: SessionKeys, transcriber: Transcriber) -> None:
        self._chunks, self._keys, self._transcriber = chunks, keys, transcriber
        self._open: dict[str, SessionPlayback] = {}
        self._closed: OrderedDict[str, SessionPlayback] = OrderedDict()
        self.problems: list[tuple[str, str]] = []
        """Sessions of which something cannot be read, and why."""
        self.sessions = self.gap_bytes = self.forgotten = 0

    def take(self, entry: Entry) -> Iterator[tuple[SessionPlayback, Frame | None, list[TranscriptLine]]]:
        """Take an entry of a wanted session; what was told by it, by each frame and where something ends."""
        record = entry.record
        if isinstance(record, SessionOpened):
            self.sessions += 1
            self._open[record.session] = SessionPlayback(record, self._chunks, self._keys, self._transcriber)
            return
        session = session_of(entry)
        playback = self._open.get(session) or self._closed.get(session)
        match record:
            case RecordingStored() if playback is None:
                self.forgotten += 1
            case _ if playback is None:
                return
            case OperationDecided():
                playback.asked(record)
            case RecordingGap():
                playback.missed(record)
            case RecordingStored():
                yield from ((playback, *told) for told in playback.stored(record))
            case SessionClosed():
                yield from self._close(session)
            case _:
                return

    def finish(self) -> Iterator[tuple[SessionPlayback, list[TranscriptLine]]]:
        """There are no more entries: what was told at the ends of recordings."""
        for playback in (*self._closed.values(), *self._open.values()):
            yield playback, self._settle(playback)

    @property
    def open(self) -> int:
        """How many sessions have no end yet."""
        return len(self._open)

    def _close(self, session: str) -> Iterator[tuple[SessionPlayback, None, list[TranscriptLine]]]:
        if (playback := self._open.pop(session, None)) is not None:
            self._closed[session] = playback
            if len(self._closed) > MAX_CLOSED:
                oldest = self._closed.popitem(last=False)[1]
                yield oldest, None, self._settle(oldest)

    def _settle(self, playback: SessionPlayback) -> list[TranscriptLine]:
        self.gap_bytes += playback.gap_bytes
        if playback.problem:
            self.problems.append((playback.opened.session, playback.problem))
        return playback.rest()
