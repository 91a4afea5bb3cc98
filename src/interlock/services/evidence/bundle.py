"""Evidence bundles of incidents: everything that is on the ledger about one, what the sessions said, and the reports.

    manifest.json           the incident, the public key, a signed checkpoint, the sessions
    entries.jsonl           the incident's entries, each with its inclusion proof; the last one is the bundle's own
    recordings/ID.rec       for each session its encrypted recording, as stored
    report.txt, .json, .html

The last entry says how many entries there are before it and what the reports' digests are, so nothing can be left out,
added or changed without a finding.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final

import msgspec

from interlock.core.chain import Entry, decode_entry
from interlock.core.checkpoint import VerifierKey, open_checkpoint
from interlock.core.errors import EvidenceError
from interlock.core.evidence import Finding, VerificationReport
from interlock.core.incident import Incident
from interlock.core.ledger import (
    IncidentBundled,
    IncidentOpened,
    PolicyActivated,
    RecordingGap,
    RecordingStored,
    SessionClosed,
    SessionOpened,
)
from interlock.core.merkle import leaf_hash
from interlock.services.evidence.archive import EvidenceArchive, PackageReader, PackageWriter
from interlock.services.evidence.package import ENTRIES, MANIFEST, EntryCheck, collect_proofs, packaged_lines
from interlock.services.evidence.verification import FIRST_USE, RecordingCheck, count_of

FORMAT: Final = "interlock-incident-1"
REPORTS: Final = ("report.html", "report.json", "report.txt")
_MAX_MANIFEST_BYTES: Final = 64 << 20
_MAX_LINE_BYTES: Final = 32 << 20
_MAX_REPORT_BYTES: Final = 256 << 20


class BundleManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bundle is."""

    format: str
    incident: str
    key: str
    checkpoint: str
    sessions: tuple[str, ...]


class Contents(msgspec.Struct, frozen=True):
    """What goes into a bundle: sequence numbers of entries with their leaf hashes, sessions, and reports by name."""

    leaves: dict[int, bytes]
    sessions: tuple[str, ...]
    reports: dict[str, bytes]

    def record(self, incident: Incident, by: str) -> IncidentBundled:
        """What the ledger has to say of it, before it is made."""
        reports = tuple((name, hashlib.sha256(data).digest()) for name, data in sorted(self.reports.items()))
        return IncidentBundled(incident.id, by, len(self.leaves), _digest(self.leaves.values()), reports)


def gather(
    entries: Iterable[tuple[bytes, Entry]],
    belongs: Callable[[Entry], bool],
    sessions: Iterable[str],
    reports: dict[str, bytes],
) -> Contents:
    """Pick the entries that belong to an incident, and the policies in force in them, from all that there are."""
    leaves: dict[int, bytes] = {}
    activated: dict[str, tuple[int, bytes]] = {}
    versions: set[str] = set()
    for data, entry in entries:
        if isinstance(record := entry.record, PolicyActivated):
            activated.setdefault(record.version, (entry.sequence, leaf_hash(data)))
        elif belongs(entry):
            leaves[entry.sequence] = leaf_hash(data)
            versions.add(getattr(record, "policy", ""))
    leaves.update(activated[version] for version in versions if version in activated)
    return Contents(dict(sorted(leaves.items())), tuple(sorted(sessions)), reports)


def write_bundle(
    archive: EvidenceArchive, incident: Incident, contents: Contents, record: IncidentBundled, writer: PackageWriter
) -> None:
    """Write a bundle whose ``record`` is on the ledger, below a checkpoint.

    Raises ``EvidenceError`` when it is not, ``OSError`` when writing fails.
    """
    key = archive.key()
    newest = list(archive.checkpoints(key))[-1:]
    if not newest:
        raise EvidenceError("there is no checkpoint yet; try again in a few seconds")
    checkpoint = newest[0].checkpoint
    wanted = [*contents.leaves, _own_entry(archive, record, checkpoint.size)]
    tree = collect_proofs(archive, wanted, (), checkpoint)
    manifest = BundleManifest(FORMAT, incident.id, str(key), newest[0].note, contents.sessions)
    writer.put(MANIFEST, [_manifest_bytes(manifest)])
    writer.put(ENTRIES, packaged_lines(archive, wanted, tree, checkpoint.size))
    for name, data in contents.reports.items():
        writer.put(name, [data])
    for session in contents.sessions:
        recording = archive.recording(session)
        if first := next(recording, b""):
            writer.put(recording_part(session), chain([first], recording))


def recording_part(session: str) -> str:
    """The name of a session's recording in a bundle."""
    return f"recordings/{session}.rec"


def is_bundle(package: PackageReader) -> bool:
    """Whether a package is a bundle, as far as its manifest says. Raises ``EvidenceError`` when there is none."""
    return FORMAT.encode() in package.part(MANIFEST, _MAX_MANIFEST_BYTES)


