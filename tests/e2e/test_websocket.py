"""WebSockets through a running gateway: real clients, a server of an independent implementation."""

import asyncio
import json
import os
import ssl
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from interlock.core.lock import LockSubject
from tests.e2e.locking import Responder, wait_for
from tests.servers.gateway import AGENT, NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.websocket_echo import WebSocketEcho

TIMEOUT_S = 20
POLICY = """
@id("all") permit (principal, action, resource);
@id("hide-email") @mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
@id("no-sockets") @message("No sockets to this one.")
forbid (principal, action == Action::"http-websocket", resource in Connection::"closed");
@id("size") @budget("bytes=100000 per 1d")
forbid (principal == Agent::"eater", action == Action::"http-websocket", resource);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[WebSocketEcho]:
    with WebSocketEcho() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(server: WebSocketEcho) -> Iterator[GatewayServer]:
    extra = "".join(
        (
            http_target("open", server.port),
            http_target("closed", server.port),
            http_target("masked", server.port, "fields = { email = ['pii'] }\nmax_held_bytes = 65536"),
        )
    )
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=extra)) as running:
        yield running


def open_socket(
    gateway: GatewayServer, connection: str, path: str, *, tls: bool = False, name: str = AGENT, **options: Any
) -> connect:
    """A connection of ``websockets``, which compresses unless told otherwise."""
    url = gateway.http_url(connection, tls=tls).replace("http", "ws", 1) + path
    if tls:
        options["ssl"] = ssl.create_default_context(cafile=str(gateway.certificate_file))
    headers = {"Authorization": f"Bearer {gateway.token(name)}"}
    return connect(url, additional_headers=headers, max_size=None, open_timeout=TIMEOUT_S, proxy=None, **options)


async def told(socket: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the connection is closed."""
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(socket.recv(), TIMEOUT_S)
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code), closed.value.rcvd.reason


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_of_every_size(gateway: GatewayServer, tls: bool, compression: str | None) -> None:
    async with open_socket(gateway, "open", "/echo", tls=tls, compression=compression) as socket:
        for message in ("", "hello", "ü" * 40_000, bytes(range(256)) * 4096, "x" * (5 << 20)):
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), TIMEOUT_S) == message


async def test_fragments_in_both_directions(gateway: GatewayServer) -> None:
    async with open_socket(gateway, "open", "/fragments") as socket:
        await socket.send(["first ", "second ", "thïrd"])
        assert await asyncio.wait_for(socket.recv(), TIMEOUT_S) == "first second thïrd"


async def test_many_messages_without_waiting(gateway: GatewayServer) -> None:
    async with open_socket(gateway, "open", "/echo") as socket:
        messages = [f"message {number}" for number in range(2000)]

        async def send() -> None:
            for message in messages:
                await socket.send(message)

        sending = asyncio.create_task(send())
        received = [await asyncio.wait_for(socket.recv(), TIMEOUT_S) for _ in messages]
        await sending
    assert received == messages


async def test_the_handshake_is_one_of_the_gateway(gateway: GatewayServer, server: WebSocketEcho) -> None:
    async with open_socket(gateway, "open", "/echo", subprotocols=[Subprotocol("superchat")]) as socket:
        assert socket.subprotocol == "superchat"
        request = server.requests[-1]
    assert socket.request is not None
    assert "Authorization" not in request.headers
    assert request.headers["Sec-WebSocket-Key"] != socket.request.headers["Sec-WebSocket-Key"]
    assert request.headers["Sec-WebSocket-Protocol"] == "superchat"


async def test_pings_go_to_the_target_and_back(gateway: GatewayServer) -> None:
    async with open_socket(gateway, "open", "/echo") as socket:
        await asyncio.wait_for(await socket.ping("there?"), TIMEOUT_S)


async def test_closes_go_both_ways(gateway: GatewayServer, server: WebSocketEcho) -> None:
    async with open_socket(gateway, "open", "/close") as socket:
        await socket.send("please")
        assert await told(socket) == (4001, "enough")
    while server.closes.get(timeout=TIMEOUT_S) != (4001, "enough"):
        pass
    async with open_socket(gateway, "open", "/echo") as socket:
        await socket.send("hello")
        await socket.recv()
        await socket.close(4002, "done")
    assert socket.close_code == 4002
    assert server.closes.get(timeout=TIMEOUT_S) == (4002, "done")


async def test_a_target_that_leaves(gateway: GatewayServer) -> None:
    async with open_socket(gateway, "open", "/leave") as socket:
        await socket.send("now")
        code, _ = await told(socket)
        assert code == 1011


