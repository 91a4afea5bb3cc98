"""Cancel requests: finds the session behind a key and carries the request to its target on a connection of its own.

A key says nothing about the target; the target's own key never leaves the gateway.
"""

import asyncio
import functools
import ssl
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import structlog

from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.protocols.base import RegisterCancelKey
from interlock.runtime.tasks import spawn

log = structlog.get_logger()

_CANCEL_TIMEOUT_S = 5.0
_AT_ONCE = 8
"""Requests of the gateway's own that are on their way to one target: each costs it a process."""


class CancelRoute:
    """Where a cancel request has to go, and what it says. ``give_up`` takes back what only waits for people."""

    def __init__(
        self,
        settings: ConnectionSettings,
        tls: ssl.SSLContext | None,
        registered: RegisterCancelKey,
        give_up: Callable[[str], bool],
    ) -> None:
        self.settings = settings
        self.give_up = give_up
        self.tls = tls
        self.tls_request = registered.tls_request
        self.request = registered.request


class CancelKeys:
    """The keys of the sessions that are open on this gateway."""

    def __init__(self) -> None:
        self._routes: dict[bytes, CancelRoute] = {}
        self._gates: defaultdict[tuple[str, int], asyncio.Semaphore] = defaultdict(
            functools.partial(asyncio.Semaphore, _AT_ONCE)
        )
        self._on_their_way: set[asyncio.Task[Any]] = set()

    def register(self, key: bytes, route: CancelRoute) -> None:
        self._routes[key] = route

    def forget(self, key: bytes) -> None:
        self._routes.pop(key, None)

    async def cancel(self, key: bytes) -> None:
        """Cancel what the session with this key is doing; an unknown key does nothing, as in PostgreSQL."""
        route = self._routes.get(key)
        if route is None:
            log.info("cancel request with an unknown key")
        else:
            await _carry(route)
            route.give_up("the client has cancelled it")

    async def cancel_running(self, key: bytes) -> bool:
        """Cancel what the target is doing for the session with this key, for the gateway itself.

        Returns once the request has had its effect: whether it has arrived.
        """
        route = self._routes.get(key)
        return route is not None and await _carry(route)

    def cancel_soon(self, key: bytes) -> None:
        """The same, without waiting for it; the key may be forgotten right away."""
        route = self._routes.get(key)
        if route is not None:
            task = spawn(self._carry_in_turn(route), "cancel")
            self._on_their_way.add(task)
            task.add_done_callback(self._on_their_way.discard)

    async def _carry_in_turn(self, route: CancelRoute) -> None:
        """Lets others at the target in between, such as who looks whether it has helped."""
        async with self._gates[route.settings.host, route.settings.port]:
            await _carry(route)

    async def settle(self) -> None:
        """Return when the requests on their way have arrived, or have failed; those of a slow target are given up."""
        if self._on_their_way:
            await asyncio.wait(self._on_their_way, timeout=_CANCEL_TIMEOUT_S)


async def _carry(route: CancelRoute) -> bool:
    try:
        async with asyncio.timeout(_CANCEL_TIMEOUT_S):
            await _send(route)
        return True
    except (OSError, EOFError) as error:
        log.warning("cancel request did not reach the target", error=str(error) or type(error).__name__)
        return False


async def _send(route: CancelRoute) -> None:
    reader, writer = await asyncio.open_connection(route.settings.host, route.settings.port)
    try:
        if route.settings.tls is not TlsMode.DISABLE and route.tls is not None:
            writer.write(route.tls_request)
            if await reader.readexactly(1) != b"S":
                raise OSError("the target does not offer TLS")
            await writer.start_tls(route.tls, server_hostname=route.settings.host)
        writer.write(route.request)
        await writer.drain()
        await reader.read()
    finally:
        writer.close()
