"""Recordings: what is kept, what is only counted, and failing closed."""

from pathlib import Path

import pytest
import zstandard
from tests.adapters.evidence import (
    QUIET,
    SIGNER,
    FlakyDisk,
    Gateway,
    PlainSealer,
    cut_power,
    decided,
    files_of,
    opened,
    operation,
    session_id,
)

from interlock.adapters.ledger.ledger import LedgerSettings
from interlock.adapters.ledger.opening import Durability
from interlock.adapters.ledger.reader import FileArchive
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.adapters.recordings.recorder import MAX_METERS, FileSessionRecorder, RecordingLimits
from interlock.adapters.recordings.sealing import SessionCipher
from interlock.adapters.recordings.tape import find_tape, tape_path
from interlock.core.chain import decode_entry
from interlock.core.errors import CredentialUnavailable, EvidenceError, LedgerUnavailable
from interlock.core.ledger import AnyRecord, RecordingGap, RecordingStored
from interlock.core.operation import Meaning, Operation
from interlock.core.recording import Direction, Frame, SealedRequest
from interlock.services.evidence.verification import verify_ledger

SECRET = b"a value that must not lie about in the clear"
SESSION = session_id()


def start(directory: Path, limits: RecordingLimits | None = None, disk: FlakyDisk | None = None) -> Gateway:
    return Gateway(directory, limits=limits, disk=disk)


def records(gateway: Gateway) -> list[AnyRecord]:
    archive = FileArchive(gateway.directory / "ledger", gateway.directory / "recordings")
    return [decode_entry(data).record for data in archive.entries()]


def frames(gateway: Gateway, recorder: FileSessionRecorder) -> list[Frame]:
    """What can be read back of a session."""
    keys = WrappedSessionKeys(PlainSealer())
    opener = keys.opener(SESSION, keys.reveal(SESSION, recorder.wrapped_key))
    archive = FileArchive(gateway.directory / "ledger", gateway.directory / "recordings")
    found: list[Frame] = []
    chunk = archive.chunk_at(SESSION, 0)
    while chunk:
        found += opener.unseal_frames(chunk.counter, chunk.ciphertext)
        chunk = archive.chunk_at(SESSION, chunk.end)
    return found


def gaps(gateway: Gateway) -> list[RecordingGap]:
    return [record for record in records(gateway) if isinstance(record, RecordingGap)]


def test_frames_come_back_with_time_direction_and_operation(tmp_path: Path) -> None:
    gateway = start(tmp_path)
    recorder = gateway.recordings.open(SESSION, "postgres")
    recorder.answer(0, b"hello")
    gateway.clock.at_s += 1.5
    recorder.request(1, b"copied")
    gateway.recordings.tick()
    recorder.answer(1, SECRET)
    recorder.close()
    gateway.close()
    assert frames(gateway, recorder) == [
        Frame(0, Direction.ANSWER, 0, b"hello"),
        Frame(1_500_000, Direction.REQUEST, 1, b"copied"),
        Frame(1_500_000, Direction.ANSWER, 1, SECRET),
    ]
    stored = [record for record in records(gateway) if isinstance(record, RecordingStored)]
    assert [(record.index, record.frames) for record in stored] == [(0, 2), (1, 1)]
    assert gaps(gateway) == []


def test_nothing_is_in_the_clear_on_disk(tmp_path: Path) -> None:
    gateway = start(tmp_path)
    recorder = gateway.recordings.open(SESSION, "postgres")
    gateway.ledger.append(opened(SESSION, b""))
    gateway.ledger.append(decided(SESSION, 1, recorder.seal(operation(1, b"select '" + SECRET + b"'", SECRET))))
    recorder.answer(1, SECRET * 100)
    recorder.close()
    gateway.close()
    for path in files_of(tmp_path):
        assert SECRET not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_a_full_chunk_is_written_without_a_tick(tmp_path: Path) -> None:
    gateway = start(tmp_path)
    recorder = gateway.recordings.open(SESSION, "postgres")
    for _ in range(16):
        recorder.answer(1, bytes(4096))
    gateway.recordings.drain()
    assert sum(frame.data == bytes(4096) for frame in frames(gateway, recorder)) >= 15
    recorder.close()
    gateway.close()


