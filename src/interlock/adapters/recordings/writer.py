"""The thread that compresses, encrypts and writes chunks, and names them on the ledger once they are on the disk.

Chunks gather while one sync runs; then all files they went to are synced and the ledger gets one ``RecordingStored``
for each chunk. So the ledger never names a chunk that a power cut can still take. The queue is bounded: when it is full
the caller waits, which slows the session down instead of filling memory.
"""

import os
import queue
import threading
from pathlib import Path

import zstandard

from interlock.adapters.ledger.disk import Disk, open_append, write_whole
from interlock.adapters.private_file import make_private_directory
from interlock.adapters.recordings.gaps import lost_chunk
from interlock.adapters.recordings.sealing import SessionCipher
from interlock.adapters.recordings.tape import Tape
from interlock.core.errors import LedgerUnavailable
from interlock.core.ledger import AnyRecord, RecordingStored
from interlock.core.recording import Frame
from interlock.services.ports import Ledger

QUEUE_CHUNKS = 64
PROBE_BYTES = 64 << 10
_ZSTD_LEVEL = 3


class Reel:
    """What the writer keeps of one session."""

    def __init__(self, session: str, cipher: SessionCipher, tape: Tape) -> None:
        self.session = session
        self.cipher = cipher
        self.tape = tape
        self.chunks = 0
        self.sealed = 0
        self.unsynced: list[tuple[RecordingStored, list[Frame]]] = []


class _Probe:
    """A job that only finds out whether the disk takes data."""


Job = tuple[Reel, list[Frame]]


class ChunkWriter:
    """Owns the thread. ``fault`` says why chunks cannot be kept at the moment, None when all is well."""

    def __init__(self, directory: Path, ledger: Ledger, disk: Disk) -> None:
        self.fault: str | None = None
        self._directory = directory
        self._ledger = ledger
        self._disk = disk
        self._queue: queue.Queue[Job | _Probe | None] = queue.Queue(QUEUE_CHUNKS)
        self._compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        self._dirty: dict[Reel, None] = {}
        self._unnoted: list[AnyRecord] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
        self._thread.start()

    def put(self, reel: Reel, frames: list[Frame]) -> None:
        """Take a chunk; waits while too many are under way."""
        if self._stopped:
            raise LedgerUnavailable("recordings are closed")
        self._queue.put((reel, frames))

    def probe(self) -> None:
        """Find out whether a fault is over."""
        if not self._stopped:
            self._queue.put(_Probe())

    def drain(self) -> None:
        """Return when everything taken so far is on disk and noted, or has failed."""
        self._queue.join()

    def close(self) -> None:
        """Write everything, then stop."""
        if not self._stopped:
            self._stopped = True
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._round():
                pass
        except BaseException as error:  # noqa: BLE001 - without its writer nothing may be recorded or forwarded
            self.fault, self._stopped = f"the recording writer stopped: {type(error).__name__}", True
            while True:
                self._queue.get()
                self._queue.task_done()

    def _round(self) -> bool:
        """Write what is queued, up to one queue's length, then sync. False at the end."""
        jobs = [self._queue.get()]
        while len(jobs) < QUEUE_CHUNKS and jobs[-1] is not None:
            try:
                jobs.append(self._queue.get_nowait())
            except queue.Empty:
                break
        failures = [self._write(job) for job in jobs if job is not None]
        failures += [self._sync(reel) for reel in self._dirty]
        self._dirty.clear()
        failures.append(self._note())
        self.fault = next((failure for failure in failures if failure), None)
        for _ in jobs:
            self._queue.task_done()
        return jobs[-1] is not None

    def _write(self, job: Job | _Probe) -> str | None:
        if isinstance(job, _Probe):
            return self._try_disk()
        reel, frames = job
        counter, reel.sealed = reel.sealed, reel.sealed + 1
        try:
            digest, size = reel.tape.append(counter, reel.cipher.seal_frames(counter, frames, self._compressor))
        except OSError as error:
            self._unnoted.append(lost_chunk(reel.session, reel.cipher, frames))
            return f"a recording cannot be written: {error.strerror}"
        stored = RecordingStored(reel.session, reel.chunks, digest, len(frames), size)
        reel.chunks += 1
        reel.unsynced.append((stored, frames))
        self._dirty[reel] = None
        return None

    def _try_disk(self) -> str | None:
        path = self._directory / "probe"
        try:
            make_private_directory(self._directory)
            descriptor = open_append(path)
            try:
                write_whole(self._disk, descriptor, bytes(PROBE_BYTES), 0)
                self._disk.fdatasync(descriptor)
            finally:
                os.close(descriptor)
                path.unlink()
        except OSError as error:
            return f"a recording cannot be written: {error.strerror}"
        return None

    def _sync(self, reel: Reel) -> str | None:
        chunks, reel.unsynced = reel.unsynced, []
        try:
            reel.tape.sync()
        except OSError as error:
            reel.chunks -= len(chunks)
            self._unnoted += [lost_chunk(reel.session, reel.cipher, frames) for _, frames in chunks]
            return f"a recording cannot be synced: {error.strerror}"
        finally:
            reel.tape.release()
        self._unnoted += [stored for stored, _ in chunks]
        return None

    def _note(self) -> str | None:
        for done, record in enumerate(self._unnoted):
            try:
                self._ledger.note(record)
            except LedgerUnavailable as error:
                del self._unnoted[:done]
                return str(error)
        self._unnoted.clear()
        return None
