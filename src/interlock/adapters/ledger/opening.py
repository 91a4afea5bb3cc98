"""Opens a ledger's directory for writing: one writer, recovered, in the durability asked for.

The directory holds ``segments/``, ``checkpoints``, ``state``, ``key.pub`` and ``lock``.
"""

import contextlib
import enum
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from interlock.adapters.ledger.checkpoints import CheckpointExport, CheckpointLog
from interlock.adapters.ledger.disk import Disk, SystemDisk, replace_file
from interlock.adapters.ledger.journal import Journal
from interlock.adapters.ledger.ledger import FileLedger, LedgerSettings
from interlock.adapters.ledger.recovery import Survey, recovery_records, survey
from interlock.adapters.ledger.segments import segment_path
from interlock.adapters.ledger.standard import StandardLedger
from interlock.adapters.ledger.state import load_state
from interlock.adapters.ledger.strict import StrictLedger
from interlock.adapters.private_file import make_private_directory
from interlock.core.chain import encode_record
from interlock.core.checkpoint import Signer
from interlock.core.errors import EvidenceError, LedgerUnavailable
from interlock.core.ledger import SessionClosed
from interlock.services.ports import Clock

SEGMENTS = "segments"
KEY_FILE = "key.pub"
LOCK_FILE = "lock"


class Durability(enum.Enum):
    """What ``append`` promises when it has accepted a record."""

    STANDARD = "standard"
    STRICT = "strict"


_MODES: dict[Durability, type[FileLedger]] = {Durability.STANDARD: StandardLedger, Durability.STRICT: StrictLedger}


def open_ledger(
    directory: Path,
    signer: Signer,
    clock: Clock,
    durability: Durability = Durability.STANDARD,
    *,
    settings: LedgerSettings | None = None,
    exports: Sequence[CheckpointExport] = (),
    disk: Disk | None = None,
) -> FileLedger:
    """Open or make the ledger in ``directory``; the signer's name is its origin.

    After a crash a torn tail is cut and the recovery and every interrupted session are on record when this returns.
    Raises ``EvidenceError`` for damage, ``LedgerUnavailable`` when another process has it open or the disk fails.
    """
    disk = disk or SystemDisk()
    with contextlib.ExitStack() as undo:
        try:
            make_private_directory(directory)
            make_private_directory(directory / SEGMENTS)
            lock = _lock(directory)
            undo.callback(os.close, lock)
            _pin_key(directory, signer)
            checkpoints = CheckpointLog(directory, signer.verifier_key.name, signer, disk, exports)
            undo.callback(checkpoints.close)
            found = survey(directory / SEGMENTS, load_state(directory), checkpoints.last, signer.verifier_key)
            journal = _journal(directory / SEGMENTS, found, clock, disk)
        except OSError as error:
            raise LedgerUnavailable(f"the ledger cannot be opened: {error.strerror or error}") from None
        undo.pop_all()
    mode = _MODES[durability]
    return mode(directory, lock, journal, found.tree, checkpoints, clock, settings or LedgerSettings())


def _lock(directory: Path) -> int:
    """Be the only writer. Raises ``LedgerUnavailable`` when there is another."""
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LedgerUnavailable("another process has the ledger open") from None
    return descriptor


def _pin_key(directory: Path, signer: Signer) -> None:
    """Keep the public key beside what it signs; a ledger has one key for its life."""
    path = directory / KEY_FILE
    if not path.exists():
        replace_file(path, f"{signer.verifier_key}\n".encode())
    elif path.read_text(encoding="utf-8").strip() != str(signer.verifier_key):
        raise EvidenceError("the ledger was signed with another key than the one configured")


def _journal(segments: Path, found: Survey, clock: Clock, disk: Disk) -> Journal:
    """The writing end, with the records of a recovery already in it and synced."""
    records = list(recovery_records(segments, found))
    path = segment_path(segments, found.segment)
    journal = Journal(path, found.offset, found.head, found.open_sessions, disk)
    try:
        time_ns = int(clock.now_s() * 1e6) * 1000
        journal.write([(time_ns, encode_record(r), r if isinstance(r, SessionClosed) else None) for r in records])
        journal.commit()
        journal.sync()
    except BaseException:
        journal.close()
        raise
    return journal
