"""Verification against everything that a person with write access to the files could do."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.adapters.evidence import SIGNER, Gateway, SetClock, files_of, opened, session_id

from interlock.adapters.ledger.ledger import LedgerSettings
from interlock.adapters.ledger.reader import FileArchive
from interlock.adapters.ledger.segments import MAGIC, pack_frame
from interlock.core.chain import Entry, Head, decode_entry, encode
from interlock.core.checkpoint import Signer
from interlock.core.errors import EvidenceError
from interlock.core.evidence import VerificationReport
from interlock.core.merkle import leaf_hash
from interlock.services.evidence.verification import FIRST_USE, verify_ledger

KEY = SIGNER.verifier_key


def archive(directory: Path) -> FileArchive:
    return FileArchive(directory / "ledger", directory / "recordings")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sessions with recordings, three checkpoints, several segments."""
    directory = tmp_path_factory.mktemp("evidence")
    gateway = Gateway(directory, settings=LedgerSettings(tick_s=3600, segment_bytes=1500))
    gateway.policy()
    gateway.session(1, [(b"select 1", b"answer one"), (b"select 2", b"answer two")])
    gateway.recordings.drain()
    gateway.ledger.checkpoint()
    with gateway.ledger._disk_lock:
        gateway.ledger._maintain()
    gateway.session(2, [(b"select 3", b"answer three")])
    gateway.recordings.drain()
    gateway.ledger.checkpoint()
    gateway.close()
    return directory


@pytest.fixture
def newest(evidence: Path) -> str:
    return [signed.note for signed in archive(evidence).checkpoints(KEY)][-1]


def verify(directory: Path, *pinned: str) -> VerificationReport:
    return verify_ledger(archive(directory), KEY, pinned)


def test_good_evidence_is_good(evidence: Path, newest: str) -> None:
    report = verify(evidence, newest)
    assert report.ok
    assert report.remarks == ()
    assert (report.sessions, report.open_sessions, report.chunks) == (2, 0, 2)
    assert report.entries == report.covered == 13
    assert report.checkpoints == 2
    assert len(list((evidence / "ledger" / "segments").iterdir())) == 2


def test_an_unpinned_key_is_remarked(evidence: Path) -> None:
    assert verify_ledger(archive(evidence)).remarks == (FIRST_USE,)


def mutations(path: Path, chooser: random.Random) -> Iterator[tuple[str, bytes]]:
    """Bytes changed in one bit, and cuts, deletions, insertions and swaps at random places."""
    data = path.read_bytes()
    for place in sorted(chooser.sample(range(len(data)), min(len(data), 700))):
        changed = bytearray(data)
        changed[place] ^= 1 << chooser.randrange(8)
        yield f"bit in byte {place}", bytes(changed)
    for _ in range(40):
        first, second = sorted(chooser.sample(range(len(data) + 1), 2))
        yield f"cut at {first}", data[:first]
        yield f"without {first}..{second}", data[:first] + data[second:]
        yield f"twice {first}..{second}", data[:second] + data[first:]
        yield f"reversed {first}..{second}", data[:first] + data[first:second][::-1] + data[second:]


@pytest.mark.parametrize("pattern", ["*.seg", "*.rec", "checkpoints"])
def test_every_change_is_found(evidence: Path, newest: str, tmp_path: Path, pattern: str) -> None:
    chooser = random.Random(7)
    copy = tmp_path / "copy"
    shutil.copytree(evidence, copy)
    for path in list(copy.rglob(pattern)):
        original = path.read_bytes()
        for what, data in mutations(path, chooser):
            if data == original:
                continue
            path.write_bytes(data)
            report = verify(copy, newest)
            assert not report.ok or report.remarks, f"{path.name}: {what}"
            if pattern != "checkpoints":
                assert not report.ok or "does not name" in str(report.remarks), f"{path.name}: {what}"
        path.write_bytes(original)
    assert verify(copy, newest).ok


