"""Puts the gateway's own MCP server together, and makes it a connection like any other."""

import asyncio
import contextlib
import secrets
import socket
from pathlib import Path
from typing import Final

import structlog

from interlock.adapters.certificate import listener_certificate
from interlock.adapters.gateway_queries import GatewayQueries
from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.bootstrap.interpretation import Interpreter
from interlock.bootstrap.node import Node
from interlock.core.approval import ApprovalRequest, ApprovalStatus
from interlock.core.identity import Principal
from interlock.core.settings import OWN_CONNECTION, ConnectionSettings, HttpApi, HttpTarget, TlsMode, ToolPins
from interlock.runtime.tasks import spawn
from interlock.services.locks import Locks
from interlock.services.policy.store import PolicyStore
from interlock.services.self_service.knowledge import Knowledge
from interlock.services.self_service.queries import Queries

POLL_S: Final = 0.1
_LOOPBACK: Final = "127.0.0.1"

log = structlog.get_logger()


async def start_own_server(
    node: Node,
    policies: PolicyStore,
    locks: Locks,
    authenticator: TokenAuthenticator,
    postgres: tuple[str, int],
    stack: contextlib.AsyncExitStack,
) -> Queries | None:
    """Serve it on a free port of the loopback; the caller has ``tick`` of the answer called.

    None, and nothing is served, when a connection has its name. Raises ``ConfigurationError``.
    """
    from interlock.surfaces.api.serving import ApiServer
    from interlock.surfaces.mcp.server import SECRET_HEADER, McpServer
    from interlock.surfaces.mcp.tools import ToolDesk

    if node.connections.find(OWN_CONNECTION) is not None:
        log.warning("the gateway's own MCP server is off: a connection has its name", connection=OWN_CONNECTION)
        return None
    knowledge = Knowledge(node.connections, policies, locks, Interpreter(node.connections.find), node.clock)
    queries = Queries(_runner(node, postgres), node.clock, spawn)
    stack.callback(queries.close)
    secret = secrets.token_urlsafe(32)
    desk = ToolDesk(knowledge, queries, lambda approval, wait_s: wait_for_answer(node, approval, wait_s))

    async def identify(token: str) -> Principal:
        return await authenticator.authenticate(token, _LOOPBACK)

    server = ApiServer(McpServer(desk, identify, secret), spawn)
    stack.push_async_callback(server.close)
    listener = socket.create_server((_LOOPBACK, 0))
    server.listen(listener)
    node.http_credentials.own = (SECRET_HEADER, secret.encode())
    port = listener.getsockname()[1]
    node.connections.add_own(OWN_CONNECTION, _settings(port))
    log.info("the gateway's own MCP server is ready", connection=OWN_CONNECTION, port=port)
    return queries


def _settings(port: int) -> ConnectionSettings:
    target = HttpTarget(api=HttpApi.MCP, credential_as="none", tool_pins=ToolPins.OFF)
    return ConnectionSettings(protocol="http", host=_LOOPBACK, port=port, tls=TlsMode.DISABLE, http=target)


def _runner(node: Node, postgres: tuple[str, int]) -> GatewayQueries:
    host, port = postgres
    anywhere = {"0.0.0.0": _LOOPBACK, "::": "::1"}  # noqa: S104 - what is listened on, not what listens
    certificate = listener_certificate(node.settings.postgres, Path(node.settings.gateway.data_dir))
    return GatewayQueries(anywhere.get(host, host), port, certificate)


async def wait_for_answer(node: Node, approval: str, wait_s: float) -> ApprovalRequest | None:
    """A request as it is once it is answered, or after a while; None when there is none. Raises StateUnavailable."""
    until_s = node.clock.monotonic_s() + wait_s
    while True:
        request = node.approvals.current(approval)
        if request is None or request.status is not ApprovalStatus.PENDING or node.clock.monotonic_s() >= until_s:
            return request
        await asyncio.sleep(POLL_S)
