"""What the gateway does to requests over HTTP/2: held, masked and cut streams beside others on the same connection."""

import asyncio
import contextlib
import json
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from aiohttp import web
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamEnded, StreamReset

from interlock.core.lock import LockSubject
from tests.e2e.held import make_dba, newest
from tests.e2e.locking import Responder
from tests.servers.gateway import AGENT, NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService

TIMEOUT_S = 30
POLICY = """
@id("all") permit (principal, action, resource);
@id("hide-email") @mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
@id("ask") @approval("dba")
forbid (principal, action == Action::"http-delete", resource in Connection::"crm");
"""


async def _customer(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response({"id": 7, "email": "ada@example.com", "nested": [{"email": "bob@example.com"}]})


async def _events(request: web.Request, body: bytes) -> web.StreamResponse:
    """Events one by one: the next one when the last one was acknowledged with another request."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for number in range(3):
        await answer.write(f'data: {{"n": {number}, "email": "ada@example.com"}}\n\n'.encode())
        await _steps().get()
    await answer.write_eof()
    return answer


async def _step(request: web.Request, body: bytes) -> web.StreamResponse:
    _steps().put_nowait(None)
    return web.Response(status=204)


async def _endless(request: web.Request, body: bytes) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"more and more\n")
        await asyncio.sleep(0.01)


_queues: dict[asyncio.AbstractEventLoop, asyncio.Queue[None]] = {}


def _steps() -> asyncio.Queue[None]:
    return _queues.setdefault(asyncio.get_running_loop(), asyncio.Queue())


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService(customer=_customer, events=_events, step=_step, endless=_endless) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    extra = http_target("crm", service.port, "hold_s = 20\nfields = { email = ['pii'] }")
    extra += http_target("plain", service.port)
    options = GatewayOptions(http=True, policy=POLICY, extra=extra, approval_wait_s=20)
    with GatewayServer(NO_DATABASE, options) as running:
        make_dba(running)
        yield running


@pytest.fixture
async def client(gateway: GatewayServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        http2=True,
        http1=False,
        verify=ssl.create_default_context(cafile=str(gateway.certificate_file)),
        headers={"Authorization": f"Bearer {gateway.token()}"},
        base_url=gateway.http_url("crm", tls=True),
        timeout=TIMEOUT_S,
    ) as running:
        yield running


async def test_masked_fields(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/customer") for _ in range(10)))
    assert {answer.json()["id"] for answer in answers} == {7}
    assert not [answer for answer in answers if "example.com" in answer.text]


async def test_events_come_as_they_are_sent(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/events") as answer:
        lines = answer.aiter_lines()
        for number in range(3):
            data = await asyncio.wait_for(anext(line async for line in lines if line), TIMEOUT_S)
            event = json.loads(data.removeprefix("data: "))
            assert event["n"] == number
            assert "example.com" not in event["email"]
            assert (await client.get("/step")).status_code == 204


async def test_a_held_request_holds_no_other(client: httpx.AsyncClient, gateway: GatewayServer) -> None:
    asking = asyncio.ensure_future(client.delete("/volumes/1"))
    request = await asyncio.to_thread(newest, gateway)
    others = await asyncio.gather(*(client.get(f"/n/{number}") for number in range(10)))
    assert {other.status_code for other in others} == {200}
    assert not asking.done()
    await asyncio.to_thread(gateway.command, "approvals", "approve", request, "-r", "ok")
    assert (await asking).status_code == 200


async def test_a_lock_cuts_streams_and_their_connection(gateway: GatewayServer) -> None:
    async with RawClient.to(gateway) as client:
        streams = [await client.get("/c/plain/endless") for _ in range(3)]
        await client.until(lambda: len(client.answered) == 3)
        responder = Responder(gateway)
        receipt = await asyncio.to_thread(responder.lock, LockSubject.AGENT, AGENT)
        try:
            await client.until(lambda: client.ended)
        finally:
            await asyncio.to_thread(responder.lift, receipt)
    assert not client.complete & set(streams)


async def test_a_stream_that_is_given_up_leaves_the_others_alone(gateway: GatewayServer) -> None:
    async with RawClient.to(gateway) as client:
        endless = await client.get("/c/plain/endless")
        await client.until(lambda: endless in client.answered)
        client.h2.reset_stream(endless, ErrorCodes.CANCEL)
        other = await client.get("/c/plain/other")
        await client.until(lambda: other in client.complete)


async def test_rapid_resets_end_the_connection(gateway: GatewayServer) -> None:
    async with RawClient.to(gateway) as client:
        while not client.ended:
            stream = await client.get("/c/plain/endless")
            client.h2.reset_stream(stream, ErrorCodes.CANCEL)
            client.h2.ping(b"12345678")
            await client.flush()
            await client.read_some()
        assert client.went_away == ErrorCodes.ENHANCE_YOUR_CALM
    async with RawClient.to(gateway) as client:
        stream = await client.get("/c/plain/still/there")
        await client.until(lambda: stream in client.complete)


def test_a_load_of_streams(gateway: GatewayServer) -> None:
    """``h2load`` is part of nghttp2; without it there is ``test_http2.py``."""
    command = ["h2load", "-n", "2000", "-c", "4", "-m", "25", "-H", f"authorization: Bearer {gateway.token()}"]
    try:
        ran = subprocess.run(
            [*command, f"{gateway.http_url('crm', tls=True)}/hello"], capture_output=True, text=True, timeout=100
        )
    except FileNotFoundError:
        pytest.skip("h2load is not installed")
    assert re.search(r"2000 succeeded, 0 failed, 0 errored", ran.stdout), ran.stdout
    assert "status codes: 2000 2xx" in ran.stdout


class RawClient:
    """An HTTP/2 client that can do what libraries do not let one do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer, self._token = reader, writer, token
        self.h2 = H2Connection(H2Configuration())
        self.answered: set[int] = set()
        self.complete: set[int] = set()
        self.went_away: int | None = None
        self.ended = False

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, gateway: GatewayServer) -> "AsyncIterator[RawClient]":
        """A connection to a gateway, that ends with the context."""
        context = ssl.create_default_context(cafile=str(gateway.certificate_file))
        context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http_port, ssl=context)
        client = cls(reader, writer, gateway.token())
        client.h2.initiate_connection()
        await client.flush()
        try:
            yield client
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def get(self, path: str) -> int:
        """Begin a request; its stream."""
        stream = self.h2.get_next_available_stream_id()
        fields = {":method": "GET", ":scheme": "https", ":authority": "127.0.0.1", ":path": path}
        self.h2.send_headers(stream, [*fields.items(), ("authorization", f"Bearer {self._token}")], end_stream=True)
        await self.flush()
        return stream

    async def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def read_some(self) -> None:
        try:
            data = await asyncio.wait_for(self._reader.read(1 << 16), TIMEOUT_S)
        except OSError:
            data = b""
        for event in self.h2.receive_data(data) if data else ():
            self._take(event)
        self.ended = self.ended or not data
        await self.flush()

    def _take(self, event: Event) -> None:
        stream = getattr(event, "stream_id", None)
        if isinstance(event, StreamEnded):
            self.complete.add(stream or 0)
        elif isinstance(event, ConnectionTerminated):
            self.went_away, self.ended = int(event.error_code or 0), True
        elif stream and not isinstance(event, StreamReset):
            self.answered.add(stream)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Read until it is so."""
        while not condition():
            assert not self.ended
            await self.read_some()
