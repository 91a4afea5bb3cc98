"""Clients that mean harm: whatever they send is bounded, and ends nothing but their own connection."""

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_GLOBAL_REQUEST,
)
from asyncssh.packet import Boolean, String, UInt32

from tests.clients.ssh.way import Ways
from tests.e2e.ssh.access import NO_DATABASE, connect
from tests.servers.gateway import GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def host() -> Iterator[OpenSshServer]:
    with OpenSshServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(host: OpenSshServer) -> Iterator[GatewayServer]:
    with GatewayServer(NO_DATABASE, GatewayOptions(ssh=True, extra=ssh_target("web", host))) as server:
        yield server


@pytest.fixture(autouse=True)
async def others_go_on(gateway: GatewayServer) -> None:
    """Whatever a test did, the next client is served."""
    async with asyncio.timeout(TIMEOUT_S), connect(gateway) as client:
        assert (await client.run("echo served")).stdout == "served\n"


async def ends(client: asyncssh.SSHClientConnection) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await client.wait_closed()


async def test_a_thousand_channels_that_ask_for_nothing(gateway: GatewayServer) -> None:
    async with connect(gateway) as client:
        for number in range(1000):
            client.send_packet(MSG_CHANNEL_OPEN, String("session"), UInt32(10_000 + number), UInt32(1), UInt32(1024))
        with pytest.raises(asyncssh.Error):
            async with asyncio.timeout(TIMEOUT_S):
                await client.run("echo one more")


async def test_more_data_than_the_window_has_room_for(gateway: GatewayServer) -> None:
    async with connect(gateway) as client:
        process = await client.create_process("sleep 1000")
        channel = process.channel._send_chan or 0
        for _ in range(200):
            client.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String(b"x" * 32_000))
        await ends(client)


async def test_windows_that_are_opened_without_end_and_never_read(gateway: GatewayServer) -> None:
    before = _memory_kb(gateway)
    async with connect(gateway) as client:
        process = await client.create_process("head -c 400M /dev/zero", encoding=None)
        for _ in range(100):
            client.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(process.channel._send_chan or 0), UInt32(1 << 30))
        transport = client._transport
        assert transport is not None
        transport.pause_reading()
        grown = await _settled(gateway) - before
        client.abort()
    assert grown < 64 * 1024


async def test_requests_that_wait_behind_one_another_without_end(gateway: GatewayServer) -> None:
    async with connect(gateway) as client:
        for number in range(5000):
            client.send_packet(
                MSG_GLOBAL_REQUEST, String("tcpip-forward"), Boolean(True), String(""), UInt32(20_000 + number % 1000)
            )
        await ends(client)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (MSG_CHANNEL_DATA, (UInt32(77), String(b"for nobody"))),
        (MSG_CHANNEL_REQUEST, (UInt32(77), String("exec"), Boolean(True), String(b"echo out"))),
        (MSG_CHANNEL_OPEN, (String("session"), UInt32(1), UInt32(1), UInt32(0))),
        (MSG_CHANNEL_OPEN, (String("session"), UInt32(1))),
        (MSG_CHANNEL_WINDOW_ADJUST, ()),
        (MSG_GLOBAL_REQUEST, (String(b"\xff\xfe"), Boolean(True))),
        (20, (b"\0" * 40,)),
        (53, (String("a banner"),)),
        (200, (b"?",)),
    ],
    ids=["no-such-channel", "request-to-none", "no-packets", "short", "empty", "not-ascii", "kex", "auth", "unknown"],
)
async def test_a_packet_that_makes_no_sense(gateway: GatewayServer, kind: int, parts: tuple[bytes, ...]) -> None:
    async with connect(gateway) as client:
        client.send_packet(kind, *parts)
        with contextlib.suppress(asyncssh.Error):
            async with asyncio.timeout(TIMEOUT_S):
                await client.run("echo still here")


@pytest.mark.parametrize(
    "begun",
    [b"", b"\0" * 100_000, b"SSH-2.0-x\r\n" + b"\xff" * 100_000, b"SSH-1.5-old\r\n", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["nothing", "zeros", "ones", "version-1", "http"],
)
def test_a_stranger_that_speaks_no_ssh(gateway: GatewayServer, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.ssh_port), TIMEOUT_S) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(begun)
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(OSError):
            while part := connection.recv(4096):
                received += part
        assert b"Traceback" not in received


def test_a_command_that_is_no_text_runs_nowhere(gateway: GatewayServer, host: OpenSshServer) -> None:
    """Policy here permits everything, also what nobody can read; the gateway still cannot carry it."""
    with Ways() as ways:
        words = ways.through(gateway, "web").words("ssh", "target")
        environment = ways.through(gateway, "web").environment
        done = subprocess.run(
            [*words, b"touch \xff\xfe"], capture_output=True, env=environment, timeout=60, check=False
        )
    assert done.returncode == 255
    assert b"UTF-8" in done.stderr
    assert not [file for file in host.home.iterdir() if "\udcff" in file.name]


async def test_a_client_that_tries_to_log_in_without_end(gateway: GatewayServer) -> None:
    with pytest.raises(asyncssh.Error):
        async with asyncio.timeout(TIMEOUT_S), connect(gateway, token="", client_factory=_Stubborn):
            pass


class _Stubborn(asyncssh.SSHClient):
    """Has another guess every time."""

    tries = 0

    def password_auth_requested(self) -> str:
        self.tries += 1
        assert self.tries < 200, "nobody stops it"
        return f"guess {self.tries}"


async def _settled(gateway: GatewayServer) -> int:
    """The memory that it takes once that does not change any more."""
    async with asyncio.timeout(TIMEOUT_S):
        seen = [0]
        while seen[-5:] != [seen[-1]] * 5:
            await asyncio.sleep(0.1)
            seen.append(_memory_kb(gateway))
    return seen[-1]


def _memory_kb(gateway: GatewayServer) -> int:
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
