"""Agents that are stopped while they use HTTP: streams, requests that wait, connections that are kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from interlock.core.lock import LockMode, LockSubject
from tests.e2e.held import make_dba, newest, requests
from tests.e2e.locking import Responder, wait_for
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService

POLICY = """
@id("all") permit (principal, action, resource);
@id("ask") @approval("dba")
forbid (principal, action == Action::"http-delete", resource);
"""
CUT_WITHIN_S = 2.0
"""What is promised is one second; the machine may be busy."""


class Stream:
    """An endpoint that sends events until nobody listens any more."""

    def __init__(self) -> None:
        self.open = 0
        self.sent = 0

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        self.open += 1
        try:
            while True:
                await answer.write(f"data: {self.sent}\n\n".encode())
                self.sent += 1
                await asyncio.sleep(0.02)
        except (ConnectionError, asyncio.CancelledError):
            self.open -= 1
            raise


@pytest.fixture(scope="module")
def stream() -> Stream:
    return Stream()


@pytest.fixture(scope="module")
def service(stream: Stream) -> Iterator[HttpService]:
    with HttpService(stream=stream.answer) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    extra = http_target("crm", service.port, "hold_s = 60")
    options = GatewayOptions(http=True, policy=POLICY, extra=extra, approval_wait_s=60)
    with GatewayServer(NO_DATABASE, options) as running:
        make_dba(running)
        yield running


@pytest.fixture
def responder(gateway: GatewayServer) -> Iterator[Responder]:
    responder = Responder(gateway)
    yield responder
    responder.lift_all()


@asynccontextmanager
async def agent(gateway: GatewayServer, name: str) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {gateway.token(name)}"}
    async with aiohttp.ClientSession(gateway.http_url("crm") + "/", headers=headers) as client:
        yield client


async def read_to_the_end(answer: aiohttp.ClientResponse) -> None:
    while await answer.content.readline():
        pass


async def read_numbers(answer: aiohttp.ClientResponse, seen: list[int], count: int, patience_s: float) -> None:
    """Add the numbers of events until there are so many more."""
    wanted = len(seen) + count
    while len(seen) < wanted:
        line = await asyncio.wait_for(answer.content.readline(), patience_s)
        seen += [int(line.removeprefix(b"data: "))] if line.startswith(b"data") else []


async def test_scenario_12_a_stream_is_cut(
    gateway: GatewayServer, responder: Responder, stream: Stream, service: HttpService
) -> None:
    async with agent(gateway, "streamer") as client, client.get("stream") as answer:
        await answer.content.readline()
        receipt = await asyncio.to_thread(responder.lock, LockSubject.AGENT, "streamer")
        locked_s = time.monotonic()
        with pytest.raises(aiohttp.ClientError):
            await read_to_the_end(answer)
        assert time.monotonic() - locked_s < CUT_WITHIN_S
        await asyncio.to_thread(wait_for, lambda: stream.open == 0, "the target goes on for nobody")
        before = len(service.received)
        async with client.get("hello") as refused:
            assert (refused.status, (await refused.json(content_type=None))["status"]) == (403, 403)
    (session,) = receipt.sessions
    assert (session.action, session.in_flight) == ("cut", "GET")
    assert session.bytes_sent > 0
    assert len(service.received) == before


async def test_a_frozen_stream_goes_on_where_it_was(
    gateway: GatewayServer, responder: Responder, stream: Stream
) -> None:
    async with agent(gateway, "frozen") as client, client.get("stream") as answer:
        seen: list[int] = []
        await read_numbers(answer, seen, 1, 20)
        receipt = await asyncio.to_thread(responder.lock, LockSubject.AGENT, "frozen", LockMode.FREEZE)
        assert receipt.sessions[0].action == "frozen"
        with pytest.raises(TimeoutError):
            await read_numbers(answer, seen, 1_000_000, 0.5)
        await asyncio.to_thread(responder.lift, receipt)
        await read_numbers(answer, seen, 20, 20)
    assert seen == list(range(seen[0], seen[0] + len(seen)))


async def test_reading_goes_on_and_writing_does_not(
    gateway: GatewayServer, responder: Responder, service: HttpService
) -> None:
    async with agent(gateway, "writer") as client:
        async with client.post("things", json={}) as answer:
            assert answer.status == 200
        await asyncio.to_thread(responder.lock, LockSubject.AGENT, "writer", LockMode.READ_ONLY)
        before = len(service.received)
        async with client.post("things", json={}) as answer:
            assert answer.status == 403
            assert "being looked at" in (await answer.json(content_type=None))["detail"]
        assert len(service.received) == before
        async with client.get("things") as answer:
            assert answer.status == 200


async def test_a_lock_ends_what_waits_for_people(
    gateway: GatewayServer, responder: Responder, service: HttpService
) -> None:
    before = len(service.received)
    async with agent(gateway, "waiter") as client:
        waiting = asyncio.ensure_future(client.delete("volumes/1"))
        approval = await asyncio.to_thread(newest, gateway)
        await asyncio.to_thread(responder.lock, LockSubject.AGENT, "waiter")
        answer = await asyncio.wait_for(waiting, 20)
        assert answer.status == 403
    late = await asyncio.to_thread(gateway.command, "approvals", "approve", approval, "-r", "late", check=False)
    assert late.returncode == 1
    assert len(service.received) == before


async def test_a_client_that_hangs_up_takes_its_request_back(gateway: GatewayServer, service: HttpService) -> None:
    before = len(service.received)
    async with agent(gateway, "impatient") as client:
        with pytest.raises(TimeoutError):
            await client.delete("volumes/2", timeout=aiohttp.ClientTimeout(sock_read=1.5))
    await asyncio.to_thread(wait_for, lambda: _status_of(gateway, "impatient") == "withdrawn", "it was not taken back")
    assert len(service.received) == before


async def test_an_identity_that_is_disabled_is_cut_and_stays_out(gateway: GatewayServer, stream: Stream) -> None:
    async with agent(gateway, "leaver") as client, client.get("stream") as answer:
        await answer.content.readline()
        await asyncio.to_thread(gateway.command, "identities", "add", "leaver", "--kind", "agent")
        await asyncio.to_thread(gateway.command, "identities", "disable", "leaver")
        with pytest.raises(aiohttp.ClientError):
            await read_to_the_end(answer)
        async with client.get("hello") as refused:
            assert refused.status == 401


def _status_of(gateway: GatewayServer, principal: str) -> str:
    return next(one for one in requests(gateway) if one.principal == principal).status.value
