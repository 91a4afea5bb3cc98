"""Sessions of asyncssh: commands one after the other and at once on one connection, and memory of idle connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from tests.clients.ssh.with_asyncssh import connection_to

from benchmarks.processes import resident_kib
from benchmarks.ssh_ways import Way

IDLE: Final = 200
_WARM_UP: Final = 20
_AT_ONCE: Final = 16


def commands_per_s(way: Way, count: int, at_once: int = 1) -> float:
    """``true`` so many times on one connection, by ``at_once`` channels."""

    async def run_some(connection: Any) -> None:
        for _ in range(count // at_once):
            await connection.run("true", check=True)

    async def measured() -> float:
        async with connection_to(way.ssh) as connection:
            await connection.run("true", check=True)
            started = time.perf_counter()
            await asyncio.gather(*(run_some(connection) for _ in range(at_once)))
            return count // at_once * at_once / (time.perf_counter() - started)

    return asyncio.run(measured())


def parallel_commands_per_s(way: Way, count: int) -> float:
    """The same on several channels at once."""
    return commands_per_s(way, count, _AT_ONCE)


def idle_kib(way: Way, count: int, *, command: str) -> float:
    """Growth of the resident memory of the way in the middle for each connection that is logged in.

    With a ``command`` each has run it, so that the gateway is logged in at the host, too. Some come and go first, so
    that what is allocated once does not count. Measure a fresh process.
    """

    async def measured() -> float:
        pid = way.pid
        assert pid is not None
        async with _connections(way, _WARM_UP, command):
            pass
        before = resident_kib(pid)
        async with _connections(way, count, command):
            return (resident_kib(pid) - before) / count

    return asyncio.run(measured())


@asynccontextmanager
async def _connections(way: Way, count: int, command: str) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(count):
            connection = await stack.enter_async_context(connection_to(way.ssh))
            if command:
                await connection.run(command, check=True)
        yield
