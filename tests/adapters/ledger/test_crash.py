"""SIGKILL at random points and power cuts: what was accepted is there afterwards, and the ledger verifies."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adapters.evidence import (
    QUIET,
    SIGNER,
    FlakyDisk,
    SetClock,
    completed,
    cut_power,
    decided,
    opened,
    session_id,
)

from interlock.adapters.ledger.ledger import LedgerSettings
from interlock.adapters.ledger.opening import Durability, open_ledger
from interlock.adapters.ledger.reader import FileArchive
from interlock.core.chain import decode_entry
from interlock.core.ledger import LedgerRecovered, OperationDecided, SessionClosed, SessionOpened
from interlock.services.evidence.verification import verify_ledger

BOTH = pytest.mark.parametrize("durability", list(Durability))


def run_until_killed(directory: Path, durability: Durability, first: int, accepted: int) -> list[int]:
    """Start the appender, kill it after it has accepted so many records, return all that it said."""
    command = [sys.executable, "-m", "tests.adapters.ledger.appender", str(directory), durability.value, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(accepted)]
        process.kill()
        said += process.stdout.readlines()
    return [int(line) for line in said if line.endswith(b"\n")]


@BOTH
def test_nothing_accepted_is_lost_by_a_kill(tmp_path: Path, durability: Durability) -> None:
    seed = 20310504
    chooser = random.Random(seed)
    accepted: set[int] = set()
    for run in range(6):
        accepted.update(run_until_killed(tmp_path, durability, 1 + run * 1_000_000, chooser.randint(1, 3000)))
    open_ledger(tmp_path, SIGNER, SetClock(), durability).close()

    found = [decode_entry(data).record for data in FileArchive(tmp_path, tmp_path).entries()]
    assert accepted <= {record.number for record in found if isinstance(record, OperationDecided)}, f"seed {seed}"
    assert sum(isinstance(record, LedgerRecovered) for record in found) == 6
    opened_sessions = [record.session for record in found if isinstance(record, SessionOpened)]
    closed_sessions = [record.session for record in found if isinstance(record, SessionClosed)]
    assert opened_sessions == closed_sessions
    report = verify_ledger(FileArchive(tmp_path, tmp_path), SIGNER.verifier_key)
    assert report.findings == ()
    assert report.covered == report.entries


async def test_a_power_cut_takes_nothing_accepted_in_strict_mode(tmp_path: Path) -> None:
    disk = FlakyDisk()
    settings = LedgerSettings(tick_s=0.002, checkpoint_ticks=2, segment_bytes=4000)
    ledger = open_ledger(tmp_path / "ledger", SIGNER, SetClock(), Durability.STRICT, settings=settings, disk=disk)
    session = session_id()
    for number in range(60):
        waiting = ledger.append(decided(session, number))
        assert waiting is not None
        await waiting
        ledger.note(completed(session, number))
        if number % 10 == 9:
            after = tmp_path / f"after-{number}"
            await asyncio.to_thread(cut_power_between_writes, ledger, tmp_path / "ledger", after, disk)
            open_ledger(after, SIGNER, SetClock(), Durability.STRICT, settings=QUIET).close()
            found = [decode_entry(data).record for data in FileArchive(after, after).entries()]
            numbers = {record.number for record in found if isinstance(record, OperationDecided)}
            assert numbers == set(range(number + 1))
            assert verify_ledger(FileArchive(after, after), SIGNER.verifier_key).findings == ()
    ledger.close()


def cut_power_between_writes(ledger: object, source: Path, target: Path, disk: FlakyDisk) -> None:
    """Hold the keeper, so that the copy is of one moment."""
    with ledger._disk_lock:  # type: ignore[attr-defined]
        cut_power(source, target, disk)


def test_a_power_cut_in_standard_mode_takes_the_unsynced_end_only(tmp_path: Path) -> None:
    disk = FlakyDisk()
    ledger = open_ledger(tmp_path / "ledger", SIGNER, SetClock(), settings=QUIET, disk=disk)
    session = session_id()
    ledger.append(opened(session))
    ledger.checkpoint()
    for number in range(10):
        ledger.append(decided(session, number))
    ledger.append_now(decided(session, 10))
    for number in range(11, 20):
        ledger.append(decided(session, number))
    cut_power(tmp_path / "ledger", tmp_path / "after", disk)
    ledger.close()
    open_ledger(tmp_path / "after", SIGNER, SetClock(), settings=QUIET).close()
    found = [decode_entry(data).record for data in FileArchive(tmp_path / "after", tmp_path).entries()]
    assert [record.number for record in found if isinstance(record, OperationDecided)] == list(range(11))
    assert isinstance(found[-1], SessionClosed)
    assert found[-1].status == "interrupted"
    assert verify_ledger(FileArchive(tmp_path / "after", tmp_path), SIGNER.verifier_key).findings == ()


@BOTH
async def test_reading_beside_a_writer_finds_nothing_wrong(tmp_path: Path, durability: Durability) -> None:
    settings = LedgerSettings(tick_s=0.001, checkpoint_ticks=2, segment_bytes=1 << 15)
    ledger = open_ledger(tmp_path, SIGNER, SetClock(), durability, settings=settings)
    stop = asyncio.Event()

    async def write() -> int:
        number = 0
        while not stop.is_set():
            number += 1
            waiting = ledger.append(decided(session_id(), number))
            if waiting is not None:
                await waiting
            await asyncio.sleep(0)
        return number

    writing = asyncio.ensure_future(write())
    archive = FileArchive(tmp_path, tmp_path)
    last = 0
    for _ in range(15):
        report = await asyncio.to_thread(verify_ledger, archive, SIGNER.verifier_key)
        assert report.findings == ()
        assert report.entries >= max(last, report.covered)
        last = report.entries
    stop.set()
    written = await writing
    ledger.close()
    assert verify_ledger(archive, SIGNER.verifier_key).entries == written
