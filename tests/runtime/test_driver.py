"""Stopping a session on its sockets: what a cut drops, what a freeze holds and gives again, what a target is asked."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from interlock.core.ledger import AnyRecord, OperationDecided
from interlock.core.operation import Access, Meaning, Operation, ResourceKind
from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.protocols import base
from interlock.protocols.base import Effect, Event, Side
from interlock.runtime.cancellation import CancelKeys
from interlock.runtime.dialer import TargetContexts
from interlock.runtime.driver import StreamDriver
from interlock.runtime.driver_parts import DriverParts
from interlock.runtime.live_sessions import LiveRegistry
from interlock.runtime.peer import Peer
from interlock.runtime.target_link import TargetLink
from interlock.services.live import Backend, LiveSession
from interlock.services.ports import TargetCredential
from tests.services.policy.examples import source
from tests.services.test_opening import POLICY, Parts

PROCESS = 4242
CANCEL = b"CANCEL"
HELLO = b"hello\n"
READY = b"ready\n"
TIMEOUT_S = 20.0
MEGABYTE = b"x" * (1 << 20)


ASK = b"ask\n"
DROP = b"drop\n"
AGAIN = b"again\n"
ASKED = Operation(1, Meaning("SELECT", (Access("select", ResourceKind.TABLE, ("public", "users")),)), b"SELECT 1")


class Pipe:
    """A protocol without any grammar: one login, then bytes go through. ``busy`` is what it says of the target.

    ``ASK`` asks for a decision, which the client is told; ``DROP`` lets go of the target, ``AGAIN`` connects it anew.
    """

    busy = True

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._open = False

    def activity(self) -> base.Activity:
        return base.Activity(busy=Pipe.busy)

    def handle(self, event: Event) -> Sequence[Effect]:
        if isinstance(event, base.DataReceived) and event.data == ASK:
            return [base.Authorize((ASKED,))]
        if isinstance(event, base.DataReceived) and event.data in (DROP, AGAIN):
            return [base.DisconnectTarget(), *([base.ConnectTarget()] if event.data == AGAIN else [])]
        if isinstance(event, base.Decided):
            return [base.Send(Side.CLIENT, f"{type(event.decisions[0]).__name__}\n".encode())]
        if isinstance(event, base.DataReceived):
            other = Side.TARGET if event.side is Side.CLIENT else Side.CLIENT
            return [base.Send(other, event.data)] if self._open else [base.Authenticate("shop", token="t")]
        if isinstance(event, base.Authenticated):
            return [base.ConnectTarget()]
        if isinstance(event, base.TargetConnected):
            self._open = True
            return [base.RegisterCancelKey(self._key, CANCEL, b"", PROCESS), base.Send(Side.CLIENT, READY)]
        if isinstance(event, base.Killed):
            return [base.Send(Side.CLIENT, f"ended: {event.reason}\n".encode()), base.Close(event.reason)]
        return [base.Close("it has left")] if isinstance(event, base.EofReceived) else []


@dataclass(frozen=True)
class Credential:
    user: str = "app"
    password: str | None = "secret"
    certificate_pem: bytes | None = None
    private_key_pem: bytes | None = None


class Recorder:
    wrapped_key = b"wrapped"

    def seal(self, operation: Operation) -> bytes:
        return b"sealed"

    def close(self) -> None: ...


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


class Target:
    """Takes connections; cancel requests are counted and answered by the end, as PostgreSQL does."""

    def __init__(self) -> None:
        self.sessions: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self.cancels = asyncio.Semaphore(0)
        self.is_quick = asyncio.Event()
        self.is_quick.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(len(CANCEL))
        if first == HELLO:
            await self.sessions.put((reader, writer))
            return
        assert first == CANCEL
        self.cancels.release()
        await self.is_quick.wait()
        await closed(writer)


class Client:
    """One client with its session: both ends of it."""

    def __init__(self, gateway: "Gateway", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._gateway = gateway
        self.reader, self.writer = reader, writer

    async def greet(self) -> None:
        """Log in, and wait until the target has heard of it."""
        self.writer.write(HELLO)
        assert await self.reader.readline() == READY
        self.live: LiveSession = list(self._gateway.live.all())[-1]
        self.writer.write(HELLO)
        self.target_reader, self.target_writer = await self._gateway.target.sessions.get()

    async def round_trip(self) -> None:
        self.writer.write(b"there\n")
        assert await self.target_reader.readline() == b"there\n"
        self.target_writer.write(b"back\n")
        assert await self.reader.readline() == b"back\n"


class Gateway(Parts):
    """Sessions over real sockets; everything else is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.live = LiveRegistry()
        self.target = Target()
        self.target_port = 0
        self.accepted: asyncio.Future[None] | None = None
        """What the ledger makes decisions wait for."""
        self.decided = asyncio.Event()
        self._ended = asyncio.Semaphore(0)
        self._writers: list[asyncio.StreamWriter] = []

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        super().append(record)
        if not isinstance(record, OperationDecided):
            return None
        self.decided.set()
        return self.accepted

    def find_connection(self, name: str) -> ConnectionSettings | None:
        return ConnectionSettings(
            protocol="postgres",
            host="127.0.0.1",
            port=self.target_port,
            databases=("shop",),
            user="app",
            tls=TlsMode.DISABLE,
        )

    def open(self, session_id: str, protocol: str) -> Any:
        return Recorder()

    async def reveal(self, connection: str) -> TargetCredential:
        return Credential()

    async def start(self) -> None:
        await self.policies.start([source(POLICY)])
        loop = asyncio.get_running_loop()
        target = await asyncio.start_server(self.target.serve, "127.0.0.1", 0)
        self.target_port = target.sockets[0].getsockname()[1]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._keys = CancelKeys()
        parts = DriverParts(
            "postgres",
            Pipe,
            8,
            tls,
            b"",
            self.reception(),
            self,
            self._keys,
            connect_timeout_s=TIMEOUT_S,
            live=self.live,
            contexts=TargetContexts(),
        )
        self._server = await loop.create_server(
            lambda: StreamDriver(parts, lambda _: None, lambda _: self._ended.release()).socket, "127.0.0.1", 0
        )
        self._servers = [self._server, target]

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection(*self._server.sockets[0].getsockname())
        client = Client(self, reader, writer)
        await client.greet()
        self._writers += [writer, client.target_writer]
        return client

    async def until_ended(self) -> None:
        await self._ended.acquire()

    async def stop(self) -> None:
        await self._keys.settle()
        for writer in self._writers:
            await closed(writer)
        for server in self._servers:
            server.close()