def test_of_what_lasts_as_much_is_kept_as_of_a_session(tmp_path: Path) -> None:
    gateway = start(tmp_path, RecordingLimits(max_operation_bytes=4))
    recorder = gateway.recordings.open(SESSION, "ssh")
    for number, lasting in ((1, True), (2, False)):
        recorder.seal(Operation(number, Meaning("SHELL", ()), b"", lasting=lasting))
        recorder.answer(number, b"12345678")
    recorder.close()
    gateway.close()
    kept = [(frame.number, frame.data) for frame in frames(gateway, recorder)]
    assert kept == [(1, b"12345678"), (2, b"1234")]


def test_an_operation_is_kept_up_to_its_limit_and_the_rest_is_a_fact(tmp_path: Path) -> None:
    gateway = start(tmp_path, RecordingLimits(max_operation_bytes=10))
    recorder = gateway.recordings.open(SESSION, "postgres")
    recorder.answer(1, b"12345678")
    recorder.answer(1, b"abcdef")
    recorder.answer(0, b"a notice of nobody's")
    recorder.answer(1, b"ghi")
    recorder.answer(2, b"next")
    recorder.request(2, b"0123456789+")
    recorder.close()
    gateway.close()
    kept = [(frame.number, frame.data) for frame in frames(gateway, recorder)]
    assert kept == [(1, b"12345678"), (1, b"ab"), (0, b"a notice of nobody's"), (2, b"next"), (2, b"0123456789")]
    first, second = gaps(gateway)
    digest = SessionCipher(PlainSealer().unseal(recorder.wrapped_key, _context()), SESSION).gap_digest()
    digest.update(b"cdefghi")
    assert (first.size_bytes, first.sha256) == (7, digest.digest())
    assert first.reason == "operation 1 (answer) is over the limit of 10 bytes"
    assert (second.size_bytes, second.reason) == (1, "operation 2 (request) is over the limit of 10 bytes")


def test_each_of_several_operations_at_once_has_its_limit(tmp_path: Path) -> None:
    gateway = start(tmp_path, RecordingLimits(max_operation_bytes=4))
    recorder = gateway.recordings.open(SESSION, "ssh")
    for _ in range(3):
        recorder.answer(1, b"abc")
        recorder.answer(2, b"x")
        recorder.request(1, b"input")
    recorder.ended(1)
    recorder.answer(2, b"yz")
    recorder.close()
    gateway.close()
    kept = [(frame.number, frame.direction, frame.data) for frame in frames(gateway, recorder)]
    assert kept == [
        (1, Direction.ANSWER, b"abc"),
        (2, Direction.ANSWER, b"x"),
        (1, Direction.REQUEST, b"inpu"),
        (1, Direction.ANSWER, b"a"),
        (2, Direction.ANSWER, b"x"),
        (2, Direction.ANSWER, b"x"),
        (2, Direction.ANSWER, b"y"),
    ]
    assert [(gap.size_bytes, gap.reason) for gap in gaps(gateway)] == [
        (5, "operation 1 (answer) is over the limit of 4 bytes"),
        (11, "operation 1 (request) is over the limit of 4 bytes"),
        (1, "operation 2 (answer) is over the limit of 4 bytes"),
    ]


def test_operations_that_never_end_take_no_memory_without_end(tmp_path: Path) -> None:
    gateway = start(tmp_path, RecordingLimits(max_operation_bytes=4))
    recorder = gateway.recordings.open(SESSION, "ssh")
    for number in range(1, 2 * MAX_METERS + 1):
        recorder.answer(number, b"12345")
    assert len(recorder._answers) == MAX_METERS
    recorder.close()
    gateway.close()
    assert sum(gap.size_bytes for gap in gaps(gateway)) == 2 * MAX_METERS


def _context() -> bytes:
    return b"interlock session key " + SESSION.encode()


def test_a_session_is_kept_up_to_its_limit_with_one_gap(tmp_path: Path) -> None:
    gateway = start(tmp_path, RecordingLimits(max_session_bytes=20))
    recorder = gateway.recordings.open(SESSION, "postgres")
    for number in range(1, 6):
        recorder.answer(number, b"12345678")
    recorder.close()
    gateway.close()
    assert b"".join(frame.data for frame in frames(gateway, recorder)) == b"12345678" * 2 + b"1234"
    (gap,) = gaps(gateway)
    assert (gap.size_bytes, gap.reason) == (20, "the session is over the limit of 20 bytes")


