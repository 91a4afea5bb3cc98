"""Evidence packages: complete, checkable offline, and every change is found."""

import base64
import random
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.adapters.evidence import SIGNER, Gateway, PlainSealer, decided, session_id

from interlock.adapters.evidence_files import FileEvidenceStore, FilePackageWriter
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.core.chain import decode_entry
from interlock.core.errors import EvidenceError
from interlock.core.ledger import PolicyActivated
from interlock.services.evidence import EvidenceService, EvidenceVerifier, VerificationReport
from interlock.services.evidence.package import ENTRIES, MANIFEST, RECORDING, SESSION_KEY, Manifest

KEY = SIGNER.verifier_key
STORE = FileEvidenceStore()
OFFLINE = WrappedSessionKeys(None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    gateway = Gateway(directory)
    gateway.policy()
    gateway.session(1, [(b"select 1", b"answer one")])
    gateway.ledger.checkpoint()
    gateway.session(2, [(b"select 2", b"answer two"), (b"select 3", b"answer three")])
    gateway.session(3, [(b"select 4", b"answer four")])
    gateway.close()
    return directory


@pytest.fixture(scope="module")
def service(data: Path) -> EvidenceService:
    def no_transcriber(protocol: str) -> None:
        raise AssertionError(protocol)

    return EvidenceService(STORE.archive(data), WrappedSessionKeys(PlainSealer()), no_transcriber, STORE)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def notes(data: Path) -> list[str]:
    return [signed.note for signed in STORE.archive(data).checkpoints(KEY)]


def verify(path: Path, *pinned: str) -> VerificationReport:
    return EvidenceVerifier(STORE, OFFLINE).verify(path, KEY, pinned)


@pytest.mark.parametrize("name", ["package", "package.tar"])
@pytest.mark.parametrize("with_key", [False, True])
def test_a_package_is_complete_and_good(service: EvidenceService, tmp_path: Path, name: str, with_key: bool) -> None:
    service.export(session_id(2), tmp_path / name, with_key=with_key)
    report = verify(tmp_path / name)
    assert report.findings == ()
    assert (report.sessions, report.open_sessions, report.chunks) == (1, 0, 1)
    assert report.entries == report.covered == 8
    sealed = "requests and recording are sealed; they were checked by their digests"
    assert report.remarks == (() if with_key else (sealed,))
    with STORE.reader(tmp_path / name) as package:
        lines = [msgspec.json.decode(line) for line in package.lines(ENTRIES, 1 << 20)]
        assert package.has(SESSION_KEY) == with_key
    first = decode_entry(base64.b64decode(lines[0]["entry"])).record
    assert isinstance(first, PolicyActivated)
    assert first.text == "permit (principal, action, resource);"


def test_an_older_checkpoint_is_proved_extended(service: EvidenceService, notes: list[str], tmp_path: Path) -> None:
    service.export(session_id(2), tmp_path / "package", older=notes[:1])
    report = verify(tmp_path / "package", *notes)
    assert report.ok
    assert report.checkpoints == 2
    assert not any("says nothing" in remark for remark in report.remarks)
    service.export(session_id(2), tmp_path / "without")
    assert any("says nothing" in remark for remark in verify(tmp_path / "without", *notes).remarks)


def test_a_pinned_checkpoint_of_another_ledger_is_found(
    service: EvidenceService, notes: list[str], tmp_path: Path
) -> None:
    service.export(session_id(2), tmp_path / "package")
    other = Gateway(tmp_path / "other")
    for _ in range(int(notes[-1].split("\n")[1])):
        other.ledger.append(decided(session_id(5)))
    other.ledger.checkpoint()
    forged = [signed.note for signed in STORE.archive(tmp_path / "other").checkpoints(KEY)][-1]
    other.close()
    assert forged.split("\n")[1] == notes[-1].split("\n")[1]
    assert not verify(tmp_path / "package", forged).ok


@pytest.mark.parametrize("with_key", [False, True])
def test_every_change_to_a_package_is_found(service: EvidenceService, tmp_path: Path, with_key: bool) -> None:
    chooser = random.Random(3)
    package = tmp_path / "package"
    service.export(session_id(2), package, with_key=with_key)
    for path in sorted(package.iterdir()):
        original = path.read_bytes()
        places = range(len(original)) if len(original) < 1000 else sorted(chooser.sample(range(len(original)), 600))
        for place in places:
            changed = bytearray(original)
            changed[place] ^= 1 << chooser.randrange(8)
            path.write_bytes(changed)
            assert is_noticed(package, bytes(changed), original), f"bit in byte {place} of {path.name}"
        for place in chooser.sample(range(len(original)), 40):
            path.write_bytes(original[:place])
            assert is_noticed(package, original[:place], original), f"{path.name} cut at {place}"
        path.write_bytes(original)
    assert verify(package).ok


def is_noticed(package: Path, changed: bytes, original: bytes) -> bool:
    try:
        report = verify(package)
    except EvidenceError:
        return True
    unsealed = not any("sealed" in remark for remark in report.remarks)
    only_space = changed.split() == original.split()
    expected = () if unsealed else report.remarks[:1]
    return not report.ok or report.remarks != expected or only_space


def test_lines_that_are_removed_swapped_or_anothers_are_found(service: EvidenceService, tmp_path: Path) -> None:
    package = tmp_path / "package"
    service.export(session_id(2), package)
    service.export(session_id(3), tmp_path / "other")
    lines = (package / ENTRIES).read_bytes().splitlines(keepends=True)
    foreign = (tmp_path / "other" / ENTRIES).read_bytes().splitlines(keepends=True)
    for name, changed in {
        "beginning": lines[:1] + lines[2:],
        "swapped": [lines[0], lines[2], lines[1], *lines[3:]],
        "twice": [*lines[:3], lines[2], *lines[3:]],
        "foreign": [*lines, foreign[1]],
        "nothing": [],
    }.items():
        (package / ENTRIES).write_bytes(b"".join(changed))
        assert not verify(package).ok, name
    (package / ENTRIES).write_bytes(b"".join(lines[:2] + lines[3:]))
    assert "1 operation number is not among the decisions" in verify(package).remarks


def test_a_package_without_its_recording_or_proof_is_found(service: EvidenceService, tmp_path: Path) -> None:
    package = tmp_path / "package"
    service.export(session_id(2), package)
    (package / RECORDING).unlink()
    assert "missing" in verify(package).findings[0].problem
    lines = [msgspec.json.decode(line) for line in (package / ENTRIES).read_bytes().splitlines()]
    lines[3]["proof"] = None
    (package / ENTRIES).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    assert "has no proof" in verify(package).findings[0].problem


def test_the_wrong_session_key_is_found(service: EvidenceService, tmp_path: Path) -> None:
    service.export(session_id(2), tmp_path / "package", with_key=True)
    (tmp_path / "package" / SESSION_KEY).write_bytes(base64.b64encode(bytes(32)))
    assert "not authentic" in verify(tmp_path / "package").findings[0].problem


def test_entries_behind_the_checkpoint_are_remarked(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data")
    gateway.session(1, [(b"select 1", b"answer")])
    gateway.recordings.drain()
    gateway.ledger.checkpoint()
    gateway.ledger.append(decided(session_id(1), 2))
    archive = STORE.archive(tmp_path / "data")
    service = EvidenceService(archive, WrappedSessionKeys(PlainSealer()), None, STORE)  # type: ignore[arg-type]
    service.export(session_id(1), tmp_path / "package")
    gateway.close()
    report = verify(tmp_path / "package")
    assert report.ok
    assert "1 entry behind the checkpoint: not signed yet" in report.remarks


def test_what_cannot_be_exported_says_so(service: EvidenceService, data: Path, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no session"):
        service.export(session_id(9), tmp_path / "package")
    service.export(session_id(1), tmp_path / "twice")
    with pytest.raises(FileExistsError):
        service.export(session_id(1), tmp_path / "twice")
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    (broken / "ledger" / "checkpoints").write_bytes(b"")
    empty = EvidenceService(STORE.archive(broken), OFFLINE, None, STORE)  # type: ignore[arg-type]
    with pytest.raises(EvidenceError, match="no checkpoint yet"):
        empty.export(session_id(1), tmp_path / "unsigned")


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a tar")
    (tmp_path / "empty").mkdir()
    for name in ("file", "empty", "missing"):
        with pytest.raises(EvidenceError):
            verify(tmp_path / name)
    with FilePackageWriter(tmp_path / "odd") as writer:
        writer.put(MANIFEST, [b"{}"])
    with pytest.raises(EvidenceError, match="manifest cannot be read"):
        verify(tmp_path / "odd")
    manifest = Manifest("other", session_id(1), str(KEY), "")
    (tmp_path / "odd" / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(EvidenceError, match="not an evidence package of format"):
        verify(tmp_path / "odd")
