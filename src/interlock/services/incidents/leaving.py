"""Did a value leave? Looks for it in what sessions were told, as far as that was kept.

The value is in memory for one search and nowhere else: in no record, no log, no answer. It is looked for as it is
written, and in the notations that a database gives text out in. What a statement has made of it (parts, other cases, an
encoding) is not found.
"""

import json
from collections import OrderedDict
from typing import Final

from interlock.core.chain import Entry
from interlock.core.incident import ValueFound, ValueSearch
from interlock.core.ledger import SessionClosed, SessionOpened
from interlock.core.printable import printable
from interlock.core.recording import Direction, DocumentLine, Frame, TranscriptKind, TranscriptLine
from interlock.services.evidence.archive import ChunkSource, SessionKeys, Transcriber
from interlock.services.evidence.sessions import session_of
from interlock.services.incidents.playback import Playbacks, SessionPlayback

MAX_FOUND: Final = 1000
MAX_ANSWERS: Final = 256
"""Answers of one session that go on at a time; a value that is cut in another one is not seen in its bytes."""
_MIN_HEX: Final = 4
_COPY: Final = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
)
_PLACES: Final = {
    TranscriptKind.COLUMNS: "names of columns",
    TranscriptKind.DATA: "data",
    TranscriptKind.NOTICE: "a notice",
    TranscriptKind.ERROR: "an error message",
    TranscriptKind.DONE: "a completion",
}
_BYTES: Final = "bytes of the answer"


class SoughtSessions:
    """Which sessions to look in: those that are named, or those of a principal, on a connection, in a time."""

    def __init__(
        self, named: frozenset[str] | None, principal: str, connection: str, since_ns: int, until_ns: int
    ) -> None:
        self._named = named
        self._principal = principal
        self._connection = connection
        self.since_ns = since_ns
        self.until_ns = until_ns

    def has(self, opened: SessionOpened, entry: Entry) -> bool:
        """Whether to look into a session that begins with this entry."""
        return (
            (self._named is None or opened.session in self._named)
            and (not self._principal or opened.is_of(self._principal))
            and self._connection in ("", opened.connection)
            and entry.time_ns < self.until_ns
        )