def rewrite(directory: Path, change: str) -> None:
    """What somebody with the files, but without the key, would do: forge a ledger whose chain is right."""
    entries = [decode_entry(data) for data in archive(directory).entries()]
    if change == "delete":
        del entries[5]
    elif change == "reorder":
        entries[5], entries[6] = entries[6], entries[5]
    elif change == "insert":
        entries.insert(5, Entry(0, entries[5].time_ns, b"", opened(session_id(9))))
    elif change == "alter":
        entries[5] = Entry(5, entries[5].time_ns + 1, b"", entries[5].record)
    elif change == "truncate":
        del entries[-1]
    segments = directory / "ledger" / "segments"
    for path in segments.iterdir():
        path.unlink()
    head, frames = Head(), b""
    for entry in entries:
        data = encode(Entry(head.sequence, entry.time_ns, head.prev, entry.record))
        head = Head(head.sequence + 1, leaf_hash(data))
        frames += pack_frame(data)
    (segments / f"{0:020d}.seg").write_bytes(MAGIC + frames)


@pytest.mark.parametrize("change", ["delete", "reorder", "insert", "alter", "truncate"])
def test_a_forged_chain_is_found_by_its_checkpoints(evidence: Path, tmp_path: Path, change: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(evidence, copy)
    rewrite(copy, change)
    report = verify(copy)
    assert not report.ok
    assert "signed" in report.findings[0].problem or "a checkpoint covers" in report.findings[0].problem


@pytest.mark.parametrize("change", ["delete", "reorder", "insert", "alter", "truncate"])
def test_a_forger_with_fresh_checkpoints_fails_at_the_pinned_one(
    evidence: Path, newest: str, tmp_path: Path, change: str
) -> None:
    """Even the holder of the signing key cannot explain a checkpoint that is kept elsewhere."""
    copy = tmp_path / "copy"
    shutil.copytree(evidence, copy)
    rewrite(copy, change)
    (copy / "ledger" / "checkpoints").write_bytes(b"")
    (copy / "ledger" / "state").unlink()
    Gateway(copy).close()
    assert verify(copy).ok
    report = verify(copy, newest)
    assert not report.ok


def test_a_checkpoint_that_was_taken_out_of_the_log_is_found(evidence: Path, newest: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(evidence, copy)
    log = copy / "ledger" / "checkpoints"
    log.write_bytes(log.read_bytes()[: -len(newest.encode()) - 1])
    assert [finding.problem for finding in verify(copy, newest).findings] == [
        "the pinned checkpoint of 13 entries is not in the checkpoint log"
    ]


def test_the_first_bad_entry_is_named(evidence: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(evidence, copy)
    path = sorted((copy / "ledger" / "segments").iterdir())[1]
    data = bytearray(path.read_bytes())
    data[len(MAGIC) + 60] ^= 1
    path.write_bytes(data)
    report = verify(copy)
    assert report.findings[0].sequence == int(path.stem)
    assert path.name in report.findings[0].problem


def test_a_whole_segment_that_is_missing_is_named(evidence: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(evidence, copy)
    sorted((copy / "ledger" / "segments").iterdir())[0].unlink()
    report = verify(copy)
    assert report.findings[0].sequence == 0
    assert "entry 0 is missing" in report.findings[0].problem


def test_a_recording_that_is_missing_or_anothers_is_named(evidence: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(evidence, copy)
    first, second = sorted(copy.rglob("*.rec"))
    kept = second.read_bytes()
    second.write_bytes(first.read_bytes())
    first.unlink()
    problems = [finding.problem for finding in verify(copy).findings]
    assert "missing" in problems[0]
    assert "not the recording of this session" in problems[1]
    second.write_bytes(kept)
    assert [finding.session for finding in verify(copy).findings] == [first.stem]


def test_the_wrong_key_signs_nothing(evidence: Path) -> None:
    other = Signer(KEY.name, Ed25519PrivateKey.generate()).verifier_key
    report = verify_ledger(archive(evidence), other)
    assert not report.ok
    assert "not signed by" in report.findings[0].problem
    assert report.covered == 0
    with pytest.raises(EvidenceError):
        verify_ledger(archive(evidence), KEY, ["garbage"])


def test_an_uncovered_tail_and_open_sessions_are_remarked(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    gateway.ledger.append(opened(session_id(1)))
    gateway.ledger.checkpoint()
    gateway.ledger.append(opened(session_id(2)))
    report = verify(tmp_path)
    assert report.ok
    assert report.remarks == (
        "1 entry behind the newest checkpoint: not signed yet",
        "2 sessions have no end yet",
    )
    gateway.close()


def test_there_must_be_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no ledger here"):
        verify_ledger(archive(tmp_path))
    assert SetClock().now_s() > 0
    assert list(files_of(tmp_path)) == []
