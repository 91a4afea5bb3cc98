"""A process that appends to a ledger until it is killed, and says on standard output what was accepted.

Started as ``python -m tests.adapters.ledger.appender DIRECTORY DURABILITY FIRST``.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from tests.adapters.evidence import SIGNER, SetClock, completed, decided, opened, session_id

from interlock.adapters.ledger.ledger import FileLedger, LedgerSettings
from interlock.adapters.ledger.opening import Durability, open_ledger

SETTINGS = LedgerSettings(segment_bytes=1 << 16, tick_s=0.01, sync_ticks=2, checkpoint_ticks=3)


async def append_for_ever(ledger: FileLedger, numbers: "itertools.count[int]", session: str) -> None:
    for number in numbers:
        waiting = ledger.append(decided(session, number))
        if waiting is not None:
            await waiting
        os.write(1, b"%d\n" % number)
        ledger.note(completed(session, number))
        await asyncio.sleep(0)


async def main(directory: Path, durability: Durability, first: int) -> None:
    ledger = open_ledger(directory, SIGNER, SetClock(), durability, settings=SETTINGS)
    session = session_id(first % 250)
    waiting = ledger.append(opened(session))
    if waiting is not None:
        await waiting
    numbers = itertools.count(first)
    await asyncio.gather(*(append_for_ever(ledger, numbers, session) for _ in range(4)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Durability(sys.argv[2]), int(sys.argv[3])))
