"""What evidence costs: ``python -m benchmarks.evidence`` prints a table and one JSON object.

Appends a record of about 470 bytes (a decision with a sealed statement). Every figure is the best of five rounds, since
the point is the cost of the code and not what else the machine does.
"""

import asyncio
import json
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.adapters.clock import SystemClock
from interlock.adapters.ledger.ledger import FileLedger
from interlock.adapters.ledger.opening import Durability, open_ledger
from interlock.adapters.ledger.reader import FileArchive
from interlock.adapters.recordings.recordings import FileRecordings
from interlock.adapters.sealing import Sealer
from interlock.core.checkpoint import Signer
from interlock.core.ledger import OperationDecided
from interlock.core.operation import Meaning, Operation
from interlock.core.session import new_session_id
from interlock.services.evidence.verification import verify_ledger

ROUNDS = 5
RECORD = OperationDecided(
    session=new_session_id(0, bytes(10)),
    number=12,
    phase="execute",
    verb="SELECT",
    decision="allowed",
    rules=("read",),
    policy="a" * 64,
    message="",
    accesses=("select on shop.public.users",),
    digest=bytes(32),
    sealed=bytes(150),
)
OPERATION = Operation(1, Meaning("SELECT", ()), b"select * from users where id = $1 and name like $2", bytes(20))


def best(measure: Callable[[], float], better: Callable[[list[float]], float] = min) -> float:
    """The best of some rounds."""
    return better([measure() for _ in range(ROUNDS)])


def microseconds_each(action: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - start) / times * 1e6


def open_at(directory: Path, durability: Durability) -> FileLedger:
    return open_ledger(directory, Signer("interlock/bench", Ed25519PrivateKey.generate()), SystemClock(), durability)


def standard(directory: Path) -> dict[str, float]:
    ledger = open_at(directory / "ledger", Durability.STANDARD)
    figures = {"standard_append_us": best(lambda: microseconds_each(lambda: ledger.append(RECORD), 20_000))}

    def append_and_note() -> None:
        ledger.append(RECORD)
        ledger.note(RECORD)

    figures["standard_append_and_note_us"] = best(lambda: microseconds_each(append_and_note, 20_000))
    ledger.close()
    start = time.perf_counter()
    report = verify_ledger(FileArchive(directory / "ledger", directory))
    figures["verify_us_per_entry"] = (time.perf_counter() - start) / report.entries * 1e6
    return figures


async def strict(directory: Path) -> dict[str, float]:
    ledger = open_at(directory / "ledger", Durability.STRICT)

    async def append(times: int) -> None:
        for _ in range(times):
            await ledger.append(RECORD)  # type: ignore[misc]

    figures: dict[str, float] = {}
    for appenders, times in ((1, 500), (8, 300), (64, 200)):
        rates = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            await asyncio.gather(*(append(times) for _ in range(appenders)))
            rates.append(appenders * times / (time.perf_counter() - start))
        figures[f"strict_records_per_s_{appenders}"] = max(rates)
    ledger.close()
    return figures


def recording(directory: Path) -> dict[str, float]:
    ledger = open_at(directory / "ledger", Durability.STANDARD)
    recordings = FileRecordings(directory / "recordings", ledger, Sealer(secrets.token_bytes(32)), SystemClock())

    def session() -> str:
        return new_session_id(time.time_ns(), secrets.token_bytes(10))

    recorder = recordings.open(session(), "postgres")
    figures = {"seal_us": best(lambda: microseconds_each(lambda: recorder.seal(OPERATION), 20_000))}
    row = bytes(90)
    figures["record_90_bytes_us"] = best(lambda: microseconds_each(lambda: recorder.answer(1, row), 2_000))
    block = secrets.token_bytes(4096) * 2

    def throughput() -> float:
        """48 MiB, under the limits of a session, until they are on disk and on the ledger."""
        recorder = recordings.open(session(), "postgres")
        start = time.perf_counter()
        for number in range(48):
            for _ in range(128):
                recorder.answer(number + 1, block)
        recorder.close()
        recordings.drain()
        return 48 * 128 * len(block) / 1e6 / (time.perf_counter() - start)

    figures["recording_mb_per_s"] = best(throughput, max)
    over = recordings.open(session(), "postgres")

    def over_the_limit() -> float:
        return len(block) / microseconds_each(lambda: over.answer(1, block), 5_000)

    figures["over_the_limit_mb_per_s"] = best(over_the_limit, max)
    recordings.close()
    ledger.close()
    return figures


def main() -> None:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        figures |= standard(Path(name) / "standard")
        figures |= asyncio.run(strict(Path(name) / "strict"))
        figures |= recording(Path(name) / "recording")
    for measure, value in figures.items():
        print(f"{measure:<32}{value:12,.1f}")
    print(json.dumps({measure: round(value, 2) for measure, value in figures.items()}))


if __name__ == "__main__":
    main()
