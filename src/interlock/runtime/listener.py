"""Accepts clients, keeps their number within bounds, and ends them in good order.

A client that has not logged in holds almost nothing, but not nothing: it gets a bounded time, and when too many are
half open the oldest makes room for the newest.
"""

import asyncio
from typing import Final

import structlog

from interlock.runtime.driver import DriverParts, StreamDriver
from interlock.runtime.metrics import Metrics

log = structlog.get_logger()

HALF_OPEN_MAX: Final = 512
_BACKLOG: Final = 1024


class StreamListener:
    """Listens for one byte protocol on any number of addresses."""

    def __init__(self, parts: DriverParts, metrics: Metrics, max_sessions: int, startup_timeout_s: float) -> None:
        self._parts = parts
        self._metrics = metrics
        self._max_sessions = max_sessions
        self._startup_timeout_s = startup_timeout_s
        self._servers: list[asyncio.Server] = []
        self._half_open: dict[StreamDriver, asyncio.TimerHandle] = {}
        self._sessions: set[StreamDriver] = set()
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, with the ports that were really taken."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    async def listen(self, host: str, port: int) -> None:
        """Start accepting. Raises ``OSError`` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._accept, host, port, backlog=_BACKLOG, reuse_address=True))

    async def close(self, drain_timeout_s: float) -> None:
        """Stop accepting, let sessions end by themselves for a while, then end them."""
        for server in self._servers:
            server.close()
        for driver in list(self._half_open):
            driver.kill("57P01", "the gateway is shutting down")
        try:
            async with asyncio.timeout(drain_timeout_s):
                await self._emptied.wait()
        except TimeoutError:
            log.info("sessions are ended for shutdown", sessions=len(self._sessions))
        for driver in list(self._sessions):
            driver.kill("57P01", "the gateway is shutting down")
        await self._parts.cancel_keys.settle()

    def _accept(self) -> asyncio.Protocol:
        driver = StreamDriver(self._parts, self._ready, self._ended)
        if len(self._half_open) >= HALF_OPEN_MAX:
            self._reap()
        loop = asyncio.get_running_loop()
        self._half_open[driver] = loop.call_later(self._startup_timeout_s, self._too_slow, driver)
        self._metrics.connections.inc()
        return driver.peer

    def _reap(self) -> None:
        oldest = next(iter(self._half_open))
        self._metrics.reaped.inc()
        oldest.kill("53300", "too many connections are waiting to log in")
        oldest.peer.abort()

    def _too_slow(self, driver: StreamDriver) -> None:
        driver.kill("57014", f"login took longer than {self._startup_timeout_s:g} s")

    def _ready(self, driver: StreamDriver) -> None:
        timer = self._half_open.pop(driver, None)
        if timer is not None:
            timer.cancel()
        self._sessions.add(driver)
        self._emptied.clear()
        self._metrics.sessions.set(len(self._sessions))
        if len(self._sessions) > self._max_sessions:
            driver.kill("53300", "the gateway has as many sessions as it is allowed")

    def _ended(self, driver: StreamDriver) -> None:
        timer = self._half_open.pop(driver, None)
        if timer is not None:
            timer.cancel()
        self._sessions.discard(driver)
        self._metrics.sessions.set(len(self._sessions))
        if not self._sessions:
            self._emptied.set()
