"""Builders for tests of evidence: a clock that is set by hand, a sealer, records, and a small gateway's data."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.adapters.ledger.disk import Disk, SystemDisk
from interlock.adapters.ledger.ledger import FileLedger, LedgerSettings
from interlock.adapters.ledger.opening import Durability, open_ledger
from interlock.adapters.recordings.recorder import RecordingLimits
from interlock.adapters.recordings.recordings import FileRecordings
from interlock.core.checkpoint import Signer
from interlock.core.errors import CredentialUnavailable
from interlock.core.ledger import (
    ActingIdentity,
    OperationCompleted,
    OperationDecided,
    PolicyActivated,
    SessionClosed,
    SessionOpened,
)
from interlock.core.operation import Meaning, Operation
from interlock.core.session import new_session_id

START_S = 1_900_000_000.0
SIGNER = Signer("interlock/test", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
QUIET = LedgerSettings(tick_s=3600.0)
"""Settings with which the keeper does nothing by itself."""


class SetClock:
    """Time that passes only by hand; ``broken`` makes it fail."""

    def __init__(self) -> None:
        self.at_s = START_S
        self.broken = False

    def now_s(self) -> float:
        if self.broken:
            raise OSError("no clock")
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


class PlainSealer:
    """Binds to the context, but hides nothing."""

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        return context + b"|" + plaintext

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        if not sealed.startswith(context + b"|"):
            raise CredentialUnavailable("sealed for something else")
        return sealed[len(context) + 1 :]


class FlakyDisk(SystemDisk):
    """A disk that fails on demand: ``room`` is what still fits, ``fail_sync`` breaks syncing, ``fail_cut`` cutting."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.fail_sync = False
        self.fail_cut = False
        self.synced: dict[str, int] = {}

    def write(self, descriptor: int, data: bytes, /) -> int:  # type: ignore[override]
        if self.room is None:
            return os.write(descriptor, data)
        taken = data[: self.room]
        if not taken:
            raise OSError(28, "No space left on device")
        self.room -= len(taken)
        return os.write(descriptor, taken)

    def fdatasync(self, descriptor: int, /) -> None:  # type: ignore[override]
        if self.fail_sync:
            raise OSError(5, "Input/output error")
        os.fdatasync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.synced[str(path)] = os.fstat(descriptor).st_size

    def ftruncate(self, descriptor: int, length: int, /) -> None:
        if self.fail_cut:
            raise OSError(5, "Input/output error")
        os.ftruncate(descriptor, length)


def session_id(number: int = 0) -> str:
    return new_session_id(int(START_S * 1e9) + number * 1_000_000, bytes([number % 256]) * 10)


def opened(session: str, wrapped_key: bytes = b"", *, principal: str = "reporter") -> SessionOpened:
    return SessionOpened(
        session=session,
        protocol="postgres",
        connection="orders",
        database="shop",
        principal_kind="Agent",
        principal=principal,
        groups=("readers",),
        owner="ann",
        issuer="https://issuer.example",
        subject="repo:acme/report",
        token_id="t-1",
        claims=(("run", "77"),),
        client_address="127.0.0.1:5555",
        application="report",
        trace="",
        policy="p1",
        rules=("connect",),
        wrapped_key=wrapped_key,
    )


CRM = ActingIdentity(
    kind="Agent",
    name="ci:acme/crm",
    groups=("crm-agents",),
    owner="lee",
    issuer="https://ci.example",
    subject="repo:acme/crm",
    token_id="t-crm",
    login="",
    ancestors=(),
)
"""An agent that acts for somebody."""


def decided(
    session: str, number: int = 1, sealed: bytes = b"", *, decision: str = "allowed", digest: bytes = b"d" * 32
) -> OperationDecided:
    message = "" if decision == "allowed" else "no rule permits it"
    accesses = ("select on shop.public.users",)
    return OperationDecided(
        session, number, "execute", "SELECT", decision, ("read",), "p1", message, accesses, digest, sealed
    )


def completed(session: str, number: int = 1, rows: int = 2) -> OperationCompleted:
    return OperationCompleted(session, number, "completed", f"SELECT {rows}", "", rows, 100)


def closed(session: str) -> SessionClosed:
    return SessionClosed(session, "closed", "", 1, 0, 2, 10, 100)


def operation(number: int, text: bytes, parameters: bytes = b"") -> Operation:
    return Operation(number, Meaning("SELECT", ()), text, parameters)


class Gateway:
    """A ledger and recordings in one directory, with a few words for what a session does."""

    def __init__(
        self,
        directory: Path,
        durability: Durability = Durability.STANDARD,
        *,
        settings: LedgerSettings = QUIET,
        disk: Disk | None = None,
        limits: RecordingLimits | None = None,
    ) -> None:
        self.clock = SetClock()
        self.directory = directory
        self.ledger: FileLedger = open_ledger(
            directory / "ledger", SIGNER, self.clock, durability, settings=settings, disk=disk
        )
        self.recordings = FileRecordings(
            directory / "recordings", self.ledger, PlainSealer(), self.clock, limits, disk=disk
        )

    def policy(self) -> None:
        self.ledger.append_now(PolicyActivated("p1", "permit (principal, action, resource);", "start"))

    def session(self, number: int, exchanges: list[tuple[bytes, bytes]], *, close: bool = True) -> str:
        """A session with requests and their answers."""
        session = session_id(number)
        recorder = self.recordings.open(session, "postgres")
        self.ledger.append_now(opened(session, recorder.wrapped_key))
        for place, (text, answer) in enumerate(exchanges, start=1):
            self.clock.at_s += 0.25
            asked = operation(place, text)
            self.ledger.append_now(decided(session, place, recorder.seal(asked), digest=asked.digest()))
            self.clock.at_s += 0.25
            recorder.answer(place, answer)
            recorder.ended(place)
            self.ledger.note(completed(session, place))
        if close:
            recorder.close()
            self.ledger.note(closed(session))
        return session

    def close(self) -> None:
        self.recordings.close()
        self.ledger.close()


def files_of(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def cut_power(source: Path, target: Path, disk: FlakyDisk) -> None:
    """What is left of a directory when everything that was not synced is gone."""
    shutil.copytree(source, target)
    for path in [path for path in source.rglob("*") if path.is_file()]:
        if path.suffix in (".seg", ".rec") or path.name == "checkpoints":
            copy = target / path.relative_to(source)
            copy.write_bytes(path.read_bytes()[: disk.synced.get(str(path), 0)])