@pytest.fixture(params=[True, False], ids=["busy", "at rest"])
def busy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(Pipe, "busy", request.param)
    return bool(request.param)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    await gateway.start()
    async with asyncio.timeout(TIMEOUT_S):
        yield gateway
    await gateway.stop()


async def test_a_session_says_which_process_serves_it(gateway: Gateway) -> None:
    client = await gateway.connect()
    assert client.live.backend == Backend(PROCESS, client.target_writer.get_extra_info("peername")[1])


async def test_a_cut_tells_the_client_and_closes_both_sides(gateway: Gateway, busy: bool) -> None:
    client = await gateway.connect()
    client.live.cut("57P01", "looked at")
    assert await client.reader.read() == b"ended: looked at\n"
    assert await client.target_reader.read() == b""
    assert list(gateway.live.all()) == []
    client.live.cut("57P01", "again")  # nothing is left to do
    await gateway.until_ended()
    if busy:
        await gateway.target.cancels.acquire()
    assert gateway.target.cancels.locked(), "only what runs is cancelled, and once"


async def test_a_cut_drops_what_the_client_has_not_taken(gateway: Gateway) -> None:
    client = await gateway.connect()
    written = 0
    while client.live.unsent_bytes == 0:
        client.target_writer.write(MEGABYTE)
        written += len(MEGABYTE)
        await asyncio.sleep(0)
    client.live.cut("57P01", "looked at")
    received = bytearray()
    with pytest.raises(ConnectionResetError):
        await read_into(client.reader, received)
    assert len(received) < written
    await gateway.until_ended()


async def read_into(reader: asyncio.StreamReader, received: bytearray) -> None:
    while data := await reader.read(1 << 16):
        received += data


async def test_a_freeze_holds_both_directions_and_gives_everything_again(gateway: Gateway, busy: bool) -> None:
    client, other = await gateway.connect(), await gateway.connect()
    client.live.freeze()
    assert client.live.state == "frozen"
    client.writer.write(b"request\n")
    client.target_writer.write(b"answer\n")
    await client.writer.drain()
    await other.round_trip()  # others go on, so there was time for more than this
    await other.round_trip()
    received = [asyncio.ensure_future(reader.readline()) for reader in (client.target_reader, client.reader)]
    await other.round_trip()
    assert not any(reading.done() for reading in received)
    if busy:
        await gateway.target.cancels.acquire()
    assert gateway.target.cancels.locked()
    client.live.thaw()
    assert await asyncio.gather(*received) == [b"request\n", b"answer\n"]
    await client.round_trip()


