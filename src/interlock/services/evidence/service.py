"""Reading the evidence: sessions, what they asked and what came back, and searching all of it.

Nothing in here changes evidence. Requests and recordings are opened with the session's key, which takes the gateway's
sealing key; lists and counts do not need it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from interlock.core.chain import Entry, decode_entry
from interlock.core.checkpoint import VerifierKey
from interlock.core.errors import EvidenceError, UnknownSession
from interlock.core.evidence import SearchHit, SessionSummary, VerificationReport
from interlock.core.exchange import RecordedExchange
from interlock.core.ledger import OperationCompleted, OperationDecided, RecordingGap, RecordingStored, SessionOpened
from interlock.core.recording import DocumentLine, Frame, TranscriptLine
from interlock.core.terminal_event import TerminalEvent
from interlock.services.evidence.archive import (
    EvidenceArchive,
    EvidenceStore,
    ExchangeReader,
    ExchangeTranscriber,
    SessionKeys,
    SessionOpener,
    TerminalTranscriber,
    Transcriber,
)
from interlock.services.evidence.bundle import is_bundle, verify_bundle
from interlock.services.evidence.ordering import in_order
from interlock.services.evidence.package import verify_package, write_package
from interlock.services.evidence.search import AuditQuery, SearchQuery, search_operations
from interlock.services.evidence.sessions import SessionFilter, SessionTally, session_of, summarize
from interlock.services.evidence.telling import OperationView, Said, TerminalTeller, TranscriptTeller, tell
from interlock.services.evidence.verification import verify_ledger


class EvidenceService:
    """All that people read of the evidence. Everything raises ``EvidenceError`` when the evidence is damaged."""

    def __init__(
        self, archive: EvidenceArchive, keys: SessionKeys, transcriber: Transcriber, store: EvidenceStore
    ) -> None:
        self.archive = archive
        self.keys = keys
        self._transcriber = transcriber
        self._store = store

    def sessions(self, wanted: SessionFilter | None = None, limit: int = 50) -> list[SessionSummary]:
        """The newest sessions, oldest first."""
        return summarize(self._entries(), wanted or SessionFilter(), limit)

    def resolve(self, prefix: str) -> str:
        """The one session whose id starts with ``prefix``. Raises ``UnknownSession``."""
        needle = prefix.lower()
        found: set[str] = set()
        for entry in self._entries(needle.encode()):
            if isinstance(entry.record, SessionOpened) and entry.record.session.startswith(needle):
                found.add(entry.record.session)
        if len(found) != 1 or not needle:
            raise UnknownSession(f"{'no session' if not found else 'more than one session'} starts with {prefix!r}")
        return found.pop()

    def entries(self, session: str) -> Iterator[Entry]:
        """All entries of one session."""
        return (entry for entry in self._entries(session.encode()) if session_of(entry) == session)

    def summary(self, session: str) -> SessionSummary:
        """What is known of one session. Raises ``UnknownSession``."""
        tally: SessionTally | None = None
        for entry in self.entries(session):
            if isinstance(entry.record, SessionOpened):
                tally = SessionTally(entry.record, entry)
            elif tally:
                tally.count(entry)
        if tally is None:
            raise UnknownSession(f"no session {session!r}")
        return tally.summary()

    def operations(self, session: str, after: int = -1) -> Iterator[OperationView]:
        """The session's operations as they were decided behind an entry, with their outcome, in order."""
        opener = self.opener(session)
        outcomes = {
            entry.record.number: entry.record
            for entry in self.entries(session)
            if isinstance(entry.record, OperationCompleted)
        }
        for entry in self.entries(session):
            if isinstance(record := entry.record, OperationDecided) and entry.sequence > after:
                request = opener.unseal_request(record.number, record.sealed)
                outcome = outcomes.get(record.number) if record.decision == "allowed" else None
                yield OperationView(entry.time_ns, entry.sequence, record, request, outcome)

    def frames(self, session: str) -> Iterator[Frame]:
        """What came back, and what streamed to the target: the frames that the ledger vouches for, in order."""
        opener, offset = self.opener(session), 0
        for entry in self.entries(session):
            if isinstance(record := entry.record, RecordingStored):
                chunk = self.archive.chunk_at(session, offset)
                if chunk is None or chunk.sha256 != record.sha256:
                    raise EvidenceError(f"chunk {record.index} of the recording is missing or was changed")
                offset = chunk.end
                yield from opener.unseal_frames(chunk.counter, chunk.ciphertext)

    def transcript(self, session: str) -> Iterator[TranscriptLine]:
        """The session as people see it: requests, decisions, answers and gaps in the order of their times."""
        return (line.plain if isinstance(line, DocumentLine) else line for line in self._told(session))

    def exchanges(self, session: str) -> Iterator[RecordedExchange]:
        """The session as whole exchanges, in order. Raises ``EvidenceError`` when its protocol has none."""
        reader = self._exchange_reader(session)
        if reader is None:
            raise EvidenceError("this session is not made of HTTP exchanges")
        return self._exchanges(session, reader)

    def has_exchanges(self, session: str) -> bool:
        """Whether the session's protocol is made of exchanges, and not of statements."""
        return self._exchange_reader(session) is not None

    def has_terminal(self, session: str) -> bool:
        """Whether the session's protocol is looked at on a terminal."""
        return isinstance(self._transcriber(self.opened(session).record.protocol), TerminalTranscriber)

    def terminal(self, session: str) -> Iterator[TerminalEvent]:
        """What happened at the session's terminals, in the order of its times.

        Raises ``EvidenceError`` when its protocol has none.
        """
        return tell(self._said(session), self.terminal_teller(session))

    def transcript_teller(self, session: str) -> TranscriptTeller:
        """What tells the session as lines."""
        return TranscriptTeller(self._transcriber(self.opened(session).record.protocol))

    def terminal_teller(self, session: str) -> TerminalTeller:
        """What tells the session as what happened at its terminals. Raises ``EvidenceError`` when it has none."""
        transcriber = self._transcriber(self.opened(session).record.protocol)
        if not isinstance(transcriber, TerminalTranscriber):
            raise EvidenceError("this session was on no terminal")
        return TerminalTeller(transcriber.new_terminal())

    def _exchange_reader(self, session: str) -> ExchangeReader | None:
        transcriber = self._transcriber(self.opened(session).record.protocol)
        return transcriber.new_exchanges() if isinstance(transcriber, ExchangeTranscriber) else None

    def _exchanges(self, session: str, reader: ExchangeReader) -> Iterator[RecordedExchange]:
        for at_us, item in self._said(session):
            if isinstance(item, Frame):
                reader.frame(item)
            elif isinstance(item, OperationView):
                yield from reader.request(at_us, item.decided.number, item.request)
        yield from reader.finish()

    def _told(self, session: str) -> Iterator[TranscriptLine]:
        return tell(self._said(session), self.transcript_teller(session))

    def _said(self, session: str) -> Iterator[tuple[int, Said]]:
        """Decisions, frames and gaps with their times since the session's start, in order."""
        return in_order(self._asked(session), self.frames(session))

    def _asked(self, session: str) -> Iterator[tuple[int, int, int, OperationView | RecordingGap]]:
        """Decisions and gaps, as ``in_order`` takes them."""
        opener, start_ns = self.opener(session), self.opened(session).time_ns
        for entry in self.entries(session):
            at_us = max(0, entry.time_ns - start_ns) // 1000
            if isinstance(record := entry.record, OperationDecided):
                request = opener.unseal_request(record.number, record.sealed)
                yield at_us, record.number, 0, OperationView(entry.time_ns, entry.sequence, record, request)
            elif isinstance(record, RecordingGap):
                yield at_us, 0, 2, record

    def search(self, query: SearchQuery) -> Iterator[SearchHit]:
        """The operations that match, in order."""

        def answered(session: str) -> frozenset[int]:
            lines = self.transcript(session)
            return frozenset(line.number for line in lines if line.number and line.says(query.text))

        return search_operations(self._entries(), query, self.keys, answered)

    def audit(self, query: AuditQuery) -> Iterator[Entry]:
        """The ledger's entries that match, in order."""
        return (entry for entry in self._entries() if query.wants(entry))

    def verify(self, key: VerifierKey | None = None, pinned: Sequence[str] = ()) -> VerificationReport:
        """Check everything (see ``verification``)."""
        return verify_ledger(self.archive, key, pinned)

    def export(self, session: str, path: Path, *, older: Sequence[str] = (), with_key: bool = False) -> None:
        """Write an evidence package (see ``package``), with the session's clear key only when asked for.

        Raises ``OSError`` when it cannot be written.
        """
        key = self.session_key(session) if with_key else None
        with self._store.writer(path) as writer:
            write_package(self.archive, session, writer, older=older, session_key=key)

    def session_key(self, session: str) -> bytes:
        """The session's clear key. Raises ``InterlockError`` when it cannot be had."""
        return self.keys.reveal(session, self.opened(session).record.wrapped_key)

    def opener(self, session: str) -> SessionOpener:
        """What opens the session's evidence. Raises ``InterlockError`` when its key cannot be had."""
        return self.keys.opener(session, self.session_key(session))

    def opened(self, session: str) -> "Opened":
        """How the session began. Raises ``UnknownSession``."""
        for entry in self.entries(session):
            if isinstance(entry.record, SessionOpened):
                return Opened(entry.sequence, entry.time_ns, entry.record)
        raise UnknownSession(f"no session {session!r}")

    def _entries(self, containing: bytes = b"") -> Iterator[Entry]:
        return (decode_entry(data) for data in self.archive.entries() if containing in data)


class EvidenceVerifier:
    """Checks evidence wherever it lies; needs no configuration, no gateway and no key but the public one."""

    def __init__(self, store: EvidenceStore, keys: SessionKeys) -> None:
        self._store = store
        self._keys = keys

    def verify(self, path: Path, key: VerifierKey | None = None, pinned: Sequence[str] = ()) -> VerificationReport:
        """Check a package, an incident's bundle or a gateway's data directory. Raises ``EvidenceError`` for others."""
        if not self._store.is_package(path):
            return verify_ledger(self._store.archive(path), key, pinned)
        with self._store.reader(path) as package:
            if is_bundle(package):
                return verify_bundle(package, key, pinned)
            return verify_package(package, self._keys, key, pinned)


class Opened(msgspec.Struct, frozen=True):
    """A session's start."""

    sequence: int
    time_ns: int
    record: SessionOpened