async def test_a_refused_handshake_is_an_answer(gateway: GatewayServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await open_socket(gateway, "open", "/no")
    assert refused.value.response.status_code == 418
    assert refused.value.response.body == b"no sockets here\n"


async def test_a_denied_socket_reaches_nothing(gateway: GatewayServer, server: WebSocketEcho) -> None:
    before = len(server.requests)
    with pytest.raises(InvalidStatus) as refused:
        await open_socket(gateway, "closed", "/echo")
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["rules"] == ["no-sockets"]
    assert len(server.requests) == before


async def test_texts_are_masked(gateway: GatewayServer) -> None:
    async with open_socket(gateway, "masked", "/secrets") as socket:
        await socket.send("hello")
        document = json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT_S))
    assert document["said"] == "hello"
    assert "example.com" not in document["email"]


async def test_what_cannot_be_looked_into_closes_the_socket(gateway: GatewayServer) -> None:
    async with open_socket(gateway, "masked", "/secrets") as socket:
        await socket.send("bytes")
        assert (await told(socket))[0] == 1008
    async with open_socket(gateway, "masked", "/echo") as socket:
        await socket.send('"' + "x" * 70_000 + '"')
        assert (await told(socket))[0] == 1009


async def test_a_lock_closes_open_sockets(gateway: GatewayServer, server: WebSocketEcho) -> None:
    responder = Responder(gateway)
    async with open_socket(gateway, "open", "/echo") as socket:
        await socket.send("hello")
        await socket.recv()
        while not server.closes.empty():
            server.closes.get()
        receipt = await asyncio.to_thread(responder.lock, LockSubject.AGENT, AGENT)
        try:
            code, reason = await told(socket)
        finally:
            await asyncio.to_thread(responder.lift, receipt)
    assert code == 1008
    assert "locked" in reason
    assert server.closes.get(timeout=TIMEOUT_S) == (1008, reason)


async def test_a_budget_that_is_spent_closes_the_socket(gateway: GatewayServer) -> None:
    async with open_socket(gateway, "open", "/echo", name="eater") as socket:
        for _ in range(5):
            await socket.send(os.urandom(20_000))
            assert len(await asyncio.wait_for(socket.recv(), TIMEOUT_S)) == 20_000
        await socket.send("is there more?")
        assert await told(socket) == (1008, "a budget is spent")


async def test_a_mask_that_comes_meanwhile_counts_from_then_on(server: WebSocketEcho) -> None:
    options = GatewayOptions(http=True, policy=POLICY, extra=http_target("open", server.port))
    with GatewayServer(NO_DATABASE, options) as gateway:
        async with open_socket(gateway, "open", "/secrets") as socket, asyncio.timeout(TIMEOUT_S):
            await socket.send("before")
            assert "ada@example.com" in str(await socket.recv())
            hide = '@id("h") @mask("redact") forbid (principal, action == Action::"reveal", resource == Field::"{}");'
            gateway.policy_file.write_text(POLICY + hide.format("open/email"))
            told = "ada@example.com"
            while "ada@example.com" in told:
                await socket.send("after")
                told = str(await socket.recv())
        assert json.loads(told)["said"] == "after"


async def test_a_client_that_breaks_the_protocol(gateway: GatewayServer) -> None:
    url = f"{gateway.http_url('open')}/echo"
    headers = {"Authorization": f"Bearer {gateway.token()}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url) as socket:
        await socket._writer.send_frame(b"\xff\xfe", WSMsgType.TEXT.value)  # no UTF-8
        message = await asyncio.wait_for(socket.receive(), TIMEOUT_S)
        assert message.type is WSMsgType.CLOSE
        assert message.data == 1007


async def test_another_client(gateway: GatewayServer) -> None:
    url = f"{gateway.http_url('open')}/echo"
    headers = {"Authorization": f"Bearer {gateway.token()}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url, compress=15) as socket:
        for number in range(20):
            await socket.send_str(f"text {number} " * 200)
            assert (await asyncio.wait_for(socket.receive(), TIMEOUT_S)).data == f"text {number} " * 200


async def test_through_the_proxy(gateway: GatewayServer, server: WebSocketEcho) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/echo", proxy=gateway.proxy_url()) as socket:
        await socket.send("by proxy")
        assert await asyncio.wait_for(socket.recv(), TIMEOUT_S) == "by proxy"


async def test_messages_are_on_record(gateway: GatewayServer) -> None:
    async with open_socket(gateway, "masked", "/secrets") as socket:
        await socket.send("a question that is on record")
        await socket.recv()
    newest = json.loads(gateway.command("sessions", "list", "--json", "--connection", "masked", "--limit", "1").stdout)
    replays: list[str] = []

    def said() -> bool:
        replays.append(gateway.command("sessions", "replay", newest["session"]).stdout)
        return "said" in replays[-1]

    await asyncio.to_thread(wait_for, said, "what the target said is on record")
    assert "a question that is on record" in replays[-1]
    assert "example.com" not in replays[-1]
