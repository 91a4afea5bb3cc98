"""Checks stored evidence: every hash, link, checksum, signature and recording chunk, with nothing but the public key.

Works on a directory that a gateway is writing to: checkpoints are read first and speak only of what is already there.
It needs no session key: recordings are checked by the digests of their encrypted chunks. The chain is checked up to
the first bad entry, since nothing behind it can be trusted to be in its place.
"""

from collections.abc import Sequence

import msgspec

from interlock.core.chain import Entry, Head, decode_entry, link
from interlock.core.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from interlock.core.errors import EvidenceError
from interlock.core.evidence import Finding, VerificationReport
from interlock.core.ledger import RecordingGap, RecordingStored, SessionClosed, SessionOpened
from interlock.core.merkle import Frontier
from interlock.services.evidence.archive import ChunkSource, EvidenceArchive

FIRST_USE = "the public key was taken from the evidence itself; compare it with one you know (--key)"


class RecordingCheck:
    """Compares the chunks that the ledger names with those that are stored, one after the other."""

    def __init__(self, source: ChunkSource) -> None:
        self.chunks = 0
        self.findings: list[Finding] = []
        self.uncovered = 0
        self._source = source
        self._places: dict[str, tuple[int, int]] = {}

    def stored(self, record: RecordingStored, sequence: int) -> None:
        """The ledger names a chunk. After the first bad chunk of a session the rest of it is passed over."""
        index, offset = self._places.get(record.session, (0, 0))
        if index < 0:
            return
        problem, end = self._compare(record, index, offset)
        if problem:
            where = f"recording of session {record.session}, chunk {record.index}: {problem}"
            self.findings.append(Finding(where, sequence, record.session))
            index = -2
        self.chunks += 1
        self._places[record.session] = (index + 1, end)

    def _compare(self, record: RecordingStored, index: int, offset: int) -> tuple[str, int]:
        if record.index != index:
            return f"chunk {index} should come first", offset
        try:
            chunk = self._source.chunk_at(record.session, offset)
        except (EvidenceError, OSError) as error:
            return str(error), offset
        if chunk is None:
            return "it is missing or cut", offset
        if chunk.sha256 != record.sha256 or chunk.size_bytes != record.size_bytes:
            return "it is not what was recorded", offset
        return "", chunk.end

    def finish(self) -> None:
        """Count the sessions that have recordings the ledger does not name (yet)."""
        for session, (index, offset) in self._places.items():
            if index >= 0:
                self.uncovered += self._source.recording_bytes(session) > offset


