"""Logging in, over and over, in several processes at once: how many a second, and what one costs in the middle.

Clients of asyncssh log in and leave; those of OpenSSH also run a command, for which the gateway logs in at the host.
Either costs the client more than a little: compare ``processor_ms``, which is what the way in the middle needs of a
processor, with what is left of the machine.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from tests.clients.ssh.way import SshWay
from tests.clients.ssh.with_asyncssh import connection_to

from benchmarks.processes import processor_s
from benchmarks.ssh_ways import Way

PROCESSES: Final = 4


@dataclass(frozen=True)
class Logins:
    """What came of one run. ``processor_ms`` is for each login, of the way in the middle; 0 where there is none."""

    logins_per_s: float
    processor_ms: float


def asyncssh_logins(way: Way, count: int) -> Logins:
    """Log in and leave, ``count`` times in all."""
    return _measured(way, _log_in_and_leave, count)


def openssh_commands(way: Way, count: int) -> Logins:
    """``ssh target true``, ``count`` times in all."""
    return _measured(way, _run_true, count)


def _measured(way: Way, work: Callable[[SshWay, int], None], count: int) -> Logins:
    share = max(1, count // PROCESSES)
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("forkserver")) as pool:
        for begun in [pool.submit(work, way.ssh, 1) for _ in range(PROCESSES)]:  # their modules are loaded then
            begun.result()
        before = processor_s(way.pid) if way.pid is not None else 0.0
        started = time.perf_counter()
        for running in [pool.submit(work, way.ssh, share) for _ in range(PROCESSES)]:
            running.result()
        seconds = time.perf_counter() - started
        used_s = processor_s(way.pid) - before if way.pid is not None else 0.0
    return Logins(share * PROCESSES / seconds, used_s * 1000 / (share * PROCESSES))


def _log_in_and_leave(way: SshWay, count: int) -> None:
    async def repeatedly() -> None:
        for _ in range(count):
            async with connection_to(way):
                pass

    asyncio.run(repeatedly())


def _run_true(way: SshWay, count: int) -> None:
    for _ in range(count):
        done = way.ssh("target", "true")
        if done.status != 0:
            raise RuntimeError(f"ssh failed: {done.said}")