def verify_bundle(
    package: PackageReader, key: VerifierKey | None = None, pinned: Sequence[str] = ()
) -> VerificationReport:
    """Check a bundle with nothing but a public key. ``pinned`` are signed notes kept elsewhere.

    Raises ``EvidenceError`` when the manifest cannot be read or the checkpoint is not signed with the key.
    """
    manifest = _manifest(package)
    used = key or VerifierKey.parse(manifest.key)
    checkpoint = open_checkpoint(manifest.checkpoint, used)
    report = BundleCheck(package, manifest, EntryCheck(checkpoint)).run()
    findings, remarks = list(report.findings), list(report.remarks)
    for old in (open_checkpoint(note, used) for note in pinned):
        if old.size != checkpoint.size:
            remarks.append(f"the bundle says nothing about the pinned checkpoint of {old.size} entries")
        elif old != checkpoint:
            findings.append(Finding(f"the pinned checkpoint of {old.size} entries is of another ledger"))
    if key is None:
        remarks.append(FIRST_USE)
    elif manifest.key != str(key):
        findings.append(Finding("the bundle names another public key"))
    return msgspec.structs.replace(report, findings=tuple(findings), remarks=tuple(remarks))


class BundleCheck:
    """Checks one bundle."""

    def __init__(self, package: PackageReader, manifest: BundleManifest, check: EntryCheck) -> None:
        self._package = package
        self._manifest = manifest
        self._check = check
        self._recordings = RecordingCheck(package)
        self._leaves = hashlib.sha256()
        self._before = b""
        self._last: IncidentBundled | None = None
        self._opened = False
        self._sessions: set[str] = set()
        self._closed: set[str] = set()
        self._gap_bytes = 0

    def run(self) -> VerificationReport:
        """Check everything; stops at the first bad entry."""
        findings: list[Finding] = []
        try:
            for line in self._package.lines(ENTRIES, _MAX_LINE_BYTES):
                self._entry(line)
            self._end()
        except EvidenceError as error:
            findings.append(Finding(f"behind entry {self._check.last}: {error}"))
        self._recordings.finish()
        uncovered = "recordings go on behind what the ledger names"
        return VerificationReport(
            entries=self._check.entries,
            covered=self._check.covered,
            checkpoints=1,
            sessions=len(self._sessions),
            open_sessions=len(self._sessions - self._closed),
            chunks=self._recordings.chunks,
            gap_bytes=self._gap_bytes,
            key=self._manifest.key,
            findings=(*findings, *self._recordings.findings),
            remarks=(*((uncovered,) if self._recordings.uncovered else ()), *self._remarks()),
        )

    def _entry(self, line: bytes) -> None:
        entry, data = self._check.open(line)
        record = entry.record
        self._leaves.update(self._before)
        self._before = leaf_hash(data)
        self._last = record if isinstance(record, IncidentBundled) else None
        match record:
            case SessionOpened():
                self._sessions.add(record.session)
            case SessionClosed():
                self._closed.add(record.session)
            case RecordingStored():
                self._recordings.stored(record, entry.sequence)
            case RecordingGap():
                self._gap_bytes += record.size_bytes
            case IncidentOpened():
                self._opened = self._opened or record.incident == self._manifest.incident
            case _:
                pass

    def _end(self) -> None:
        """The last entry speaks of all before it. Raises ``EvidenceError``."""
        last = self._last
        if last is None or last.incident != self._manifest.incident or self._check.covered != self._check.entries:
            raise EvidenceError("the bundle's own entry is not the last one, or entries are not signed")
        if (last.entries, last.leaves) != (self._check.entries - 1, self._leaves.digest()):
            raise EvidenceError("entries are missing, or there are others than were bundled")
        if not self._opened or tuple(sorted(self._sessions)) != self._manifest.sessions:
            raise EvidenceError("the incident's beginning or a session is missing")
        self._check_reports(last)

    def _check_reports(self, last: IncidentBundled) -> None:
        if tuple(name for name, _ in last.reports) != REPORTS:
            raise EvidenceError("the reports are others than this version knows")
        for name, digest in last.reports:
            if hashlib.sha256(self._package.part(name, _MAX_REPORT_BYTES)).digest() != digest:
                raise EvidenceError(f"{name} is not the report that was bundled")

    def _remarks(self) -> Iterable[str]:
        if still := len(self._sessions - self._closed):
            yield f"{count_of(still, 'session has', 'sessions have')} no end yet"
        yield "requests and recordings are sealed; they were checked by their digests"


def _own_entry(archive: EvidenceArchive, record: IncidentBundled, size: int) -> int:
    """The number of the entry with the record. Raises ``EvidenceError`` when it is not below the checkpoint."""
    found = -1
    for data in archive.entries():
        if record.leaves in data:
            entry = decode_entry(data)
            found = entry.sequence if entry.record == record else found
    if not 0 <= found < size:
        raise EvidenceError("the bundle's entry is not signed yet; try again in a few seconds")
    return found


def _digest(leaves: Iterable[bytes]) -> bytes:
    return hashlib.sha256(b"".join(leaves)).digest()


def _manifest_bytes(manifest: BundleManifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def _manifest(package: PackageReader) -> BundleManifest:
    data = package.part(MANIFEST, _MAX_MANIFEST_BYTES)
    try:
        manifest = msgspec.json.decode(data, type=BundleManifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"the manifest cannot be read: {error}") from None
    if manifest.format != FORMAT or _manifest_bytes(manifest) != data:
        raise EvidenceError(f"not an incident bundle of format {FORMAT}")
    return manifest
