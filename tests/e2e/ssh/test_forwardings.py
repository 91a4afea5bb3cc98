"""Forwardings: refused unless policy grants them, decided one by one, and ended with what they belong to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncssh
import pytest

from interlock.core.ledger import OperationCompleted, OperationDecided
from interlock.core.lock import LockMode, LockSubject
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.locking import Responder
from tests.e2e.ssh.access import NO_DATABASE, TIMEOUT_S, connect, until
from tests.servers.gateway import AGENT, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

POLICY = """
@id("commands") permit (principal, action in Action::"read", resource);
@id("forwardings") permit (principal in Group::"forwarders", action == Action::"forward", resource);
@id("not-there") @message("Nobody goes to localhost by name.")
forbid (principal, action == Action::"forward", resource == Host::"web/localhost");
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    with OpenSshServer() as host:
        options = GatewayOptions(policy=POLICY, groups=("forwarders",), ssh=True, extra=ssh_target("web", host))
        with GatewayServer(NO_DATABASE, options) as server:
            yield server


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that says what it is told; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_local_forwarding_carries_bytes_both_ways(gateway: GatewayServer) -> None:
    content = b"x" * 300_000
    async with echo() as port, connect(gateway) as client:
        reader, writer = await client.open_connection("127.0.0.1", port)
        writer.write(content)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), TIMEOUT_S) == content
        writer.close()
        with pytest.raises(asyncssh.ChannelOpenError, match="Nobody goes to localhost by name"):
            await client.open_connection("localhost", port)
    wait_for(
        lambda: any(r.bytes_sent == len(content) for r in records_of(gateway, OperationCompleted)),
        "the bytes on record",
    )


async def test_a_forwarding_to_nowhere_says_so(gateway: GatewayServer) -> None:
    async with connect(gateway) as client:
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_connection("127.0.0.1", 1)


async def test_a_remote_forwarding_brings_back_who_comes(gateway: GatewayServer) -> None:
    async with echo() as port, connect(gateway) as client:
        listener = await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)
        assert await said_back(listener.get_port()) == b"hello"
        assert await said_back(listener.get_port()) == b"hello"
        listener.close()
        await listener.wait_closed()

        async def is_closed() -> bool:
            try:
                return await said_back(listener.get_port()) != b"hello"
            except OSError:
                return True

        await until(is_closed, "nothing listens any more")
    kinds = [record.verb for record in records_of(gateway, OperationDecided)]
    assert kinds.count("FORWARD remote") == 1
    assert kinds.count("FORWARD return") >= 2


async def test_a_lock_ends_what_listens_and_what_has_come(gateway: GatewayServer) -> None:
    responder = Responder(gateway)
    async with echo() as port, connect(gateway) as client:
        listener = await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.read(5), TIMEOUT_S) == b"hello"
        try:
            await asyncio.to_thread(responder.lock, LockSubject.AGENT, AGENT, LockMode.REFUSE, "look here")
            assert await asyncio.wait_for(reader.read(), TIMEOUT_S) == b""
        finally:
            writer.close()
            await asyncio.to_thread(responder.lift_all)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", listener.get_port())


async def test_without_a_permit_nothing_is_forwarded(gateway: GatewayServer) -> None:
    async with echo() as port, connect(gateway, token=gateway.token(groups=("others",))) as client:
        with pytest.raises(asyncssh.ChannelOpenError, match="no rule permits"):
            await client.open_connection("127.0.0.1", port)
        with pytest.raises(asyncssh.ChannelListenError):
            await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)
        assert (await client.run("echo $SSH_AUTH_SOCK$DISPLAY")).exit_status in (0, 77)


async def said_back(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    writer.write_eof()
    said = await asyncio.wait_for(reader.read(), TIMEOUT_S)
    writer.close()
    return said
