"""Incidents over a ledger and recordings in files, with answers that are easy to write down.

An answer is ``C id,email*|R 1,x|R 2,NULL|D copied``: columns (computed ones with a star), rows, COPY data.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from interlock.adapters.bundle_shelf import BundleShelf
from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.adapters.recordings.recorder import RecordingLimits
from interlock.core.keyed_masks import hasher
from interlock.core.ledger import (
    ActingIdentity,
    IncidentClosed,
    IncidentOpened,
    OperationCompleted,
    OperationDecided,
    SessionClosed,
    SessionOpened,
)
from interlock.core.recording import Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.services.evidence.archive import Transcriber
from interlock.services.incidents.bundling import Bundling
from interlock.services.incidents.reading import IncidentReader
from tests.adapters.evidence import Gateway, PlainSealer, closed, opened, operation, session_id

INCIDENT = "0" * 25 + "a"
_KINDS = {"R": TranscriptKind.ROW, "D": TranscriptKind.DATA, "E": TranscriptKind.ERROR}


class Written:
    """Implements ``SessionTranscriber``: whole answers, one a frame."""

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterator[TranscriptLine]:
        yield TranscriptLine(at_us, number, TranscriptKind.REQUEST, request.text.decode())

    def frame(self, frame: Frame) -> Iterator[TranscriptLine]:
        for line in frame.data.decode(errors="replace").split("|"):
            kind, _, rest = line.partition(" ")
            cells = tuple(None if cell == "NULL" else cell for cell in rest.split(","))
            if kind == "C":
                names = tuple(str(cell).removesuffix("*") for cell in cells)
                stored = tuple(not str(cell).endswith("*") for cell in cells)
                yield TranscriptLine(frame.at_us, frame.number, TranscriptKind.COLUMNS, values=names, stored=stored)
            elif kind == "R":
                yield TranscriptLine(frame.at_us, frame.number, TranscriptKind.ROW, values=cells)
            elif kind in _KINDS:
                yield TranscriptLine(frame.at_us, frame.number, _KINDS[kind], rest)

    def finish(self) -> Iterator[TranscriptLine]:
        return iter(())


class World:
    """A gateway's data, and what reads it."""

    def __init__(
        self, directory: Path, limits: RecordingLimits | None = None, transcriber: Transcriber = Written
    ) -> None:
        self.gateway = Gateway(directory, limits=limits)
        self.gateway.policy()
        self.directory = directory
        self.store = FileEvidenceStore()
        archive = self.store.archive(directory)
        self.reader = IncidentReader(archive, WrappedSessionKeys(PlainSealer()), transcriber, hasher(b"k" * 32))
        self.bundling = Bundling(self.reader, BundleShelf(directory / "bundles"), self.gateway.ledger.checkpoint)
        self._sessions = 0

    def session(
        self,
        *exchanges: tuple[str, str],
        principal: str = "bot",
        owner: str = "ann",
        run: str = "",
        close: bool = True,
        masked_values: int | None = None,
        tag: str = "",
        acting: tuple[ActingIdentity, ...] = (),
        **decided: object,
    ) -> str:
        """A session that asks and is answered; ``decided`` changes the records of its decisions."""
        self._sessions += 1
        session, ledger = session_id(self._sessions), self.gateway.ledger
        recorder = self.gateway.recordings.open(session, "postgres")
        record = opened(session, recorder.wrapped_key, principal=principal)
        self.write(msgspec.structs.replace(record, owner=owner, trace=run, acting=acting))
        for number, (text, answer) in enumerate(exchanges, 1):
            self.gateway.clock.at_s += 1
            asked = operation(number, text.encode())
            self.write(_decided(session, number, recorder.seal(asked), asked.digest(), decided))
            recorder.answer(number, answer.encode())
            rows = answer.count("|R ") + answer.startswith("R ")
            masked = rows * answer.partition("|")[0].count("*") if masked_values is None else masked_values
            completion = tag or f"SELECT {rows}"
            ledger.note(OperationCompleted(session, number, "completed", completion, "", rows, len(answer), masked))
        if close:
            recorder.close()
            self.settle()
            ledger.note(closed(session))
        self.settle()
        return session

    def settle(self) -> None:
        """Everything that was said is in the files."""
        self.gateway.recordings.tick()
        self.gateway.recordings.drain()
        self.gateway.ledger.checkpoint()

    def write(self, record: SessionOpened | OperationDecided | SessionClosed | IncidentOpened | IncidentClosed) -> None:
        self.gateway.ledger.append_now(record)

    def open(self, kind: str = "agent", subject: str = "bot") -> None:
        self.gateway.clock.at_s += 1
        self.write(IncidentOpened(INCIDENT, kind, subject, "it leaks", "rita", "refuse"))

    def close(self) -> None:
        self.gateway.close()


def _decided(session: str, number: int, sealed: bytes, digest: bytes, changes: dict[str, object]) -> OperationDecided:
    record = OperationDecided(
        session=session,
        number=number,
        phase="execute",
        verb="SELECT",
        decision="allowed",
        rules=("read",),
        policy="p1",
        message="",
        accesses=("select on Table public.users",),
        digest=digest,
        sealed=sealed,
    )
    return msgspec.structs.replace(record, **changes)
