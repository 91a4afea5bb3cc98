"""What reading evidence needs from the outside: stored entries, checkpoints, recordings, keys, and a way to show them.

Reading is plain iteration: it waits for files, not for peers. On an event loop, run it in a worker thread.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from interlock.core.checkpoint import Checkpoint, VerifierKey
from interlock.core.exchange import RecordedExchange
from interlock.core.recording import Frame, SealedRequest, TranscriptLine
from interlock.core.terminal_event import TerminalEvent


class SignedCheckpoint(msgspec.Struct, frozen=True):
    """A verified checkpoint and the note it came in."""

    checkpoint: Checkpoint
    note: str


class StoredChunk(msgspec.Struct, frozen=True):
    """One chunk of a recording as it is kept; ``sha256`` and ``size_bytes`` are over all its stored bytes.

    ``end`` is where the next chunk begins.
    """

    counter: int
    ciphertext: bytes
    sha256: bytes
    size_bytes: int
    end: int


class EntryStream(Protocol):
    """Entries in order, as stored bytes.

    Iterating raises ``EvidenceError`` at damage, naming the place. ``torn_bytes`` is the size of an unfinished last
    entry: one that is being written, or was when the gateway ended.
    """

    torn_bytes: int

    def __iter__(self) -> Iterator[bytes]: ...


class CheckpointStream(Protocol):
    """Verified checkpoints, oldest first, as far as they were there when the stream was made.

    Iterating raises ``EvidenceError`` at one that is not authentic. ``torn_bytes`` is the size of a last one that is
    unfinished.
    """

    torn_bytes: int

    def __iter__(self) -> Iterator[SignedCheckpoint]: ...


class ChunkSource(Protocol):
    """Where the chunks of recordings are."""

    def chunk_at(self, session_id: str, offset: int) -> StoredChunk | None:
        """The chunk of a session's recording that begins at ``offset`` (0: the first one).

        None when there is no whole chunk. Raises ``EvidenceError`` when the file is another session's.
        """

    def recording_bytes(self, session_id: str) -> int:
        """How long a session's recording is as stored, 0 when there is none."""


class EvidenceArchive(ChunkSource, Protocol):
    """Where evidence is read from; a gateway may be writing to it at the same time."""

    def key(self) -> VerifierKey:
        """The public key kept beside the evidence: to be trusted only on first use. Raises ``EvidenceError``."""

    def entries(self) -> EntryStream:
        """All entries of the ledger."""

    def checkpoints(self, key: VerifierKey) -> CheckpointStream:
        """All checkpoints of the ledger."""

    def recording(self, session_id: str) -> Iterator[bytes]:
        """A session's whole recording as stored, in pieces; none when there is none."""


class SessionOpener(Protocol):
    """Opens what was encrypted with one session's key. Both raise ``EvidenceError`` for what is not authentic."""

    def unseal_request(self, number: int, sealed: bytes) -> SealedRequest:
        """The request in ``OperationDecided.sealed``."""

    def unseal_frames(self, counter: int, ciphertext: bytes) -> list[Frame]:
        """The frames of a chunk."""


class SessionKeys(Protocol):
    """Session keys, as kept wrapped in ``SessionOpened``."""

    def reveal(self, session_id: str, wrapped_key: bytes) -> bytes:
        """The clear key. Raises ``InterlockError`` when the gateway's key is missing or another."""

    def opener(self, session_id: str, key: bytes) -> SessionOpener:
        """What opens the session's evidence with its clear key. Raises ``EvidenceError`` for what is no key."""


class PackageReader(ChunkSource, Protocol):
    """An evidence package: the named parts of an export. Everything raises ``EvidenceError`` for what is not there."""

    def part(self, name: str, max_bytes: int) -> bytes:
        """A part that is small."""

    def lines(self, name: str, max_bytes: int) -> Iterator[bytes]:
        """A part's lines, each no longer than ``max_bytes``."""

    def has(self, name: str) -> bool:
        """Whether there is such a part."""


class PackageWriter(Protocol):
    """Makes an evidence package."""

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Add a part. Raises ``OSError``."""


class EvidenceStore(Protocol):
    """Evidence by its place in the file system."""

    def is_package(self, path: Path) -> bool:
        """Whether this is an evidence package (and not a gateway's data)."""

    def reader(self, path: Path) -> AbstractContextManager[PackageReader]:
        """Opens a package. Raises ``EvidenceError`` when there is none."""

    def writer(self, path: Path) -> AbstractContextManager[PackageWriter]:
        """Begins a package: a tar archive when the name ends in ``.tar``, else a directory. Raises ``OSError``."""

    def archive(self, path: Path) -> EvidenceArchive:
        """A gateway's data directory, or the ledger in it. Raises ``EvidenceError`` when there is none."""


class SessionTranscriber(Protocol):
    """Turns what one session said into lines for people; frames come in order, cut anywhere."""

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterable[TranscriptLine]:
        """The lines of a request."""

    def frame(self, frame: Frame) -> Iterable[TranscriptLine]:
        """The lines that this frame completes."""

    def finish(self) -> Iterable[TranscriptLine]:
        """What is left at the end."""


class ExchangeReader(Protocol):
    """Turns what one session said into whole exchanges; requests and frames come in order, frames cut anywhere."""

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterable[RecordedExchange]:
        """The exchanges that were over before this request; a request that is decided again comes again."""

    def frame(self, frame: Frame) -> None:
        """Take what was said."""

    def finish(self) -> Iterable[RecordedExchange]:
        """The exchanges that are left at the end."""


@runtime_checkable
class ExchangeTranscriber(SessionTranscriber, Protocol):
    """A transcriber of a protocol that is made of exchanges."""

    def new_exchanges(self) -> ExchangeReader:
        """A reader for the same session."""


@runtime_checkable
class StreamTranscriber(SessionTranscriber, Protocol):
    """A transcriber of a protocol whose operations have several streams, marked in their frames."""

    def stream(self, frame: Frame) -> tuple[str, bytes]:
        """The name of the stream that a frame is of, and what it says there."""


class TerminalReader(Protocol):
    """Turns what one session said into events of terminals; requests and frames come in order, frames cut anywhere."""

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterable[TerminalEvent]:
        """What was asked for."""

    def frame(self, frame: Frame) -> Iterable[TerminalEvent]:
        """What this frame says."""


@runtime_checkable
class TerminalTranscriber(SessionTranscriber, Protocol):
    """A transcriber of a protocol whose sessions are looked at on a terminal."""

    def new_terminal(self) -> TerminalReader:
        """A reader for the same session."""


class Transcriber(Protocol):
    """Makes a transcriber for a protocol."""

    def __call__(self, protocol: str) -> SessionTranscriber: ...
