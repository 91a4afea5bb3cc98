"""Accepts SSH clients, keeps their number within bounds, and ends them in good order."""

import asyncio
from typing import Any, Final

import structlog

from interlock.protocols.base import SHUTTING_DOWN, TOO_SLOW
from interlock.runtime.metrics import Metrics
from interlock.runtime.ssh.connection import ClientConnection
from interlock.runtime.ssh.driver import SshDriver
from interlock.runtime.ssh.library import server_options
from interlock.runtime.ssh.login import ClientServer
from interlock.runtime.ssh.parts import SshParts

log = structlog.get_logger()

HALF_OPEN_MAX: Final = 512


class SshListener:
    """Listens for SSH on any number of addresses. ``keys`` are the host's key pairs."""

    def __init__(
        self,
        parts: SshParts,
        metrics: Metrics,
        keys: list[Any],
    ) -> None:
        self._parts = parts
        self._metrics = metrics
        self.use_keys(keys)
        self._servers: list[asyncio.Server] = []
        self._half_open: dict[SshDriver, asyncio.TimerHandle] = {}
        self._sessions: set[SshDriver] = set()
        self._ending: set[asyncio.Task[Any]] = set()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def use_keys(self, keys: list[Any]) -> None:
        """Show clients these key pairs from now on."""
        self._options = server_options(self._serve, keys, self._parts.settings.keepalive_s)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, with the ports that were really taken."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    async def listen(self, host: str, port: int) -> None:
        """Start accepting. Raises ``OSError`` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._accept, host, port, backlog=1024, reuse_address=True))

    async def close(self, drain_timeout_s: float) -> None:
        """Stop accepting, let sessions end by themselves for a while, then end them."""
        for server in self._servers:
            server.close()
        try:
            async with asyncio.timeout(drain_timeout_s):
                await self._emptied.wait()
        except TimeoutError:
            log.info("sessions are ended for shutdown", sessions=len(self._sessions))
        for driver in list(self._sessions):
            driver.kill("57P01", SHUTTING_DOWN)
        await self._let_go()

    async def _let_go(self) -> None:
        """Wait until nothing is left running at hosts, as far as that can be had."""
        if self._ending:
            await asyncio.wait(self._ending)

    def _accept(self) -> asyncio.Protocol:
        self._metrics.connections.inc()
        return ClientConnection(asyncio.get_running_loop(), self._options)

    def _serve(self) -> ClientServer:
        return ClientServer(self._begin, self._parts, self._allow_s)

    def _begin(self, address: str) -> SshDriver:
        driver = SshDriver(self._parts, address, self._ended)
        if len(self._half_open) >= HALF_OPEN_MAX:
            self._metrics.reaped.inc()
            next(iter(self._half_open)).kill("53300", "too many connections are waiting to log in")
        self._sessions.add(driver)
        self._emptied.clear()
        self._allow_s(driver, self._parts.settings.login_timeout_s)
        if len(self._sessions) > self._parts.settings.max_connections:
            asyncio.get_running_loop().call_soon(
                driver.kill, "53300", "the gateway has as many SSH connections as it is allowed"
            )
        return driver

    def _allow_s(self, driver: SshDriver, timeout_s: float) -> None:
        """Give a client so much time to log in, from now on; 0: it has."""
        timer = self._half_open.pop(driver, None)
        if timer is not None:
            timer.cancel()
        if timeout_s:
            reason = f"login took longer than {timeout_s:g} s"
            loop = asyncio.get_running_loop()
            self._half_open[driver] = loop.call_later(timeout_s, driver.kill, TOO_SLOW, reason)

    def _ended(self, driver: SshDriver) -> None:
        self._allow_s(driver, 0)
        self._sessions.discard(driver)
        if driver.letting_go is not None:
            self._ending.add(driver.letting_go)
            driver.letting_go.add_done_callback(self._ending.discard)
        if not self._sessions:
            self._emptied.set()
