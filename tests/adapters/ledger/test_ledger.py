"""The ledger's promises: order, durability modes, failing closed, and coming back."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.adapters.evidence import (
    QUIET,
    SIGNER,
    FlakyDisk,
    SetClock,
    closed,
    completed,
    decided,
    opened,
    session_id,
)

from interlock.adapters.ledger import recovery
from interlock.adapters.ledger.ledger import FileLedger, LedgerSettings
from interlock.adapters.ledger.opening import Durability, open_ledger
from interlock.adapters.ledger.reader import FileArchive
from interlock.adapters.ledger.segments import list_segments
from interlock.core.chain import decode_entry
from interlock.core.checkpoint import Checkpoint, Signer
from interlock.core.errors import EvidenceError, LedgerUnavailable
from interlock.core.ledger import AnyRecord, GatewayStarted, LedgerRecovered, PolicyActivated, SessionClosed
from interlock.services.evidence.verification import verify_ledger

BOTH = pytest.mark.parametrize("durability", list(Durability))
SESSION = session_id()


def open_at(
    directory: Path,
    durability: Durability = Durability.STANDARD,
    settings: LedgerSettings = QUIET,
    disk: FlakyDisk | None = None,
    clock: SetClock | None = None,
) -> FileLedger:
    return open_ledger(directory, SIGNER, clock or SetClock(), durability, settings=settings, disk=disk)


def records(directory: Path) -> list[AnyRecord]:
    return [decode_entry(data).record for data in FileArchive(directory, directory).entries()]


def check(directory: Path) -> None:
    report = verify_ledger(FileArchive(directory, directory / "recordings"), SIGNER.verifier_key)
    assert report.findings == ()
    assert report.covered == report.entries


async def accept(ledger: FileLedger, record: AnyRecord) -> None:
    waiting = ledger.append(record)
    if waiting is not None:
        await waiting


@BOTH
async def test_records_come_back_in_the_order_they_were_given(tmp_path: Path, durability: Durability) -> None:
    ledger = open_at(tmp_path, durability)
    given: list[AnyRecord] = [opened(SESSION), decided(SESSION, 1), completed(SESSION, 1), closed(SESSION)]
    await accept(ledger, given[0])
    await accept(ledger, given[1])
    ledger.note(given[2])
    ledger.note(given[3])
    last = decided(session_id(1), 1)
    await accept(ledger, last)
    assert records(tmp_path) == [*given, last]
    ledger.close()
    check(tmp_path)


def test_standard_accepts_at_once_and_writes_notes_with_the_next_record(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    ledger.note(completed(SESSION, 1))
    assert records(tmp_path) == []
    assert ledger.append(decided(SESSION, 2)) is None
    assert records(tmp_path) == [completed(SESSION, 1), decided(SESSION, 2)]
    ledger.close()


async def test_strict_accepts_when_the_record_is_synced(tmp_path: Path) -> None:
    disk = FlakyDisk()
    ledger = open_at(tmp_path, Durability.STRICT, disk=disk)
    await accept(ledger, decided(SESSION, 1))
    (segment,) = list_segments(tmp_path / "segments")
    assert disk.synced[str(segment)] == segment.stat().st_size
    ledger.close()


async def test_strict_gathers_the_records_of_all_sessions(tmp_path: Path) -> None:
    ledger = open_at(tmp_path, Durability.STRICT)
    waiting = [ledger.append(decided(session_id(number), 1)) for number in range(500)]
    await asyncio.gather(*(future for future in waiting if future is not None))
    assert [record.session for record in records(tmp_path) if hasattr(record, "session")] == [
        session_id(number) for number in range(500)
    ]
    ledger.close()
    check(tmp_path)


@BOTH
def test_notes_are_written_within_a_tick_and_at_close(tmp_path: Path, durability: Durability) -> None:
    ledger = open_at(tmp_path, durability)
    ledger.note(completed(SESSION, 1))
    ledger.close()
    assert records(tmp_path) == [completed(SESSION, 1)]
    check(tmp_path)


@BOTH
def test_the_keeper_writes_syncs_and_signs_by_itself(tmp_path: Path, durability: Durability) -> None:
    signed: list[Checkpoint] = []
    settings = LedgerSettings(tick_s=0.001, sync_ticks=1, checkpoint_ticks=2)
    ledger = open_ledger(
        tmp_path,
        SIGNER,
        SetClock(),
        durability,
        settings=settings,
        exports=[lambda checkpoint, _: signed.append(checkpoint)],
    )
    ledger.note(completed(SESSION, 1))
    asyncio.run(_until(lambda: signed))
    assert signed[0].size == 1
    ledger.close()
    check(tmp_path)


async def _until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens on another thread
        await asyncio.sleep(0.001)


@BOTH
async def test_append_now_waits_for_the_disk(tmp_path: Path, durability: Durability) -> None:
    disk = FlakyDisk()
    ledger = open_at(tmp_path, durability, disk=disk)
    await asyncio.to_thread(ledger.append_now, decided(SESSION, 1))
    (segment,) = list_segments(tmp_path / "segments")
    assert disk.synced[str(segment)] == segment.stat().st_size
    ledger.close()


def test_segments_rotate_and_link(tmp_path: Path) -> None:
    settings = LedgerSettings(tick_s=0.001, segment_bytes=2000)
    ledger = open_at(tmp_path, settings=settings)
    for number in range(60):
        ledger.append(decided(SESSION, number))
        asyncio.run(_until(lambda: ledger._journal.offset < 4000))
    ledger.close()
    assert len(list_segments(tmp_path / "segments")) > 3
    check(tmp_path)
    again = open_at(tmp_path)
    again.append(decided(SESSION, 99))
    again.close()
    assert len(records(tmp_path)) == 61
    check(tmp_path)


# ---------------------------------------------------------------- failing closed


@BOTH
async def test_a_full_disk_refuses_and_leaves_no_half_entry(tmp_path: Path, durability: Durability) -> None:
    disk = FlakyDisk()
    ledger = open_at(tmp_path, durability, disk=disk)
    await accept(ledger, decided(SESSION, 1))
    (segment,) = list_segments(tmp_path / "segments")
    size = segment.stat().st_size
    disk.room = 40
    with pytest.raises(LedgerUnavailable, match="No space left"):
        await accept(ledger, decided(SESSION, 2))
    assert segment.stat().st_size == size
    disk.room = None
    await _accepted(ledger, decided(SESSION, 3))
    ledger.close()
    assert records(tmp_path) == [decided(SESSION, 1), decided(SESSION, 3)]
    check(tmp_path)


async def _accepted(ledger: FileLedger, record: AnyRecord) -> None:
    """Ask until the ledger has come back; each refusal must be clean."""
    while True:
        try:
            await accept(ledger, record)
        except LedgerUnavailable:
            await asyncio.sleep(0.001)
        else:
            return


@BOTH
async def test_a_half_entry_that_cannot_be_cut_is_cut_before_the_next(tmp_path: Path, durability: Durability) -> None:
    disk = FlakyDisk()
    ledger = open_at(tmp_path, durability, disk=disk)
    await accept(ledger, decided(SESSION, 1))
    disk.room, disk.fail_cut = 40, True
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            await accept(ledger, decided(SESSION, 2))
    disk.room, disk.fail_cut = None, False
    await _accepted(ledger, decided(SESSION, 3))
    ledger.close()
    assert records(tmp_path) == [decided(SESSION, 1), decided(SESSION, 3)]
    check(tmp_path)


@BOTH
async def test_notes_survive_a_full_disk(tmp_path: Path, durability: Durability) -> None:
    disk = FlakyDisk()
    ledger = open_at(tmp_path, durability, disk=disk)
    disk.room = 0
    ledger.note(completed(SESSION, 1))
    with pytest.raises(LedgerUnavailable):
        await accept(ledger, decided(SESSION, 2))
    ledger.note(completed(SESSION, 2))
    disk.room = None
    await _accepted(ledger, decided(SESSION, 3))
    ledger.close()
    assert records(tmp_path) == [completed(SESSION, 1), completed(SESSION, 2), decided(SESSION, 3)]
    check(tmp_path)


async def test_a_failed_sync_in_strict_mode_refuses_and_takes_the_record_back(tmp_path: Path) -> None:
    disk = FlakyDisk()
    ledger = open_at(tmp_path, Durability.STRICT, disk=disk)
    await accept(ledger, opened(SESSION))
    disk.fail_sync = True
    with pytest.raises(LedgerUnavailable, match="Input/output error"):
        await accept(ledger, decided(SESSION, 1))
    assert records(tmp_path) == [opened(SESSION)]
    disk.fail_sync = False
    await _accepted(ledger, decided(SESSION, 2))
    ledger.close()
    assert records(tmp_path) == [opened(SESSION), decided(SESSION, 2)]
    check(tmp_path)


async def test_a_failed_sync_in_standard_mode_is_a_fault_until_the_bytes_are_written_again(tmp_path: Path) -> None:
    disk = FlakyDisk()
    ledger = open_at(tmp_path, settings=LedgerSettings(tick_s=0.001, sync_ticks=1), disk=disk)
    disk.fail_sync = True
    ledger.append(decided(SESSION, 1))
    await _until(lambda: ledger.fault)
    with pytest.raises(LedgerUnavailable, match="Input/output error"):
        ledger.append(decided(SESSION, 2))
    disk.fail_sync = False
    await _accepted(ledger, decided(SESSION, 3))
    ledger.close()
    assert records(tmp_path) == [decided(SESSION, 1), decided(SESSION, 3)]
    check(tmp_path)


async def test_bytes_that_vanish_after_a_failed_sync_keep_the_ledger_closed(tmp_path: Path) -> None:
    disk = FlakyDisk()
    ledger = open_at(tmp_path, settings=LedgerSettings(tick_s=0.001, sync_ticks=1), disk=disk)
    disk.fail_sync = True
    ledger.append(decided(SESSION, 1))
    await _until(lambda: ledger.fault)
    (segment,) = list_segments(tmp_path / "segments")
    data = segment.read_bytes()
    segment.write_bytes(data[:-20] + bytes(20))
    disk.fail_sync = False
    await _until(lambda: "no longer there" in str(ledger.fault))
    with pytest.raises(LedgerUnavailable):
        ledger.append(decided(SESSION, 2))
    with pytest.raises(LedgerUnavailable):
        ledger.close()


def test_an_interruption_right_after_the_write_leaves_a_good_ledger(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    ledger.append(opened(SESSION))
    commit = ledger._journal.commit

    def interrupted() -> None:
        ledger._journal.commit = commit  # type: ignore[method-assign]
        raise KeyboardInterrupt

    ledger._journal.commit = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        ledger.append(decided(SESSION, 1))
    ledger.append(decided(SESSION, 2))
    ledger.close()
    assert records(tmp_path)[-1] == decided(SESSION, 2)
    check(tmp_path)


@BOTH
async def test_a_broken_clock_refuses(tmp_path: Path, durability: Durability) -> None:
    clock = SetClock()
    ledger = open_at(tmp_path, durability, clock=clock)
    for at_s in (float("nan"), float("inf"), -1.0, 1e30):
        clock.at_s = at_s
        with pytest.raises(LedgerUnavailable):
            await accept(ledger, decided(SESSION, 1))
    clock.broken = True
    with pytest.raises(LedgerUnavailable, match="clock"):
        await accept(ledger, decided(SESSION, 1))
    with pytest.raises(LedgerUnavailable, match="clock"):
        ledger.note(completed(SESSION, 1))
    ledger.close()
    assert records(tmp_path) == []


@BOTH
async def test_a_record_that_cannot_be_stored_harms_no_other(tmp_path: Path, durability: Durability) -> None:
    ledger = open_at(tmp_path, durability)
    for record in (GatewayStarted("\ud800", "", ""), PolicyActivated("v", "x" * (17 << 20), "start")):
        with pytest.raises(LedgerUnavailable):
            await accept(ledger, record)
        with pytest.raises(LedgerUnavailable):
            ledger.note(record)
    await accept(ledger, decided(SESSION, 1))
    ledger.close()
    assert records(tmp_path) == [decided(SESSION, 1)]


@BOTH
def test_what_waits_is_bounded(tmp_path: Path, durability: Durability) -> None:
    ledger = open_at(tmp_path, durability, settings=LedgerSettings(tick_s=3600, max_waiting=3))
    for number in range(3):
        ledger.note(completed(SESSION, number))
    with pytest.raises(LedgerUnavailable, match="too many"):
        ledger.note(completed(SESSION, 4))
    ledger.close()


@BOTH
async def test_a_closed_ledger_takes_nothing(tmp_path: Path, durability: Durability) -> None:
    ledger = open_at(tmp_path, durability)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await accept(ledger, decided(SESSION, 1))
    with pytest.raises(LedgerUnavailable, match="closed"):
        ledger.note(decided(SESSION, 1))


def test_there_is_one_writer(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    with pytest.raises(LedgerUnavailable, match="another process"):
        open_at(tmp_path)
    ledger.close()
    open_at(tmp_path).close()


def test_a_ledger_keeps_its_key(tmp_path: Path) -> None:
    open_at(tmp_path).close()
    with pytest.raises(EvidenceError, match="another key"):
        open_ledger(tmp_path, Signer("interlock/test", Ed25519PrivateKey.generate()), SetClock())


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnavailable):
        open_at(tmp_path / "file" / "ledger")


def test_an_export_that_fails_does_not_stop_the_ledger(tmp_path: Path) -> None:
    def broken(_: Checkpoint, __: str) -> None:
        raise RuntimeError("no network")

    ledger = open_ledger(tmp_path, SIGNER, SetClock(), settings=QUIET, exports=[broken])
    ledger.append(decided(SESSION, 1))
    ledger.checkpoint()
    assert ledger._checkpoints.failed_exports == 1
    ledger.close()
    check(tmp_path)


# ---------------------------------------------------------------- coming back


def test_a_clean_start_adds_nothing(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    ledger.append(decided(SESSION, 1))
    ledger.close()
    open_at(tmp_path).close()
    assert records(tmp_path) == [decided(SESSION, 1)]


def crash(ledger: FileLedger) -> None:
    """End a ledger as SIGKILL would: nothing more is written, the lock is gone."""
    with ledger._lock:
        ledger._closing = True
        ledger._wake.notify_all()
    ledger._keeper.join()
    ledger._journal.close()
    ledger._checkpoints.close()
    os.close(ledger._lock_descriptor)


@pytest.mark.parametrize("with_checkpoint", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_a_crash_is_told_and_open_sessions_are_closed(tmp_path: Path, with_checkpoint: bool, with_state: bool) -> None:
    ledger = open_at(tmp_path)
    other = session_id(1)
    for record in (opened(other), opened(SESSION), decided(SESSION, 1), closed(other)):
        ledger.append(record)
    if with_checkpoint:
        ledger.checkpoint()
    ledger.append(decided(SESSION, 2, decision="denied"))
    ledger.append(completed(SESSION, 1, rows=9))
    crash(ledger)
    if not with_state:
        (tmp_path / "state").unlink(missing_ok=True)
    open_at(tmp_path).close()
    reason = "the gateway did not stop in order"
    assert records(tmp_path)[6:] == [
        LedgerRecovered(0, 5, reason),
        SessionClosed(SESSION, "interrupted", reason, 2, 1, 9, 0, 0),
    ]
    check(tmp_path)


def test_a_torn_tail_is_cut_at_any_byte_and_told(tmp_path: Path) -> None:
    ledger = open_at(tmp_path / "first")
    ledger.append(decided(SESSION, 1))
    ledger.checkpoint()
    (segment,) = list_segments(tmp_path / "first" / "segments")
    whole = segment.stat().st_size
    ledger.append(decided(SESSION, 2))
    crash(ledger)
    data = segment.read_bytes()
    for size in {whole, whole + 1, whole + 7, whole + 8, *range(whole, len(data), 29), len(data) - 1}:
        segment.write_bytes(data[:size])
        (tmp_path / "copy").mkdir()
        shutil.copytree(tmp_path / "first", tmp_path / "copy" / "ledger")
        open_at(tmp_path / "copy" / "ledger").close()
        found = records(tmp_path / "copy" / "ledger")
        assert found[0] == decided(SESSION, 1)
        assert isinstance(found[1], LedgerRecovered)
        assert found[1].cut_bytes == size - whole
        assert len(found) == 2
        check(tmp_path / "copy" / "ledger")
        shutil.rmtree(tmp_path / "copy")


def test_damage_before_whole_entries_is_never_repaired(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    for number in range(5):
        ledger.append(decided(SESSION, number))
    crash(ledger)
    (segment,) = list_segments(tmp_path / "segments")
    data = bytearray(segment.read_bytes())
    data[40] ^= 1
    segment.write_bytes(data)
    with pytest.raises(EvidenceError, match="a damaged entry with whole entries behind it"):
        open_at(tmp_path)
    assert segment.read_bytes() == data


def test_a_length_that_swallows_the_rest_is_damage_all_the_same(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    for number in range(5):
        ledger.append(decided(SESSION, number))
    crash(ledger)
    (segment,) = list_segments(tmp_path / "segments")
    data = bytearray(segment.read_bytes())
    data[8:12] = (1 << 20).to_bytes(4, "big")
    segment.write_bytes(data)
    with pytest.raises(EvidenceError, match="whole entries behind it"):
        open_at(tmp_path)


def test_a_tail_that_a_checkpoint_covers_is_not_torn_but_missing(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    for number in range(5):
        ledger.append(decided(SESSION, number))
    ledger.close()
    (segment,) = list_segments(tmp_path / "segments")
    segment.write_bytes(segment.read_bytes()[:-3])
    (tmp_path / "state").unlink()
    with pytest.raises(EvidenceError, match="a checkpoint covers 5 entries, but the ledger has 4"):
        open_at(tmp_path)


@pytest.mark.parametrize("name", ["segments", "state", "checkpoints"])
def test_what_is_missing_is_noticed_or_harmless(tmp_path: Path, name: str) -> None:
    ledger = open_at(tmp_path)
    ledger.append(decided(SESSION, 1))
    ledger.close()
    target = tmp_path / name
    if target.is_dir():
        shutil.rmtree(target)
        with pytest.raises(EvidenceError, match="missing"):
            open_at(tmp_path)
    else:
        target.unlink()
        open_at(tmp_path).close()
        assert records(tmp_path)[0] == decided(SESSION, 1)


def test_a_forged_state_is_not_believed(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    for number in range(5):
        ledger.append(decided(SESSION, number))
    ledger.close()
    state = tmp_path / "state"
    data = bytearray(state.read_bytes())
    place = data.find(b"hashes") + 12
    data[place] ^= 1
    state.write_bytes(data)
    ledger = open_at(tmp_path)
    ledger.append(decided(SESSION, 9))
    ledger.close()
    assert decided(SESSION, 9) in records(tmp_path)
    check(tmp_path)


def test_a_torn_checkpoint_is_cut_and_a_changed_one_is_not(tmp_path: Path) -> None:
    ledger = open_at(tmp_path)
    ledger.append(decided(SESSION, 1))
    ledger.checkpoint()
    size = (tmp_path / "checkpoints").stat().st_size
    ledger.append(decided(SESSION, 2))
    ledger.checkpoint()
    crash(ledger)
    data = (tmp_path / "checkpoints").read_bytes()
    for end in range(size, len(data)):
        (tmp_path / "checkpoints").write_bytes(data[:end])
        crash(open_at(tmp_path))
    for place in range(size, len(data) - 2):
        changed = bytearray(data)
        changed[place] ^= 4
        (tmp_path / "checkpoints").write_bytes(changed)
        with pytest.raises(EvidenceError):
            open_at(tmp_path)


def test_a_start_reads_from_the_last_checkpoint_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_at(tmp_path)
    for number in range(50):
        ledger.append(decided(SESSION, number))
    ledger.checkpoint()
    ledger.append(decided(SESSION, 50))
    crash(ledger)
    read: list[int] = []

    def counting(data: bytes) -> object:
        entry = decode_entry(data)
        read.append(entry.sequence)
        return entry

    monkeypatch.setattr(recovery, "decode_entry", counting)
    open_at(tmp_path).close()
    assert read == [50]


def test_files_are_for_the_gateway_only(tmp_path: Path) -> None:
    ledger = open_at(tmp_path / "ledger")
    ledger.append(decided(SESSION, 1))
    ledger.close()
    for path in (tmp_path / "ledger", *(tmp_path / "ledger").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0