class LedgerCheck:
    """Checks a whole ledger: chain, tree, checkpoints, sessions and recordings."""

    def __init__(self, archive: EvidenceArchive, key: VerifierKey, pinned: Sequence[Checkpoint]) -> None:
        self._archive = archive
        self._key = key
        self._pinned = sorted(pinned, key=lambda checkpoint: checkpoint.size)
        self._head = Head()
        self._tree = Frontier()
        self._recordings = RecordingCheck(archive)
        self._findings: list[Finding] = []
        self._suspect: int | None = None
        self._covered = 0
        self._checkpoints = 0
        self._sessions = 0
        self._open: set[str] = set()
        self._gap_bytes = 0
        self._remarks: list[str] = []

    def run(self) -> VerificationReport:
        """Read everything once and report."""
        self._signed = self._archive.checkpoints(self._key)
        self._upcoming = iter(self._signed)
        self._next = self._advance()
        entries = self._archive.entries()
        try:
            for data in entries:
                self._entry(data)
        except EvidenceError as error:
            sequence = self._head.sequence if self._suspect is None else self._suspect
            self._findings.append(Finding(str(error), sequence))
        else:
            self._end()
            self._note_torn("an entry", entries.torn_bytes)
        self._note_torn("a checkpoint", self._signed.torn_bytes)
        return self._report()

    def _entry(self, data: bytes) -> None:
        entry = decode_entry(data)
        self._head = link(self._head, entry, data)
        self._tree.append(self._head.prev)
        self._record(entry)
        size = self._tree.size
        if (self._next and self._next.size <= size) or (self._pinned and self._pinned[0].size <= size):
            self._compare_roots(size)

    def _record(self, entry: Entry) -> None:
        record = entry.record
        if isinstance(record, SessionOpened):
            self._sessions += 1
            self._open.add(record.session)
        elif isinstance(record, SessionClosed):
            self._open.discard(record.session)
        elif isinstance(record, RecordingStored):
            self._recordings.stored(record, entry.sequence)
        elif isinstance(record, RecordingGap):
            self._gap_bytes += record.size_bytes

    def _compare_roots(self, size: int) -> None:
        """Compare the tree with the checkpoints of this size. Raises ``EvidenceError`` when one is of another tree."""
        root, in_log = self._tree.root(), False
        while self._next and self._next.size <= size:
            self._compare(self._next, size, root)
            self._checkpoints += 1
            self._covered = size
            in_log = True
            self._next = self._advance()
        while self._pinned and self._pinned[0].size <= size:
            self._compare(self._pinned.pop(0), size, root)
            self._covered = size
            if not in_log:
                self._findings.append(Finding(f"the pinned checkpoint of {size} entries is not in the checkpoint log"))

    def _compare(self, checkpoint: Checkpoint, size: int, root: bytes) -> None:
        if checkpoint.size != size or checkpoint.root != root:
            self._suspect = min(self._covered, checkpoint.size)
            raise EvidenceError(f"entries {self._covered} to {checkpoint.size - 1} are not those that were signed")

    def _advance(self) -> Checkpoint | None:
        """The next stored checkpoint that speaks of anything; a bad one is a finding and ends them."""
        try:
            for signed in self._upcoming:
                if signed.checkpoint.size:
                    return signed.checkpoint
        except EvidenceError as error:
            self._findings.append(Finding(f"checkpoint {self._checkpoints + 1}: {error}"))
        return None

    def _end(self) -> None:
        """Whatever still speaks of entries finds them missing."""
        missing = [*self._pinned, self._next] if self._next else self._pinned
        for checkpoint in missing:
            problem = f"a checkpoint covers {checkpoint.size} entries, but there are {self._tree.size}"
            self._findings.append(Finding(problem, self._tree.size))

    def _note_torn(self, what: str, size: int) -> None:
        if size:
            self._remarks.append(f"{what} at the end is unfinished ({size} bytes)")

    def _report(self) -> VerificationReport:
        self._recordings.finish()
        behind = self._tree.size - self._covered
        if behind:
            self._remarks.append(f"{count_of(behind, 'entry', 'entries')} behind the newest checkpoint: not signed yet")
        if self._open:
            self._remarks.append(f"{count_of(len(self._open), 'session has', 'sessions have')} no end yet")
        if self._recordings.uncovered:
            sessions = count_of(self._recordings.uncovered, "session has", "sessions have")
            self._remarks.append(f"{sessions} recordings that the ledger does not name (yet)")
        return VerificationReport(
            entries=self._tree.size,
            covered=self._covered,
            checkpoints=self._checkpoints,
            sessions=self._sessions,
            open_sessions=len(self._open),
            chunks=self._recordings.chunks,
            gap_bytes=self._gap_bytes,
            key=str(self._key),
            findings=(*self._findings, *self._recordings.findings),
            remarks=tuple(self._remarks),
        )


def verify_ledger(
    archive: EvidenceArchive, key: VerifierKey | None = None, pinned: Sequence[str] = ()
) -> VerificationReport:
    """Check everything. ``pinned`` are signed notes kept elsewhere: the ledger must still contain what they say.

    Raises ``EvidenceError`` when there is nothing to check, or a pinned note is not of this ledger's key.
    """
    used = key or archive.key()
    report = LedgerCheck(archive, used, [open_checkpoint(note, used) for note in pinned]).run()
    return report if key else msgspec.structs.replace(report, remarks=(*report.remarks, FIRST_USE))


def count_of(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"