@pytest.mark.parametrize("forbidden", [True, False])
async def test_what_was_permitted_while_frozen_is_looked_at_again(gateway: Gateway, forbidden: bool) -> None:
    client = await gateway.connect()
    accepted = gateway.accepted = asyncio.get_running_loop().create_future()
    client.writer.write(ASK)
    await gateway.decided.wait()
    client.live.freeze()
    accepted.set_result(None)
    if forbidden:
        await gateway.policies.activate([source(POLICY + '@id("none") forbid (principal, action, resource);')], "ada")
    client.live.thaw()
    assert await client.reader.readline() == (b"Denial\n" if forbidden else b"Permit\n")


async def test_a_client_that_leaves_is_noticed_when_one_looks(gateway: Gateway) -> None:
    client = await gateway.connect()
    client.live.freeze()
    client.writer.close()
    await client.writer.wait_closed()
    while gateway.live.all():
        gateway.live.notice_leaving()
        await asyncio.sleep(0)
    await gateway.until_ended()
    assert await client.target_reader.read() == b""


async def test_a_frozen_session_can_be_cut(gateway: Gateway) -> None:
    client = await gateway.connect()
    client.live.freeze()
    client.writer.write(b"request\n")
    await client.writer.drain()
    client.live.cut("57P01", "looked at")
    await gateway.until_ended()
    assert await client.target_reader.read() == b"", "what waited does not reach the target"
    assert list(gateway.live.all()) == []


async def test_many_cancel_requests_are_on_their_way_few_at_a_time(gateway: Gateway) -> None:
    clients, other = [await gateway.connect() for _ in range(30)], await gateway.connect()
    gateway.target.is_quick.clear()
    for client in clients:
        client.live.cut("57P01", "looked at")
    for _ in range(8):
        await gateway.target.cancels.acquire()
    await other.round_trip()
    assert gateway.target.cancels.locked(), "the target has no more of them to deal with"
    gateway.target.is_quick.set()
    for _ in range(22):
        await gateway.target.cancels.acquire()


async def test_a_client_does_not_wait_for_a_target_that_is_gone(gateway: Gateway) -> None:
    client = await gateway.connect()
    driver = driver_of(client)
    driver.writing_paused(Side.TARGET, True)
    client.target_writer.write(DROP)
    client.writer.write(ASK)
    assert await client.reader.readline() == b"Permit\n"


async def test_a_target_waits_for_a_client_that_does_not_read(gateway: Gateway) -> None:
    client = await gateway.connect()
    driver = driver_of(client)
    driver.writing_paused(Side.CLIENT, True)
    client.writer.write(AGAIN)
    assert await client.reader.readline() == READY
    target = driver._link.peer
    assert target is not None
    assert target._transport is not None
    assert not target._transport.is_reading()
    driver.writing_paused(Side.CLIENT, False)
    assert target._transport.is_reading()


async def test_a_stream_that_comes_too_late_is_let_go(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await gateway.connect()
    dial, dialled = TargetLink._dial, asyncio.Queue[tuple[Peer, asyncio.Event]]()

    async def slow_dial(link: TargetLink, settings: ConnectionSettings, asked: base.ConnectTarget) -> Peer:
        peer, release = await dial(link, settings, asked), asyncio.Event()
        await dialled.put((peer, release))
        await release.wait()
        return peer

    monkeypatch.setattr(TargetLink, "_dial", slow_dial)
    client.writer.write(AGAIN)
    late, release_late = await dialled.get()
    client.writer.write(AGAIN)
    timely, release_timely = await dialled.get()
    release_timely.set()
    assert await client.reader.readline() == READY
    release_late.set()
    client.writer.write(ASK)
    assert await client.reader.readline() == b"Permit\n"
    assert driver_of(client)._link.peer is timely
    assert late._transport is None or late._transport.is_closing()


def driver_of(client: Client) -> StreamDriver:
    driver: StreamDriver = client.live._driver  # type: ignore[attr-defined]
    return driver
