"""What a start does before the ledger takes records: check what is there from the last checkpoint on.

A torn tail (a crash in the middle of a write) is cut. Anything else that is wrong is damage or tampering, raises
``EvidenceError`` and is left as it is: evidence is never repaired in silence.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from interlock.adapters.ledger.checkpoints import CheckpointReader
from interlock.adapters.ledger.journal import mark_session
from interlock.adapters.ledger.segments import Damage, Defect, SegmentReader, first_sequence, list_segments
from interlock.adapters.ledger.state import LedgerState
from interlock.core.chain import Entry, Head, decode_entry, link
from interlock.core.checkpoint import Checkpoint, VerifierKey
from interlock.core.errors import EvidenceError
from interlock.core.ledger import AnyRecord, LedgerRecovered, OperationCompleted, OperationDecided, SessionClosed
from interlock.core.merkle import Frontier

STOPPED = "the gateway did not stop in order"


class Survey(msgspec.Struct):
    """What was found: the end of the chain, the tree over it, and what a crash has left behind."""

    head: Head
    tree: Frontier
    segment: int
    offset: int
    open_sessions: dict[str, int]
    clean: bool
    cut_bytes: int = 0


def survey(segments: Path, state: LedgerState | None, last: Checkpoint | None, key: VerifierKey) -> Survey:
    """Check the entries behind the last trustworthy state. Raises ``EvidenceError`` at anything but a torn tail."""
    found = _starting_point(segments, state, last, key)
    paths = [path for path in list_segments(segments) if first_sequence(path) >= found.segment]
    if (paths and first_sequence(paths[0]) != found.segment) or (not paths and (found.head.sequence or last)):
        raise EvidenceError("segments of the ledger are missing")
    start = found.offset
    for path in paths:
        _check_segment(path, start, found, last, torn_allowed=path == paths[-1])
        start = 0
    if last and found.head.sequence < last.size:
        raise EvidenceError(f"a checkpoint covers {last.size} entries, but the ledger has {found.head.sequence}")
    unchanged = state is not None and found.head.sequence == state.size and not found.cut_bytes
    found.clean = found.clean and (unchanged or not paths)
    return found


def _starting_point(directory: Path, state: LedgerState | None, last: Checkpoint | None, key: VerifierKey) -> Survey:
    """The stored state when a signed checkpoint bears it out, else the beginning."""
    if state and last and _borne_out(directory.parent, state, last, key):
        tree = Frontier(state.size, state.hashes)
        head = Head(state.size, state.prev)
        return Survey(head, tree, state.segment, state.offset, dict(state.open_sessions), state.clean)
    return Survey(Head(), Frontier(), 0, 0, {}, not list_segments(directory))


def _borne_out(directory: Path, state: LedgerState, last: Checkpoint, key: VerifierKey) -> bool:
    try:
        root = Frontier(state.size, state.hashes).root()
    except ValueError:
        return False
    if state.size == last.size:
        return root == last.root
    wanted = Checkpoint(last.origin, state.size, root)
    return any(signed.checkpoint == wanted for signed in CheckpointReader(directory, key))


def _check_segment(path: Path, start: int, found: Survey, last: Checkpoint | None, *, torn_allowed: bool) -> None:
    """Walk one segment and move ``found`` to its end."""
    if start == 0 and first_sequence(path) != found.head.sequence:
        raise EvidenceError(f"entry {found.head.sequence} is missing before segment {path.name}")
    reader = SegmentReader(path, start)
    for stored in reader:
        entry = decode_entry(stored.data)
        found.head = link(found.head, entry, stored.data)
        found.tree.append(found.head.prev)
        mark_session(found.open_sessions, entry.sequence, entry.record)
        if last and found.tree.size == last.size and found.tree.root() != last.root:
            raise EvidenceError(f"the entries up to {last.size - 1} are not those that were signed")
    found.segment, found.offset = first_sequence(path), reader.end
    if reader.damage:
        if not torn_allowed or reader.damage.defect is not Defect.TORN:
            raise EvidenceError(_describe(path, reader.damage))
        found.cut_bytes = reader.damage.size_bytes


def _describe(path: Path, damage: Damage) -> str:
    return f"segment {path.name} at byte {damage.offset}: {damage.defect.value}"


def recovery_records(segments: Path, found: Survey) -> Iterator[AnyRecord]:
    """The records that say what a crash did: one for the ledger, one for each session that was open."""
    if found.clean:
        return
    reason = "a torn entry was cut" if found.cut_bytes else STOPPED
    yield LedgerRecovered(found.cut_bytes, found.head.sequence - 1, reason)
    tallies = {session: _Tally() for session in found.open_sessions}
    for entry in _entries_from(segments, min(found.open_sessions.values(), default=found.head.sequence), found):
        if isinstance(entry.record, OperationDecided | OperationCompleted) and entry.record.session in tallies:
            tallies[entry.record.session].count(entry.record)
    for session, tally in tallies.items():
        yield SessionClosed(session, "interrupted", STOPPED, tally.operations, tally.denied, tally.rows, 0, 0)


class _Tally:
    """What is known of an interrupted session from its entries."""

    def __init__(self) -> None:
        self.operations = self.denied = self.rows = 0

    def count(self, record: OperationDecided | OperationCompleted) -> None:
        if isinstance(record, OperationCompleted):
            self.rows += record.rows
        else:
            self.operations = max(self.operations, record.number)
            self.denied += record.decision == "denied"


def _entries_from(segments: Path, sequence: int, found: Survey) -> Iterator[Entry]:
    """The entries from about ``sequence`` on (from the beginning of its segment)."""
    paths = list_segments(segments)
    for number, path in enumerate(paths):
        if number + 1 < len(paths) and first_sequence(paths[number + 1]) <= sequence:
            continue
        if sequence >= found.head.sequence:
            return
        for stored in SegmentReader(path):
            yield decode_entry(stored.data)
