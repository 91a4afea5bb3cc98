"""Cancel requests: finds the session behind a key and carries the request to its target on a connection of its own.

A key says nothing about the target; the target's own key never leaves the gateway.
"""

import asyncio
import ssl

import structlog

from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.protocols.postgres.messages import SSL_REQUEST

log = structlog.get_logger()

_CANCEL_TIMEOUT_S = 10.0


class CancelRoute:
    """Where a cancel request has to go."""

    def __init__(self, settings: ConnectionSettings, tls: ssl.SSLContext | None, request: bytes) -> None:
        self.settings = settings
        self.tls = tls
        self.request = request


class CancelKeys:
    """The keys of the sessions that are open on this gateway."""

    def __init__(self) -> None:
        self._routes: dict[bytes, CancelRoute] = {}

    def register(self, key: bytes, route: CancelRoute) -> None:
        self._routes[key] = route

    def forget(self, key: bytes) -> None:
        self._routes.pop(key, None)

    async def cancel(self, key: bytes) -> None:
        """Cancel what the session with this key is doing; an unknown key does nothing, as in PostgreSQL."""
        route = self._routes.get(key)
        if route is None:
            log.info("cancel request with an unknown key")
            return
        try:
            async with asyncio.timeout(_CANCEL_TIMEOUT_S):
                await _send(route)
        except (OSError, EOFError) as error:
            log.warning("cancel request did not reach the target", error=str(error))


async def _send(route: CancelRoute) -> None:
    reader, writer = await asyncio.open_connection(route.settings.host, route.settings.port)
    try:
        if route.settings.tls is not TlsMode.DISABLE and route.tls is not None:
            writer.write(SSL_REQUEST)
            if await reader.readexactly(1) != b"S":
                raise OSError("the target does not offer TLS")
            await writer.start_tls(route.tls, server_hostname=route.settings.host)
        writer.write(route.request)
        await writer.drain()
        await reader.read()
    finally:
        writer.close()
