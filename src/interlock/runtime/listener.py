"""Accepts clients, keeps their number within bounds, and ends them in good order.

A client that has not logged in holds almost nothing, but not nothing: it gets a bounded time, and when too many are
half open the oldest makes room for the newest.
"""

import asyncio
import functools
from typing import Final, Protocol

import structlog

from interlock.protocols.base import SHUTTING_DOWN, TOO_SLOW, Side
from interlock.runtime.driver import StreamDriver
from interlock.runtime.driver_parts import DriverParts
from interlock.runtime.http2_connection import Http2Connection
from interlock.runtime.http2_limits import Http2Limits
from interlock.runtime.http2_peer import Http2Peer
from interlock.runtime.metrics import Metrics

log = structlog.get_logger()

HALF_OPEN_MAX: Final = 512
_BACKLOG: Final = 1024


class HalfOpen(Protocol):
    """Whoever has not logged in: a driver, or an HTTP/2 connection of whose drivers none has."""

    def kill(self, code: str, reason: str) -> None: ...

    def abort(self) -> None: ...


class StreamListener:
    """Listens for one byte protocol on any number of addresses.

    With ``http2`` a connection for which TLS has chosen HTTP/2 has a driver for each of its streams.
    """

    def __init__(
        self,
        parts: DriverParts,
        metrics: Metrics,
        max_sessions: int,
        startup_timeout_s: float,
        http2: Http2Limits | None = None,
    ) -> None:
        self._parts = parts
        self._metrics = metrics
        self._max_sessions = max_sessions
        self._startup_timeout_s = startup_timeout_s
        self._servers: list[asyncio.Server] = []
        self._http2 = http2
        self._half_open: dict[HalfOpen, asyncio.TimerHandle] = {}
        self._connections: set[Http2Connection] = set()
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
        for half_open in list(self._half_open):
            half_open.kill("57P01", SHUTTING_DOWN)
        for connection in list(self._connections):
            connection.go_away()
        try:
            async with asyncio.timeout(drain_timeout_s):
                await self._emptied.wait()
        except TimeoutError:
            log.info("sessions are ended for shutdown", sessions=len(self._sessions))
        for driver in list(self._sessions):
            driver.kill("57P01", SHUTTING_DOWN)
        for connection in list(self._connections):
            connection.kill("57P01", SHUTTING_DOWN)
        await self._parts.cancel_keys.settle()

    def _accept(self) -> asyncio.Protocol:
        on_http2 = None if self._http2 is None else self._begin_http2
        driver = StreamDriver(self._parts, self._ready, self._ended, on_http2=on_http2)
        self._watch(driver)
        self._metrics.connections.inc()
        return driver.socket

    def _watch(self, half_open: HalfOpen) -> None:
        """Give it a bounded time to log in."""
        if len(self._half_open) >= HALF_OPEN_MAX:
            self._reap()
        loop = asyncio.get_running_loop()
        self._half_open[half_open] = loop.call_later(self._startup_timeout_s, self._too_slow, half_open)

    def _settle(self, half_open: HalfOpen) -> None:
        timer = self._half_open.pop(half_open, None)
        if timer is not None:
            timer.cancel()

    def _reap(self) -> None:
        oldest = next(iter(self._half_open))
        self._metrics.reaped.inc()
        oldest.kill("53300", "too many connections are waiting to log in")
        oldest.abort()

    def _too_slow(self, half_open: HalfOpen) -> None:
        half_open.kill(TOO_SLOW, f"login took longer than {self._startup_timeout_s:g} s")

    def _ready(self, driver: StreamDriver) -> None:
        self._settle(driver)
        self._sessions.add(driver)
        self._emptied.clear()
        if len(self._sessions) > self._max_sessions:
            driver.kill("53300", "the gateway has as many sessions as it is allowed")

    def _ended(self, driver: StreamDriver) -> None:
        self._settle(driver)
        self._sessions.discard(driver)
        if not self._sessions:
            self._emptied.set()

    # ------------------------------------------------------------ HTTP/2

    def _begin_http2(self, driver: StreamDriver) -> None:
        assert self._http2 is not None
        connection = Http2Connection(driver.hand_over, self._begin_stream, self._http2, self._http2_ended)
        self._settle(driver)
        self._watch(connection)
        self._connections.add(connection)
        connection.begin()

    def _begin_stream(self, connection: Http2Connection, peer: Http2Peer) -> None:
        ready = functools.partial(self._stream_ready, connection)
        driver = peer.owner = StreamDriver(self._parts, ready, self._ended, peer)
        if connection in self._half_open:
            self._watch(driver)
        driver.connected(Side.CLIENT)
        driver.tls_established(Side.CLIENT)

    def _stream_ready(self, connection: Http2Connection, driver: StreamDriver) -> None:
        self._settle(connection)
        self._ready(driver)

    def _http2_ended(self, connection: Http2Connection) -> None:
        self._settle(connection)
        self._connections.discard(connection)
