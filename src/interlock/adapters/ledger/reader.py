"""Reads a ledger's directory and its recordings, beside a gateway that may be writing them. Changes nothing."""

import time
from collections.abc import Iterator
from pathlib import Path

from interlock.adapters.ledger.checkpoints import CheckpointReader
from interlock.adapters.ledger.opening import KEY_FILE, SEGMENTS
from interlock.adapters.ledger.segments import Defect, SegmentReader, first_sequence, list_segments
from interlock.adapters.recordings.tape import find_tape, read_chunk_from
from interlock.core.administration.evidence import READING_S
from interlock.core.checkpoint import VerifierKey
from interlock.core.errors import EvidenceError
from interlock.services.evidence.archive import StoredChunk

_PIECE_BYTES = 1 << 20
_STRIDE = 64
_PAUSE_S = 0.0002
"""After so many entries a paced stream pauses for so long."""


class SegmentStream:
    """Implements ``services.evidence.archive.EntryStream`` over all segments that there are when it is made."""

    def __init__(self, directory: Path) -> None:
        self.torn_bytes = 0
        self._paths = list_segments(directory)

    def __iter__(self) -> Iterator[bytes]:
        count = 0
        for path in self._paths:
            if first_sequence(path) != count:
                raise EvidenceError(f"entry {count} is missing before segment {path.name}")
            reader = SegmentReader(path)
            for stored in reader:
                yield stored.data
                count += 1
            if reader.damage:
                if path != self._paths[-1] or reader.damage.defect is not Defect.TORN:
                    where = f"segment {path.name} at byte {reader.damage.offset}"
                    raise EvidenceError(f"entry {count}: {where}: {reader.damage.defect.value}")
                self.torn_bytes = reader.damage.size_bytes


class PacedStream(SegmentStream):
    """The same beside a running gateway: it leaves the interpreter to the event loop's thread, and gives up in time."""

    def __iter__(self) -> Iterator[bytes]:
        end_s = time.monotonic() + READING_S
        for count, data in enumerate(super().__iter__()):
            if count % _STRIDE == 0:
                time.sleep(_PAUSE_S)
                if time.monotonic() > end_s:
                    raise EvidenceError(f"reading took longer than {READING_S:g} s; narrow down what is wanted")
            yield data


class FileArchive:
    """Implements ``services.evidence.archive.EvidenceArchive``."""

    def __init__(self, ledger_directory: Path, recordings_directory: Path) -> None:
        self._ledger = ledger_directory
        self._recordings = recordings_directory

    def key(self) -> VerifierKey:
        try:
            return VerifierKey.parse((self._ledger / KEY_FILE).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            raise EvidenceError("there is no ledger here: its public key cannot be read") from None

    def entries(self) -> SegmentStream:
        return SegmentStream(self._ledger / SEGMENTS)

    def checkpoints(self, key: VerifierKey) -> CheckpointReader:
        return CheckpointReader(self._ledger, key)

    def chunk_at(self, session_id: str, offset: int) -> StoredChunk | None:
        path = find_tape(self._recordings, session_id)
        if path is None:
            return None
        with path.open("rb") as file:
            return read_chunk_from(file, session_id, offset)

    def recording_bytes(self, session_id: str) -> int:
        path = find_tape(self._recordings, session_id)
        return path.stat().st_size if path else 0

    def recording(self, session_id: str) -> Iterator[bytes]:
        if path := find_tape(self._recordings, session_id):
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece


class PacedArchive(FileArchive):
    """The evidence of the gateway that runs in this process, for worker threads."""

    def entries(self) -> PacedStream:
        return PacedStream(self._ledger / SEGMENTS)
