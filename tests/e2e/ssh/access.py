"""A client of the gateway's SSH listener in tests, made with a library so that it can be looked into."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncssh

from tests.servers.endpoint import Endpoint
from tests.servers.gateway import AGENT, GatewayServer

NO_DATABASE = Endpoint(host="127.0.0.1", port=1, user="nobody", password="none", database="none")
"""For gateways that have SSH connections only."""


TIMEOUT_S = 20.0


async def until(condition: Callable[[], Awaitable[object]], what: str) -> None:
    """Return when it is so."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not await condition():  # noqa: ASYNC110 - what happens elsewhere tells nobody
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {TIMEOUT_S:g} s: {what}") from None


@asynccontextmanager
async def connect(
    gateway: GatewayServer, username: str = "web", *, token: str | None = None, **options: Any
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection with a token as password; the gateway's host key is not looked at."""
    settings = {
        "config": None,
        "known_hosts": None,
        "client_keys": None,
        "agent_path": None,
        "username": username,
        "password": gateway.token(AGENT) if token is None else token,
    }
    async with asyncssh.connect("127.0.0.1", gateway.ssh_port, **(settings | options)) as connection:
        yield connection
