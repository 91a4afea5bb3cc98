"""Evidence packages: one session with everything needed to check it offline, and the check itself.

    manifest.json    the session, the public key, a signed checkpoint, and older checkpoints that it provably extends
    entries.jsonl    the session's entries and those that activated its policies, each with its inclusion proof
    recording.rec    the encrypted recording, as stored
    session.key      the session's clear key (base64): only when it was asked for

What a package says counts only as far as the checkpoint's signature and the proofs carry it.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from interlock.core.chain import Entry, decode_entry
from interlock.core.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from interlock.core.errors import EvidenceError
from interlock.core.evidence import Finding, VerificationReport
from interlock.core.ledger import (
    OperationDecided,
    PolicyActivated,
    RecordingGap,
    RecordingStored,
    SessionClosed,
    SessionOpened,
)
from interlock.core.merkle import (
    SubtreeCollector,
    consistency_path,
    inclusion_path,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from interlock.services.evidence.archive import (
    EvidenceArchive,
    PackageReader,
    PackageWriter,
    SessionKeys,
    SessionOpener,
)
from interlock.services.evidence.sessions import session_of
from interlock.services.evidence.verification import FIRST_USE, RecordingCheck, count_of

FORMAT = "interlock-evidence-1"
MANIFEST, ENTRIES, RECORDING, SESSION_KEY = "manifest.json", "entries.jsonl", "recording.rec", "session.key"
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_LINE_BYTES = 32 << 20
_MAX_KEY_BYTES = 256


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An older checkpoint, and the proof that the package's checkpoint extends it."""

    checkpoint: str
    proof: tuple[bytes, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the package is."""

    format: str
    session: str
    key: str
    checkpoint: str
    extends: tuple[Extension, ...] = ()


class PackagedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stored entry and the hashes that prove it; no proof when it was behind the newest checkpoint."""

    entry: bytes
    proof: tuple[bytes, ...] | None


# ---------------------------------------------------------------- making one


def write_package(
    archive: EvidenceArchive,
    session: str,
    writer: PackageWriter,
    *,
    older: Sequence[str] = (),
    session_key: bytes | None = None,
) -> None:
    """Export a session. ``older`` are signed notes that the package shall prove to be extended.

    Reads the ledger three times, in memory that grows with the session only. Raises ``EvidenceError`` when there is no
    such session or no checkpoint, or a note is not of this ledger; ``OSError`` when writing fails.
    """
    key = archive.key()
    newest = list(archive.checkpoints(key))[-1:]
    if not newest:
        raise EvidenceError("there is no checkpoint yet; try again in a few seconds")
    checkpoint = newest[0].checkpoint
    wanted = _wanted(archive, session)
    bases = [(note, open_checkpoint(note, key).size) for note in older]
    tree = collect_proofs(archive, wanted, [size for _, size in bases], checkpoint)
    extends = tuple(Extension(note, tuple(tree.proof(consistency_path(size, checkpoint.size)))) for note, size in bases)
    manifest = Manifest(FORMAT, session, str(key), newest[0].note, extends)
    writer.put(MANIFEST, [msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"])
    writer.put(ENTRIES, packaged_lines(archive, wanted, tree, checkpoint.size))
    recording = archive.recording(session)
    if first := next(recording, b""):
        writer.put(RECORDING, chain([first], recording))
    if session_key is not None:
        writer.put(SESSION_KEY, [base64.b64encode(session_key) + b"\n"])


def _wanted(archive: EvidenceArchive, session: str) -> list[int]:
    """The sequence numbers of the session's entries and of the policies in force for it."""
    needle, own, policies = session.encode(), list[int](), set[str]()
    activated: dict[str, int] = {}
    for data in archive.entries():
        if needle not in data and b"policy.activated" not in data:
            continue
        entry = decode_entry(data)
        record = entry.record
        if isinstance(record, PolicyActivated):
            activated.setdefault(record.version, entry.sequence)
        if session_of(entry) == session:
            own.append(entry.sequence)
            policies.add(getattr(record, "policy", ""))
    if not own:
        raise EvidenceError(f"no session {session!r}")
    return sorted([*own, *(activated[version] for version in policies if version in activated)])


def collect_proofs(
    archive: EvidenceArchive, wanted: Sequence[int], bases: Sequence[int], checkpoint: Checkpoint
) -> SubtreeCollector:
    """Grow the tree up to the checkpoint, keeping the hashes of all proofs.

    Raises ``EvidenceError`` when the ledger is not what the checkpoint signs.
    """
    size = checkpoint.size
    paths = [inclusion_path(index, size) for index in wanted if index < size]
    paths += [consistency_path(base, size) for base in bases if 0 < base <= size]
    tree = SubtreeCollector(chain.from_iterable(paths))
    for data in archive.entries():
        tree.append(leaf_hash(data))
        if tree.size == size:
            break
    if tree.size != size or tree.root() != checkpoint.root:
        raise EvidenceError("the ledger is not what was signed; verify it first")
    return tree


def packaged_lines(
    archive: EvidenceArchive, wanted: Sequence[int], tree: SubtreeCollector, size: int
) -> Iterator[bytes]:
    """The wanted entries, in order, each with its proof where it is below the checkpoint of that size."""
    numbers = iter(wanted)
    number = next(numbers, None)
    for index, data in enumerate(archive.entries()):
        if index == number:
            proof = tuple(tree.proof(inclusion_path(index, size))) if index < size else None
            yield msgspec.json.encode(PackagedEntry(data, proof)) + b"\n"
            number = next(numbers, None)


# ---------------------------------------------------------------- checking one


class EntryCheck:
    """Checks packaged entries against a checkpoint, one line after the other."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.entries = self.covered = 0
        self.last = -1

    def open(self, line: bytes) -> tuple[Entry, bytes]:
        """The entry in a line, and its bytes. Raises ``EvidenceError`` when it is not in the signed ledger."""
        packaged = self._packaged(line)
        entry = decode_entry(packaged.entry)
        if entry.sequence <= self.last:
            raise EvidenceError(f"entry {entry.sequence} is out of order")
        if packaged.proof is not None:
            self._prove(entry.sequence, packaged.entry, packaged.proof)
        elif entry.sequence < self._checkpoint.size:
            raise EvidenceError(f"entry {entry.sequence} has no proof")
        self.last = entry.sequence
        self.entries += 1
        return entry, packaged.entry

    def _packaged(self, line: bytes) -> PackagedEntry:
        try:
            packaged = msgspec.json.decode(line, type=PackagedEntry)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise EvidenceError("a line is not a packaged entry") from None
        if msgspec.json.encode(packaged) + b"\n" != line:
            raise EvidenceError("a line is not in its canonical form")
        return packaged

    def _prove(self, sequence: int, data: bytes, proof: tuple[bytes, ...]) -> None:
        checkpoint = self._checkpoint
        if not verify_inclusion(leaf_hash(data), sequence, checkpoint.size, proof, checkpoint.root):
            raise EvidenceError(f"entry {sequence} is not in the signed ledger")
        self.covered += 1


class PackageCheck:
    """Checks one package. The clear session key, when there is one, also opens every request and chunk."""

    def __init__(self, package: PackageReader, manifest: Manifest, checkpoint: Checkpoint, keys: SessionKeys) -> None:
        self._package = package
        self._manifest = manifest
        self._check = EntryCheck(checkpoint)
        self._opener = _opener(package, manifest.session, keys)
        self._recordings = RecordingCheck(package)
        self._chunks_end = self._gap_bytes = 0
        self._opened = self._closed = False
        self._numbers: set[int] = set()

    def run(self) -> VerificationReport:
        """Check every entry and chunk; stops at the first bad entry."""
        findings: list[Finding] = []
        try:
            for line in self._package.lines(ENTRIES, _MAX_LINE_BYTES):
                self._record(self._check.open(line)[0])
            if not self._opened:
                raise EvidenceError("the session's beginning is missing")
        except EvidenceError as error:
            findings.append(Finding(f"behind entry {self._check.last}: {error}", None, self._manifest.session))
        self._recordings.finish()
        return VerificationReport(
            entries=self._check.entries,
            covered=self._check.covered,
            checkpoints=1 + len(self._manifest.extends),
            sessions=int(self._opened),
            open_sessions=int(self._opened and not self._closed),
            chunks=self._recordings.chunks,
            gap_bytes=self._gap_bytes,
            key=self._manifest.key,
            findings=(*findings, *self._recordings.findings),
            remarks=tuple(self._remarks()),
        )

    def _record(self, entry: Entry) -> None:
        record = entry.record
        if not isinstance(record, PolicyActivated) and session_of(entry) != self._manifest.session:
            raise EvidenceError(f"entry {entry.sequence} belongs to another session")
        if isinstance(record, SessionOpened):
            self._opened = True
        elif isinstance(record, SessionClosed):
            self._closed = True
        elif isinstance(record, RecordingGap):
            self._gap_bytes += record.size_bytes
        elif isinstance(record, RecordingStored):
            self._recordings.stored(record, entry.sequence)
            self._open_chunk()
        elif isinstance(record, OperationDecided):
            self._numbers.add(record.number)
            self._open_request(entry.sequence, record)

    def _open_request(self, sequence: int, decided: OperationDecided) -> None:
        """With the key: what was asked is what was decided on."""
        if self._opener is None:
            return
        request = self._opener.unseal_request(decided.number, decided.sealed)
        if (len(request.text), len(request.parameters)) == (request.text_bytes, request.parameter_bytes):
            asked = request.text_bytes.to_bytes(8, "big") + request.text + request.parameters
            if hashlib.sha256(asked).digest() != decided.digest:
                raise EvidenceError(f"entry {sequence}: the request is not the one that was decided on")

    def _open_chunk(self) -> None:
        """With the key: the chunk can be read."""
        if self._opener is None or self._recordings.findings:
            return
        chunk = self._package.chunk_at(self._manifest.session, self._chunks_end)
        if chunk:
            self._opener.unseal_frames(chunk.counter, chunk.ciphertext)
            self._chunks_end = chunk.end

    def _remarks(self) -> Iterator[str]:
        if behind := self._check.entries - self._check.covered:
            yield f"{count_of(behind, 'entry', 'entries')} behind the checkpoint: not signed yet"
        if self._numbers and (missing := max(self._numbers) - len(self._numbers)):
            yield f"{count_of(missing, 'operation number is', 'operation numbers are')} not among the decisions"
        if self._opened and not self._closed:
            yield "the session has no end yet"
        if self._recordings.uncovered:
            yield "the recording goes on behind what the ledger names"
        if self._opener is None:
            yield "requests and recording are sealed; they were checked by their digests"


def verify_package(
    package: PackageReader, keys: SessionKeys, key: VerifierKey | None = None, pinned: Sequence[str] = ()
) -> VerificationReport:
    """Check a package with nothing but a public key. ``pinned`` are signed notes kept elsewhere.

    Raises ``EvidenceError`` when the manifest cannot be read.
    """
    manifest = _manifest(package)
    used = key or VerifierKey.parse(manifest.key)
    checkpoint = open_checkpoint(manifest.checkpoint, used)
    report = PackageCheck(package, manifest, checkpoint, keys).run()
    findings, remarks = list(report.findings), list(report.remarks)
    known = {checkpoint}
    for extension in manifest.extends:
        old = open_checkpoint(extension.checkpoint, used)
        if not verify_consistency(old.size, checkpoint.size, old.root, checkpoint.root, extension.proof):
            findings.append(Finding(f"the checkpoint does not extend the one of {old.size} entries"))
        known.add(old)
    for note in pinned:
        _compare_pinned(open_checkpoint(note, used), known, findings, remarks)
    if key is None:
        remarks.append(FIRST_USE)
    elif manifest.key != str(key):
        findings.append(Finding("the package names another public key"))
    return msgspec.structs.replace(report, findings=tuple(findings), remarks=tuple(remarks))


def _compare_pinned(pinned: Checkpoint, known: set[Checkpoint], findings: list[Finding], remarks: list[str]) -> None:
    same_size = [checkpoint for checkpoint in known if checkpoint.size == pinned.size]
    if not same_size:
        remarks.append(f"the package says nothing about the pinned checkpoint of {pinned.size} entries")
    elif pinned not in same_size:
        findings.append(Finding(f"the pinned checkpoint of {pinned.size} entries is of another ledger"))


def _manifest(package: PackageReader) -> Manifest:
    data = package.part(MANIFEST, _MAX_MANIFEST_BYTES)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"the manifest cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise EvidenceError(f"not an evidence package of format {FORMAT}")
    return manifest


def _opener(package: PackageReader, session: str, keys: SessionKeys) -> SessionOpener | None:
    if not package.has(SESSION_KEY):
        return None
    text = package.part(SESSION_KEY, _MAX_KEY_BYTES).strip()
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise EvidenceError("the session key cannot be read") from None
    if base64.b64encode(key) != text:  # the last character has bits that decode to nothing
        raise EvidenceError("the session key was changed")
    return keys.opener(session, key)