def test_a_request_is_sealed_up_to_its_limit_with_its_full_length(tmp_path: Path) -> None:
    gateway = start(tmp_path, RecordingLimits(max_request_bytes=8))
    recorder = gateway.recordings.open(SESSION, "postgres")
    keys = WrappedSessionKeys(PlainSealer())
    opener = keys.opener(SESSION, keys.reveal(SESSION, recorder.wrapped_key))
    sealed = recorder.seal(operation(7, b"select 123456", b"parameters"))
    assert opener.unseal_request(7, sealed) == SealedRequest(b"select 1", b"paramete", 13, 10)
    assert recorder.seal(operation(7, b"select 123456", b"parameters")) != sealed
    for number, forged in ((8, sealed), (7, sealed[:-1]), (7, b""), (7, sealed[:20] + b"x" + sealed[21:])):
        with pytest.raises(EvidenceError):
            opener.unseal_request(number, forged)
    with pytest.raises(EvidenceError):
        keys.opener(session_id(1), keys.reveal(SESSION, recorder.wrapped_key)).unseal_request(7, sealed)
    gateway.close()


def test_keys_are_fresh_and_bound_to_their_session(tmp_path: Path) -> None:
    gateway = start(tmp_path)
    keys = WrappedSessionKeys(PlainSealer())
    first, second = (gateway.recordings.open(session_id(number), "postgres") for number in (1, 2))
    one = keys.reveal(session_id(1), first.wrapped_key)
    assert len(one) == 32
    assert one != keys.reveal(session_id(2), second.wrapped_key)
    with pytest.raises(CredentialUnavailable):
        keys.reveal(session_id(1), second.wrapped_key)
    with pytest.raises(EvidenceError):
        WrappedSessionKeys(None).reveal(session_id(1), first.wrapped_key)
    with pytest.raises(EvidenceError):
        keys.opener(SESSION, b"short")
    gateway.close()


@pytest.mark.parametrize("bad", ["../../etc/passwd", "", "A" * 26])
def test_a_session_id_cannot_name_another_file(tmp_path: Path, bad: str) -> None:
    gateway = start(tmp_path)
    with pytest.raises(LedgerUnavailable):
        gateway.recordings.open(bad, "postgres")
    assert find_tape(tmp_path, bad) is None
    with pytest.raises(ValueError, match="not a session id"):
        tape_path(tmp_path, bad, 0)
    gateway.close()


def test_a_full_disk_refuses_operations_and_sessions_until_there_is_room(tmp_path: Path) -> None:
    disk = FlakyDisk()
    gateway = start(tmp_path, disk=disk)
    recorder = gateway.recordings.open(SESSION, "postgres")
    recorder.answer(1, b"kept")
    gateway.recordings.tick()
    gateway.recordings.drain()
    disk.room = 10
    recorder.answer(1, b"lost")
    gateway.recordings.tick()
    gateway.recordings.drain()
    with pytest.raises(LedgerUnavailable, match="No space left"):
        recorder.seal(operation(2, b"select 1"))
    with pytest.raises(LedgerUnavailable, match="No space left"):
        gateway.recordings.open(session_id(1), "postgres")
    gateway.recordings.tick()
    gateway.recordings.drain()
    assert gateway.recordings.fault
    disk.room = None
    gateway.recordings.tick()
    gateway.recordings.drain()
    assert recorder.seal(operation(2, b"select 1"))
    recorder.answer(2, b"kept again")
    recorder.close()
    gateway.close()
    assert [frame.data for frame in frames(gateway, recorder)] == [b"kept", b"kept again"]
    (gap,) = gaps(gateway)
    assert (gap.size_bytes, gap.reason) == (4, "the recording could not be written")


def test_a_chunk_that_cannot_be_synced_is_a_gap_and_leaves_the_file(tmp_path: Path) -> None:
    disk = FlakyDisk()
    gateway = start(tmp_path, disk=disk)
    recorder = gateway.recordings.open(SESSION, "postgres")
    recorder.answer(1, b"kept")
    gateway.recordings.tick()
    gateway.recordings.drain()
    disk.fail_sync = True
    recorder.answer(1, b"lost")
    gateway.recordings.tick()
    gateway.recordings.drain()
    assert gateway.recordings.fault
    disk.fail_sync = False
    recorder.answer(1, b"kept again")
    recorder.close()
    gateway.close()
    assert [frame.data for frame in frames(gateway, recorder)] == [b"kept", b"kept again"]
    assert [gap.size_bytes for gap in gaps(gateway)] == [4]


