"""What happens, as it happens: records of the ledger from an entry on, each once, in order, with no gap.

Entries are read from the ledger itself, behind whoever writes it and without holding it up; nothing is kept in memory
for those who listen but their place. What is sealed stays out.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final, Protocol

import msgspec

from interlock.core.administration.evidence import LedgerEntry
from interlock.core.chain import decode_entry
from interlock.services.evidence.commands import ledger_entry

KINDS: Final = ("session", "operation", "approval", "lock", "incident", "alert", "login")
"""First parts of the names of the records that can be followed."""

POLL_S: Final = 0.1
MAX_ENTRIES: Final = 500
MAX_BYTES: Final = 1 << 20


class Follower(Protocol):
    """Reads a ledger on from an entry."""

    position: int
    """The entry that is read next."""

    def read(self, size: int, max_entries: int, max_bytes: int) -> list[bytes]:
        """The next entries with sequence numbers below ``size``, at least one if there is any.

        Waits for files: call it in a worker thread. Raises EvidenceError, OSError when they cannot be read.
        """


class LedgerNews(Protocol):
    """A ledger that is being written."""

    @property
    def size(self) -> int:
        """How many entries are accepted and can be read. Cheap."""

    def follow(self, after: int) -> Follower:
        """Reads on behind an entry; -1 stands before the first."""


class Batch(msgspec.Struct, frozen=True):
    """What is new: none at times. ``position`` is the last entry that was looked at, wanted or not."""

    position: int
    events: tuple[LedgerEntry, ...] = ()


class Events:
    """The stream for whoever listens. Who may, is decided elsewhere."""

    def __init__(self, news: LedgerNews) -> None:
        self._news = news

    @property
    def last(self) -> int:
        """The newest entry that there is, -1 for none."""
        return self._news.size - 1

    async def follow(self, after: int, kinds: frozenset[str] = frozenset(KINDS)) -> AsyncIterator[Batch]:
        """Batches without end, at least one each ``POLL_S``: the records of these kinds behind an entry.

        Raises EvidenceError, OSError when the ledger cannot be read.
        """
        follower = self._news.follow(after)
        wanted = _wanted(kinds)
        while True:
            size = self._news.size
            if follower.position >= size:
                yield Batch(follower.position - 1)
                await asyncio.sleep(POLL_S)
                continue
            entries = await asyncio.to_thread(follower.read, size, MAX_ENTRIES, MAX_BYTES)
            decoded = (ledger_entry(decode_entry(data)) for data in entries if wanted.search(data))
            events = tuple(event for event in decoded if event.kind.partition(".")[0] in kinds)
            yield Batch(follower.position - 1, events)


def _wanted(kinds: frozenset[str]) -> re.Pattern[bytes]:
    """What the bytes of every entry of these kinds have in them, and of few others: saves decoding the rest."""
    names = b"|".join(kind.encode() for kind in sorted(kinds))
    return re.compile(rb"\xa4kind[\xa0-\xbf](?:" + names + rb")\.")
