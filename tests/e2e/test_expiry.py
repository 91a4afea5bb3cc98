"""Sessions that would outlive the token that opened them: they end, whatever the protocol, and what runs for them."""

import asyncio
import contextlib
from collections.abc import Iterator

import aiohttp
import psycopg
import pytest
from aiohttp import web
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed

from interlock.core.ledger import SessionCut, SessionOpened
from interlock.services.rechecks import EXPIRED
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Statement, connect, wait_for
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService
from tests.servers.websocket_echo import WebSocketEcho

LIFE_S = 5
TIMEOUT_S = 30.0
SESSIONS = ("http", "http", "postgres")


async def _endless(request: web.Request, _body: bytes) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await answer.write(b"data: more\n\n")
            await asyncio.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with HttpService(stream=_endless) as service, WebSocketEcho() as echo:
        extra = http_target("crm", service.port) + http_target("socket", echo.port)
        with GatewayServer(target, GatewayOptions(http=True, extra=extra)) as running:
            yield running


def cut_protocols(gateway: GatewayServer) -> tuple[str, ...]:
    """Of the sessions that were cut because their token had expired."""
    opened = {record.session: record.protocol for record in records_of(gateway, SessionOpened)}
    cut = [record for record in records_of(gateway, SessionCut) if record.reason == EXPIRED]
    return tuple(sorted(opened[record.session] for record in cut))


def run_statement(gateway: GatewayServer) -> BaseException | None:
    """How a statement ends that would take minutes."""
    token = gateway.token(ttl_s=LIFE_S)
    with connect(gateway.endpoint(token)) as session:
        return Statement(session, "SELECT pg_sleep(120) /* outlives its token */").error()


async def read_stream(gateway: GatewayServer) -> None:
    """Read a stream of events until it is broken off."""
    headers = {"Authorization": f"Bearer {gateway.token(ttl_s=LIFE_S)}"}
    url = gateway.http_url("crm") + "/stream"
    async with aiohttp.ClientSession(headers=headers) as client, client.get(url) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(answer.read(), TIMEOUT_S)


async def keep_socket(gateway: GatewayServer) -> str:
    """Keep a WebSocket open; why it is closed."""
    headers = {"Authorization": f"Bearer {gateway.token(ttl_s=LIFE_S)}"}
    url = gateway.http_url("socket").replace("http", "ws", 1) + "/echo"
    async with connect_socket(url, additional_headers=headers, proxy=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), TIMEOUT_S)
    return closed.value.rcvd.reason if closed.value.rcvd is not None else ""


async def test_sessions_end_with_their_token(gateway: GatewayServer, target: Endpoint) -> None:
    error, _, reason = await asyncio.gather(
        asyncio.to_thread(run_statement, gateway), read_stream(gateway), keep_socket(gateway)
    )
    assert isinstance(error, psycopg.errors.AdminShutdown)
    assert EXPIRED in str(error)
    assert EXPIRED in reason
    with psycopg.connect(**target.parameters()) as admin:
        (running,) = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%outlives its%' AND pid <> pg_backend_pid()"
        ).fetchone() or (None,)
    assert running == 0
    wait_for(lambda: cut_protocols(gateway) == SESSIONS, "what ended is on record, and why")
