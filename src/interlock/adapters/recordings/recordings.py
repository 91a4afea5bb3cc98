"""Recordings in files: makes a recorder with a fresh key for each session. Implements ``services.ports.Recordings``.

Nothing reaches the disk unencrypted. When chunks cannot be written, no session is opened and no operation sealed
until they can be again.
"""

import secrets
from pathlib import Path

from interlock.adapters.ledger.disk import Disk, SystemDisk
from interlock.adapters.recordings.recorder import FileSessionRecorder, RecordingLimits
from interlock.adapters.recordings.sealing import KEY_BYTES, Sealer, SessionCipher, key_context
from interlock.adapters.recordings.tape import Tape, tape_path
from interlock.adapters.recordings.writer import ChunkWriter, Reel
from interlock.core.errors import InterlockError, LedgerUnavailable
from interlock.core.recording import Frame
from interlock.services.ports import Clock, Ledger

TICK_S = 1.0
"""How often the gateway calls ``tick``: at most this much of a session is only in memory."""


class FileRecordings:
    """A directory of recordings. Use from the event loop's thread; close it before the ledger."""

    def __init__(
        self,
        directory: Path,
        ledger: Ledger,
        sealer: Sealer,
        clock: Clock,
        limits: RecordingLimits | None = None,
        *,
        disk: Disk | None = None,
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.limits = limits or RecordingLimits()
        self.pending: set[FileSessionRecorder] = set()
        self._directory = directory
        self._sealer = sealer
        self._disk = disk or SystemDisk()
        self._writer = ChunkWriter(directory, ledger, self._disk)

    @property
    def fault(self) -> str | None:
        """Why nothing can be recorded at the moment, or None."""
        return self._writer.fault

    def open(self, session_id: str, protocol: str) -> FileSessionRecorder:
        """A recorder with a fresh key. Raises ``LedgerUnavailable`` when recordings cannot be written."""
        if self.fault:
            raise LedgerUnavailable(self.fault)
        try:
            path = tape_path(self._directory, session_id, self.clock.now_s())
            key = secrets.token_bytes(KEY_BYTES)
            wrapped = self._sealer.seal(key, key_context(session_id))
        except (OSError, ValueError, OverflowError, InterlockError) as error:
            raise LedgerUnavailable(f"a recording cannot be opened: {error}") from None
        cipher = SessionCipher(key, session_id)
        return FileSessionRecorder(
            session_id, cipher, wrapped, Reel(session_id, cipher, Tape(path, session_id, self._disk)), self
        )

    def write(self, reel: Reel, frames: list[Frame]) -> None:
        """Take a chunk from a recorder."""
        self._writer.put(reel, frames)

    def tick(self) -> None:
        """Hand over what has gathered in all sessions; call it every ``TICK_S``. Tries the disk again after a fault."""
        for recorder in list(self.pending):
            recorder.cut()
        if self.fault:
            self._writer.probe()

    def drain(self) -> None:
        """Return when everything handed over so far is on disk and noted, or has failed."""
        self._writer.drain()

    def close(self) -> None:
        """Write what has gathered, then stop. Recorders that are still open lose nothing but can take no more."""
        self.tick()
        self._writer.close()
