"""The ways in which clients come: proxy, tunnel, WebSocket; and what becomes of masked and of held requests."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.e2e.held import make_dba, newest
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService

POLICY = """
@id("all") permit (principal, action, resource);
@id("hide-email") @mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
@id("ask") @approval("dba")
forbid (principal, action == Action::"http-delete", resource);
"""


async def _customer(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response({"id": 7, "email": "ada@example.com", "nested": [{"email": "bob@example.com"}]})


async def _socket(request: web.Request, body: bytes) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(json.dumps({"echo": message.data, "email": "ada@example.com"}))
    return socket


async def _events(request: web.Request, body: bytes) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for number in range(3):
        await answer.write(f'data: {{"n": {number}, "email": "ada@example.com"}}\n\n'.encode())
    await answer.write_eof()
    return answer


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService(customer=_customer, socket=_socket, events=_events) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    fields = "fields = { email = ['pii'] }\nhold_s = 60"
    quick = http_target("quick", service.port, "hold_s = 0.5")
    extra = (
        http_target("crm", service.port, fields)
        + quick
        + http_target("plain", service.port, "tunnel = true\nhosts = ['localhost']\nallow_private = true")
    )
    options = GatewayOptions(http=True, policy=POLICY, extra=extra, approval_wait_s=60)
    with GatewayServer(NO_DATABASE, options) as running:
        make_dba(running)
        yield running


@pytest.fixture
async def client(gateway: GatewayServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {gateway.token()}"}) as session:
        yield session


async def test_masked_fields(client: aiohttp.ClientSession, gateway: GatewayServer) -> None:
    async with client.get(f"{gateway.http_url('crm')}/customer") as answer:
        text = await answer.text()
    assert json.loads(text)["id"] == 7
    assert "example.com" not in text


async def test_masked_events(client: aiohttp.ClientSession, gateway: GatewayServer) -> None:
    async with client.get(f"{gateway.http_url('crm')}/events") as answer:
        text = await answer.text()
    assert text.count("data:") == 3
    assert "example.com" not in text


async def test_websocket_messages_are_masked(client: aiohttp.ClientSession, gateway: GatewayServer) -> None:
    async with client.ws_connect(f"{gateway.http_url('crm')}/socket") as socket:
        await socket.send_str("hello")
        message = json.loads((await socket.receive(5)).data)
    assert message["echo"] == "hello"
    assert "example.com" not in message["email"]


async def test_the_proxy(gateway: GatewayServer, service: HttpService) -> None:
    async with aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{service.port}/things?x=1"
        async with client.get(url, proxy=gateway.proxy_url()) as answer:
            assert (await answer.json())["path"] == "/things?x=1"
        async with client.get("http://127.0.0.1:9/", proxy=gateway.proxy_url()) as answer:
            assert answer.status == 403
        async with client.get(url, proxy=f"http://127.0.0.1:{gateway.proxy_port}") as answer:
            assert answer.status == 407
    assert "proxy-authorization" not in service.received[-1].headers


async def test_a_blind_tunnel(gateway: GatewayServer, service: HttpService) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.proxy_port)
    basic = base64.b64encode(f"agent:{gateway.token()}".encode()).decode()
    writer.write(
        f"CONNECT localhost:{service.port} HTTP/1.1\r\nHost: localhost:{service.port}\r\n"
        f"Proxy-Authorization: Basic {basic}\r\n\r\n".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await reader.readline()
    writer.write(b"GET /in-the-tunnel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"in-the-tunnel" in await reader.read()
    writer.close()


async def _delete(client: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, Any]]:
    async with client.delete(url, json={"why": "test"}) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_held_request_goes_on_when_it_is_approved(
    client: aiohttp.ClientSession, gateway: GatewayServer, service: HttpService
) -> None:
    before = len(service.received)
    asking = asyncio.ensure_future(_delete(client, f"{gateway.http_url('crm')}/volumes/1"))
    request = await asyncio.to_thread(newest, gateway)
    assert len(service.received) == before
    await asyncio.to_thread(gateway.command, "approvals", "approve", request, "-r", "ok")
    assert (await asking)[0] == 200
    assert len(service.received) == before + 1


async def test_a_held_request_that_nobody_answers_is_sent_again(
    client: aiohttp.ClientSession, gateway: GatewayServer, service: HttpService
) -> None:
    before = len(service.received)
    volumes = f"{gateway.http_url('quick')}/volumes"
    status, problem = await _delete(client, f"{volumes}/2")
    assert (status, problem["retry"]) == (403, True)
    await asyncio.to_thread(gateway.command, "approvals", "approve", problem["approval"], "-r", "ok")
    assert (await _delete(client, f"{volumes}/3"))[0] == 403
    assert len(service.received) == before
    assert (await _delete(client, f"{volumes}/2"))[0] == 200
    assert (await _delete(client, f"{volumes}/2"))[0] == 403
    assert len(service.received) == before + 1


async def test_a_body_that_is_too_long_to_be_approved_is_refused(
    client: aiohttp.ClientSession, gateway: GatewayServer, service: HttpService
) -> None:
    before = len(service.received)
    url = f"{gateway.http_url('crm')}/volumes/9"
    async with client.delete(url, data=io.BytesIO(b"x" * (5 << 20)), headers={"Expect": "100-continue"}) as answer:
        problem = await answer.json(content_type=None)
    assert answer.status == 403
    assert "its body is longer than what can be shown" in problem["detail"]
    assert len(service.received) == before
