"""The API of an ``AdministrationBench`` on a real Unix socket, without a gateway around it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from interlock.adapters.api_client import send_command
from interlock.core.administration import SOCKET_FILE, AnswerT, Command
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.runtime.tasks import spawn
from interlock.services.callers import Callers
from interlock.services.ports import Authenticator, Clock
from interlock.surfaces.api.application import build_application
from interlock.surfaces.api.authentication import Authentication
from interlock.surfaces.api.local_socket import open_local_socket
from interlock.surfaces.api.routes import Executor
from interlock.surfaces.api.serving import ApiServer
from tests.services.administration_bench import AdministrationBench, MemoryIdentities


class MemoryAuthenticator:
    """Knows the tokens that it is given."""

    def __init__(self) -> None:
        self.principals: dict[str, Principal] = {}

    async def authenticate(self, token: str, client_address: str) -> Principal:
        if token not in self.principals:
            raise LoginRefused("the token is not accepted", "unknown")
        return self.principals[token]

    def scram_verifier(self, user: str) -> str | None:
        return None

    def scram_principal(self, user: str) -> Principal:
        raise LoginRefused("no secrets here", "none")


@asynccontextmanager
async def serving(
    directory: Path,
    bench: AdministrationBench,
    executor: Executor | None = None,
    authenticator: Authenticator | None = None,
    clock: Clock | None = None,
    requests_per_minute: int = 100_000,
    network: socket.socket | None = None,
    **application: Any,
) -> AsyncIterator[Path]:
    """Serve on the socket in a directory, and on ``network`` without TLS; yields the directory."""
    callers = Callers(authenticator or MemoryAuthenticator(), MemoryIdentities(bench.state), bench.ledger)
    authentication = Authentication(callers, clock or bench.clock, requests_per_minute)
    app = build_application(executor or bench.administration, authentication, bench.clock, **application)
    server = ApiServer(app, spawn)
    server.listen(open_local_socket(directory / SOCKET_FILE))
    if network is not None:
        server.listen(network)
    try:
        yield directory
    finally:
        await server.close()
        (directory / SOCKET_FILE).unlink(missing_ok=True)


async def give(directory: Path, command: Command[AnswerT]) -> AnswerT:
    """The answer of the server that this test itself runs."""
    return await asyncio.to_thread(send_command, directory, command)
