"""The file that holds one session's recording: ``<day>/<session>.rec``.

It starts with eight magic bytes and the session's id (26 bytes); then come chunks: length of the ciphertext (four
bytes, big-endian), nonce counter (eight bytes), ciphertext. A chunk's digest in the ledger covers all of these bytes.
"""

import contextlib
import datetime
import os
import struct
from hashlib import sha256
from pathlib import Path
from typing import IO

from interlock.adapters.ledger.disk import Disk, open_append, sync_directory, write_whole
from interlock.adapters.private_file import make_private_directory
from interlock.core.errors import EvidenceError
from interlock.core.session import is_session_id, session_id_time_ms
from interlock.services.evidence.archive import StoredChunk

MAGIC = b"ILKREC01"
MAX_CIPHERTEXT_BYTES = 64 << 20
_CHUNK = struct.Struct(">IQ")


def tape_path(root: Path, session_id: str, started_s: float) -> Path:
    """Where a session that starts now is recorded. Raises ``ValueError`` for what is no session id."""
    if not is_session_id(session_id):
        raise ValueError("not a session id")
    day = datetime.datetime.fromtimestamp(started_s, datetime.UTC).date()
    return root / day.isoformat() / _name(session_id)


def find_tape(root: Path, session_id: str) -> Path | None:
    """The recording of a session; None when there is none. It is looked for on the id's day first, then on all."""
    if not is_session_id(session_id) or not root.is_dir():
        return None
    with contextlib.suppress(ValueError, OverflowError, OSError):
        path = tape_path(root, session_id, session_id_time_ms(session_id) / 1000)
        if path.is_file():
            return path
    candidates = (day / _name(session_id) for day in root.iterdir())
    return next((path for path in candidates if path.is_file()), None)


def _name(session_id: str) -> str:
    return f"{session_id}.rec"


class Tape:
    """Writes one recording. Opened for each burst of chunks, closed in between: idle sessions hold no descriptor."""

    def __init__(self, path: Path, session_id: str, disk: Disk) -> None:
        self._path = path
        self._header = MAGIC + session_id.encode()
        self._disk = disk
        self._descriptor = -1
        self._offset = self._synced = 0

    def append(self, counter: int, ciphertext: bytes) -> tuple[bytes, int]:
        """Write a chunk; return its SHA-256 and size. Raises ``OSError``, then nothing of it is in the file."""
        if self._descriptor < 0:
            self._open()
        stored = _CHUNK.pack(len(ciphertext), counter) + ciphertext
        write_whole(self._disk, self._descriptor, stored, self._offset)
        self._offset += len(stored)
        return sha256(stored).digest(), len(stored)

    def _open(self) -> None:
        if not self._offset:
            make_private_directory(self._path.parent.parent)
            make_private_directory(self._path.parent)
        descriptor = open_append(self._path)
        try:
            self._disk.ftruncate(descriptor, self._offset)
            if not self._offset:
                write_whole(self._disk, descriptor, self._header, 0)
                sync_directory(self._path.parent)
                self._offset = len(self._header)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def sync(self) -> None:
        """Put all chunks on stable storage. Raises ``OSError``, then those since the last sync are gone."""
        try:
            self._disk.fdatasync(self._descriptor)
        except OSError:
            self._offset = self._synced
            raise
        self._synced = self._offset

    def release(self) -> None:
        """Give back the descriptor. The next ``append`` opens the file again, cut to what is known to be good."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_chunk_from(file: IO[bytes], session_id: str, offset: int) -> StoredChunk | None:
    """The chunk that begins at ``offset`` (0: the first one), None when there is no whole one.

    Raises ``EvidenceError`` when the file is not the recording of this session.
    """
    header = MAGIC + session_id.encode()
    if not offset:
        start = file.read(len(header))
        if not header.startswith(start):
            raise EvidenceError("the file is not the recording of this session")
        offset = len(header)
    file.seek(offset)
    prefix = file.read(_CHUNK.size)
    if len(prefix) < _CHUNK.size:
        return None
    length, counter = _CHUNK.unpack(prefix)
    ciphertext = file.read(length) if length <= MAX_CIPHERTEXT_BYTES else b""
    if not length or len(ciphertext) < length:
        return None
    size = len(prefix) + length
    return StoredChunk(counter, ciphertext, sha256(prefix + ciphertext).digest(), size, offset + size)