def test_a_chunk_is_on_disk_before_the_ledger_names_it(tmp_path: Path) -> None:
    disk = FlakyDisk()
    gateway = start(tmp_path, disk=disk)
    recorder = gateway.recordings.open(SESSION, "postgres")
    synced_when_noted: list[int] = []
    note = gateway.ledger.note

    def watching(record: AnyRecord) -> None:
        path = find_tape(tmp_path / "recordings", SESSION)
        synced_when_noted.append(disk.synced.get(str(path), 0))
        note(record)

    gateway.ledger.note = watching  # type: ignore[method-assign]
    recorder.answer(1, b"x" * 100)
    recorder.close()
    gateway.recordings.drain()
    tape = find_tape(tmp_path / "recordings", SESSION)
    assert tape is not None
    assert synced_when_noted == [tape.stat().st_size]
    gateway.close()


@pytest.mark.parametrize("durability", list(Durability))
def test_after_a_power_cut_the_ledger_names_only_chunks_that_are_there(tmp_path: Path, durability: Durability) -> None:
    disk = FlakyDisk()
    gateway = Gateway(tmp_path / "data", durability, disk=disk)
    recorder = gateway.recordings.open(SESSION, "postgres")
    gateway.ledger.append_now(opened(SESSION, recorder.wrapped_key))
    for number in range(1, 5):
        recorder.answer(number, b"%d" % number * 100)
        gateway.recordings.tick()
        gateway.recordings.drain()
        gateway.ledger.append_now(decided(SESSION, number))
        after = tmp_path / f"after-{number}"
        cut_power(tmp_path / "data", after, disk)
        Gateway(after).close()
        report = verify_ledger(FileArchive(after / "ledger", after / "recordings"), SIGNER.verifier_key)
        assert report.findings == ()
        assert report.chunks == number
    recorder.close()
    gateway.close()


def test_a_ledger_that_takes_no_note_stops_recording_until_it_does(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, settings=LedgerSettings(tick_s=3600, max_waiting=1))
    recorder = gateway.recordings.open(SESSION, "postgres")
    gateway.ledger.note(decided(SESSION, 1))
    recorder.answer(1, b"x")
    gateway.recordings.tick()
    gateway.recordings.drain()
    assert gateway.recordings.fault
    gateway.ledger.checkpoint()
    gateway.recordings.tick()
    gateway.recordings.drain()
    assert gateway.recordings.fault is None
    gateway.close()
    assert any(isinstance(record, RecordingStored) for record in records(gateway))


def test_a_sealer_or_clock_that_fails_opens_no_session(tmp_path: Path) -> None:
    gateway = start(tmp_path)
    gateway.clock.broken = True
    with pytest.raises(LedgerUnavailable):
        gateway.recordings.open(SESSION, "postgres")
    gateway.close()


def test_closed_recordings_take_nothing(tmp_path: Path) -> None:
    gateway = start(tmp_path)
    recorder = gateway.recordings.open(SESSION, "postgres")
    recorder.close()
    recorder.close()
    gateway.close()
    recorder.answer(1, b"late")
    with pytest.raises(LedgerUnavailable):
        recorder.cut()


def test_nonces_never_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FlakyDisk()
    gateway = start(tmp_path, disk=disk)
    recorder = gateway.recordings.open(SESSION, "postgres")
    counters: list[int] = []
    seal = SessionCipher.seal_frames

    def watching(self: SessionCipher, counter: int, said: list[Frame], compressor: zstandard.ZstdCompressor) -> bytes:
        counters.append(counter)
        return seal(self, counter, said, compressor)

    monkeypatch.setattr(SessionCipher, "seal_frames", watching)
    for number in range(6):
        disk.room = 0 if number % 2 else None
        recorder.answer(1, b"%d" % number)
        gateway.recordings.tick()
        gateway.recordings.drain()
    disk.room = None
    recorder.close()
    gateway.close()
    assert len(set(counters)) == len(counters) == 6


def test_limits_have_the_documented_defaults() -> None:
    limits = RecordingLimits()
    assert (limits.max_request_bytes, limits.max_operation_bytes) == (64 << 10, 1 << 20)
    assert (limits.max_session_bytes, limits.chunk_bytes) == (64 << 20, 64 << 10)
    assert QUIET.max_waiting == 16384
