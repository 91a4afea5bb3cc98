"""A listener that does not read: nothing is kept for it, and after a while it is cut off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from interlock.core.administration import SOCKET_FILE
from interlock.core.administration.evidence import LedgerEntry
from interlock.services.authority import Authority
from interlock.services.callers import Callers
from interlock.services.events import KINDS, Batch, Events
from interlock.surfaces.api import events as api_events
from interlock.surfaces.api.authentication import Authentication
from interlock.surfaces.api.events import EventStreams
from tests.services.administration_bench import AdministrationBench, MemoryIdentities
from tests.surfaces.api.bench import MemoryAuthenticator, serving

REQUEST = b"GET /v1/events HTTP/1.1\r\nHost: gateway\r\n\r\n"
BATCH_BYTES = 1 << 20
MAX_BATCHES = 32
"""What sockets, and uvicorn with its mark for "full", may hold between two processes, and then some."""


class Flood(Events):
    """Has more to tell, always. ``told`` counts the batches that were asked for."""

    def __init__(self) -> None:
        self.told = 0
        self.left = asyncio.Event()

    @property
    def last(self) -> int:
        return -1

    async def follow(self, after: int, kinds: frozenset[str] = frozenset(KINDS)) -> AsyncIterator[Batch]:
        text = "x" * BATCH_BYTES
        try:
            while True:
                self.told += 1
                yield Batch(self.told, (LedgerEntry(self.told, 0, "alert.raised", "", {"text": text}),))
                await asyncio.sleep(0)
        finally:
            self.left.set()


@pytest.fixture
def bench() -> AdministrationBench:
    return AdministrationBench()


def streams_of(bench: AdministrationBench, events: Events) -> EventStreams:
    callers = Callers(MemoryAuthenticator(), MemoryIdentities(bench.state), bench.ledger)
    authentication = Authentication(callers, bench.clock, 1000)
    authority = Authority(bench.ledger, bench.clock, "gateway")
    return EventStreams(events, authority, authentication, bench.ledger, bench.clock)


async def test_who_does_not_read_is_cut_off_and_nothing_piles_up(
    tmp_path: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_events, "SEND_TIMEOUT_S", 0.5)
    flood = Flood()
    async with serving(tmp_path, bench, streams=streams_of(bench, flood)):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE), limit=1024)
        with structlog.testing.capture_logs() as logs:
            writer.write(REQUEST)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            async with asyncio.timeout(20):
                await flood.left.wait()
            assert flood.told <= MAX_BATCHES
            rest = b""
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(1 << 20):
                    rest = piece[-5:]
            assert rest != b"0\r\n\r\n", "an answer that is broken off must not look whole"
        writer.close()
        assert [entry["error"] for entry in logs] == ["TimeoutError"]


async def test_who_reads_slowly_gets_everything(tmp_path: Path, bench: AdministrationBench) -> None:
    flood = Flood()
    async with serving(tmp_path, bench, streams=streams_of(bench, flood)):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE), limit=2 * BATCH_BYTES)
        writer.write(REQUEST)
        numbers: list[int] = []
        while len(numbers) < MAX_BATCHES:
            line = await reader.readline()
            if line.startswith(b"id: "):
                numbers.append(int(line[4:]))
                assert flood.told - numbers[-1] <= MAX_BATCHES
        assert numbers == [-1, *range(1, MAX_BATCHES)]
        writer.close()
        async with asyncio.timeout(20):
            await flood.left.wait()
