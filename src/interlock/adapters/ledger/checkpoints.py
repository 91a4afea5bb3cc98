"""The checkpoint log: one signed note after the other in the file ``checkpoints``, each followed by an empty line.

Copies go to everyone who was named, so that the node itself cannot rewrite history unseen. A copy that fails is
counted and logged by its owner; it never stops the ledger.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from interlock.adapters.ledger.disk import Disk, open_append, write_whole
from interlock.core.checkpoint import Checkpoint, Signer, VerifierKey, open_checkpoint, split_notes
from interlock.core.errors import EvidenceError
from interlock.services.evidence.archive import SignedCheckpoint

CheckpointExport = Callable[[Checkpoint, str], None]
"""Given each new checkpoint and its signed note, on the ledger's own thread: it must be quick. What it raises is
counted and dropped."""

_FILE = "checkpoints"
_ERRORS = "surrogateescape"  # Bytes that are not UTF-8 must reach the signature check, which refuses them.
_TAIL_BYTES = 1 << 16
_TEXT_NEWLINES = 4  # of a checkpoint's text with the empty line behind it
_NOTE_END = re.compile("\n\n(?:\u2014 [^\n]+\n)+\n".encode())


def export_to_file(path: Path) -> CheckpointExport:
    """Append each checkpoint to a file elsewhere (another disk, a mounted share)."""

    def append(_: Checkpoint, note: str) -> None:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(note + "\n")

    return append


class CheckpointLog:
    """Appends checkpoints. ``last`` is the newest one. ``failed_exports`` counts copies that did not arrive."""

    def __init__(
        self, directory: Path, origin: str, signer: Signer, disk: Disk, exports: Sequence[CheckpointExport] = ()
    ) -> None:
        self.last: Checkpoint | None = None
        self.failed_exports = 0
        self._origin = origin
        self._signer = signer
        self._disk = disk
        self._exports = exports
        self._path = directory / _FILE
        self._descriptor = open_append(self._path)
        try:
            self._offset = self._resume()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _resume(self) -> int:
        """Find the last checkpoint, cutting one that is not whole. Raises ``EvidenceError`` when it is not ours."""
        size = os.fstat(self._descriptor).st_size
        tail = os.pread(self._descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        ends = [match.end() for match in _NOTE_END.finditer(tail)]
        whole = ends[-1] if ends else 0
        if _is_damaged(tail[whole:]) or (size > _TAIL_BYTES and len(ends) < 2):
            raise EvidenceError("the last checkpoint is damaged")
        if whole:
            note = tail[ends[-2] if len(ends) > 1 else 0 : whole - 1]
            self.last = open_checkpoint(note.decode(errors=_ERRORS), self._signer.verifier_key)
        size -= len(tail) - whole
        self._disk.ftruncate(self._descriptor, size)
        return size

    def add(self, size: int, root: bytes) -> None:
        """Sign and store a checkpoint, durably, then hand out copies. Raises ``OSError``."""
        checkpoint = Checkpoint(self._origin, size, root)
        note = self._signer.sign(checkpoint.text())
        data = f"{note}\n".encode()
        self._disk.ftruncate(self._descriptor, self._offset)
        write_whole(self._disk, self._descriptor, data, self._offset)
        self._disk.fdatasync(self._descriptor)
        self._offset += len(data)
        self.last = checkpoint
        for export in self._exports:
            try:
                export(checkpoint, note)
            except Exception:  # noqa: BLE001 - whatever a foreign sink raises must not stop the ledger
                self.failed_exports += 1

    def close(self) -> None:
        os.close(self._descriptor)


def _is_damaged(rest: bytes) -> bool:
    """Whether what lies behind the last whole note is more than the beginning of one: it goes on to a note's end."""
    return rest.endswith(b"\n\n") and rest.count(b"\n") > _TEXT_NEWLINES


class CheckpointReader:
    """Implements ``services.evidence.archive.CheckpointStream``."""

    def __init__(self, directory: Path, key: VerifierKey) -> None:
        self.torn_bytes = 0
        self._path = directory / _FILE
        self._key = key
        self._size = self._path.stat().st_size if self._path.exists() else 0

    def __iter__(self) -> Iterator[SignedCheckpoint]:
        if not self._size:
            return
        done = 0
        with self._path.open("rb") as file:
            for note in split_notes(self._lines(file)):
                end = done + len(note.encode(errors=_ERRORS)) + 1
                if end > self._size:
                    self.torn_bytes = self._size - done
                    return
                yield SignedCheckpoint(open_checkpoint(note, self._key), note)
                done = end

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        """The file's lines, no further than it reached when the reader was made."""
        left = self._size
        while left > 0 and (line := file.readline(left)):
            left -= len(line)
            yield line.decode(errors=_ERRORS)
