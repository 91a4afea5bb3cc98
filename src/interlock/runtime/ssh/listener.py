"""Accepts SSH clients, keeps their number within bounds, and ends them in good order."""

import asyncio
from typing import Any

import structlog

from interlock.protocols.base import SHUTTING_DOWN
from interlock.runtime.metrics import Metrics
from interlock.runtime.ssh.attempts import LoginAttempts
from interlock.runtime.ssh.connection import ClientConnection
from interlock.runtime.ssh.driver import SshDriver
from interlock.runtime.ssh.library import server_options
from interlock.runtime.ssh.login import ClientServer
from interlock.runtime.ssh.parts import SshParts

log = structlog.get_logger()


class SshListener:
    """Listens for SSH on any number of addresses. ``keys`` are the host's key pairs."""

    def __init__(
        self,
        parts: SshParts,
        metrics: Metrics,
        keys: list[Any],
        attempts: LoginAttempts,
    ) -> None:
        self._parts = parts
        self._metrics = metrics
        self._attempts = attempts
        settings = parts.settings
        self._options = server_options(self._serve, keys, settings.login_timeout_s, settings.keepalive_s)
        self._servers: list[asyncio.Server] = []
        self._sessions: set[SshDriver] = set()
        self._emptied = asyncio.Event()
        self._emptied.set()

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

    def _accept(self) -> asyncio.Protocol:
        self._metrics.connections.inc()
        return ClientConnection(asyncio.get_running_loop(), self._options)

    def _serve(self) -> ClientServer:
        return ClientServer(self._begin, self._attempts)

    def _begin(self, address: str) -> SshDriver:
        driver = SshDriver(self._parts, address, self._ended)
        self._sessions.add(driver)
        self._emptied.clear()
        if len(self._sessions) > self._parts.settings.max_connections:
            asyncio.get_running_loop().call_soon(
                driver.kill, "53300", "the gateway has as many SSH connections as it is allowed"
            )
        return driver

    def _ended(self, driver: SshDriver) -> None:
        self._sessions.discard(driver)
        if not self._sessions:
            self._emptied.set()