class ValueHunt:
    """Takes the ledger's entries in order; then ``result``."""

    def __init__(
        self, value: str, sought: SoughtSessions, chunks: ChunkSource, keys: SessionKeys, transcriber: Transcriber
    ) -> None:
        self._needles = needles_of(value)
        self._bytes = value.encode(errors="surrogatepass")
        self._whole = printable(value)
        self._sought_value = value
        self._sought = sought
        self._playbacks = Playbacks(chunks, keys, transcriber)
        self._starts: dict[str, int] = {}
        self._tails: dict[str, OrderedDict[int, dict[str, bytes]]] = {}
        """The ends of what was said last, by session, operation and stream: a value can be cut there."""
        self._found: dict[tuple[str, int], dict[str, list[int]]] = {}
        self._told: dict[tuple[str, int], tuple[SessionPlayback, int]] = {}
        """Of the operations in ``_found``: whose they are, and when."""
        self._answers = self._searched = 0
        self._more = False

    def __repr__(self) -> str:
        return "ValueHunt(...)"

    def take(self, entry: Entry) -> None:
        """Take one more entry."""
        record = entry.record
        if isinstance(record, SessionOpened):
            if not self._sought.has(record, entry):
                return
            self._starts[record.session] = entry.time_ns
        elif session_of(entry) not in self._starts:
            return
        for playback, frame, lines in self._playbacks.take(entry):
            if frame is None or frame.direction is Direction.ANSWER:
                self._look_in_lines(playback, lines)
            if frame is not None and frame.direction is Direction.ANSWER:
                self._look_in_bytes(playback, frame)
        if isinstance(record, SessionClosed):
            self._tails.pop(record.session, None)

    def _sought_at(self, playback: SessionPlayback, at_us: int) -> int | None:
        """The time of something that was told, None when it is not looked for then."""
        at_ns = self._starts[playback.opened.session] + at_us * 1000
        return at_ns if self._sought.since_ns <= at_ns < self._sought.until_ns else None

    def _look_in_bytes(self, playback: SessionPlayback, frame: Frame) -> None:
        at_ns = self._sought_at(playback, frame.at_us)
        if at_ns is None:
            return
        stream, data = playback.stream(frame)
        self._searched += len(data)
        if self._is_in_bytes(playback.opened.session, frame.number, stream, data):
            self._note(playback, frame.number, at_ns, _BYTES, whole=False)

    def _look_in_lines(self, playback: SessionPlayback, lines: list[TranscriptLine]) -> None:
        for line in lines:
            if line.kind is TranscriptKind.COLUMNS:
                playback.columns(line)
            at_ns = self._sought_at(playback, line.at_us)
            if at_ns is not None and line.kind is not TranscriptKind.REQUEST:
                self._look_in_line(playback, line, at_ns)

    def _look_in_line(self, playback: SessionPlayback, line: TranscriptLine, at_ns: int) -> None:
        if line.kind is TranscriptKind.ROW:
            self._look_in_row(playback, line, at_ns)
        elif isinstance(line, DocumentLine) and self._is_in_fields(playback, line, at_ns):
            return
        elif self._is_in(line.text) or any(value and self._is_in(value) for value in line.values):
            self._note(playback, line.number, at_ns, _PLACES.get(line.kind, _BYTES), whole=False)

    def _is_in_fields(self, playback: SessionPlayback, line: DocumentLine, at_ns: int) -> bool:
        """Whether it is in a document's values; names of fields are not among them."""
        found = [(path, value) for path, value in line.fields if value and self._sought_value in value]
        for path, value in found:
            self._note(playback, line.number, at_ns, f"field {path or '/'}", whole=value == self._sought_value)
        return bool(found)

    def _look_in_row(self, playback: SessionPlayback, line: TranscriptLine, at_ns: int) -> None:
        names = playback.columns().values
        for place, value in enumerate(line.values):
            if value is not None and self._is_in(value):
                name = names[place] if len(names) == len(line.values) else None
                where = f"column {name or place + 1}"
                self._note(playback, line.number, at_ns, where, whole=value == self._whole)

    def _is_in(self, text: str) -> bool:
        return any(needle in text for needle in self._needles)

    def _is_in_bytes(self, session: str, number: int, stream: str, data: bytes) -> bool:
        """Whether the value ends in this part of an answer; it can have begun in the one before."""
        answers = self._tails.setdefault(session, OrderedDict())
        if number not in answers:
            self._answers += 1
            if len(answers) >= MAX_ANSWERS:
                answers.popitem(last=False)
        tails = answers.setdefault(number, {})
        answers.move_to_end(number)
        data = tails.get(stream, b"") + data
        keep = len(self._bytes) - 1
        tails[stream] = data[-keep:] if keep else b""
        return self._bytes in data

    def _note(self, playback: SessionPlayback, number: int, at_ns: int, where: str, *, whole: bool) -> None:
        key = playback.opened.session, number
        if key not in self._found and len(self._found) >= MAX_FOUND:
            self._more = True
            return
        self._told.setdefault(key, (playback, at_ns))
        self._found.setdefault(key, {}).setdefault(where, [0, 0])[0 if whole else 1] += 1

    def result(self, settled: bool) -> ValueSearch:
        """There are no more entries: what is known. See ``IncidentReader.find_value`` for ``settled``."""
        for playback, lines in self._playbacks.finish():
            self._look_in_lines(playback, lines)
        found = tuple(
            self._value_found(key, where, counts)
            for key, places in sorted(self._found.items())
            for where, counts in sorted(places.items())
            if where != _BYTES or len(places) == 1
        )
        sessions, more = self._playbacks.sessions, self._more
        return ValueSearch(sessions, self._answers, self._searched, found, more, tuple(self._problems(settled)))

    def _value_found(self, key: tuple[str, int], where: str, counts: list[int]) -> ValueFound:
        playback, at_ns = self._told[key]
        opened = playback.opened
        whole, within = counts
        place = (opened.principal, opened.connection, where)
        return ValueFound(*key, at_ns, *place, whole, within, opened.acting_lines)

    def _problems(self, settled: bool) -> list[str]:
        playbacks = self._playbacks
        found = [f"session {session}: its answers could not be read: {why}" for session, why in playbacks.problems]
        if playbacks.gap_bytes:
            found.append(f"{playbacks.gap_bytes} bytes of answers were delivered but not kept")
        if playbacks.open and not settled:
            found.append(f"the last moments of open sessions ({playbacks.open}) may not be kept yet")
        if playbacks.forgotten:
            found.append(f"{playbacks.forgotten} chunks of recordings came too late to be looked at")
        return found


def needles_of(value: str) -> frozenset[str]:
    """How a value can stand in text: as it is, in COPY's text format, in JSON, as the hexadecimal of a bytea."""
    in_json = json.dumps(value, ensure_ascii=False)[1:-1]
    forms = set(map(printable, (value, value.translate(_COPY), in_json)))
    encoded = value.encode(errors="surrogatepass")
    return frozenset(forms | ({encoded.hex()} if len(encoded) >= _MIN_HEX else set()))
