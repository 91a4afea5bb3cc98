"""Requests through the reverse listener, with a real client and a real server."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService


async def _customer(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response({"id": 7, "email": "ada@example.com", "nested": [{"email": "bob@example.com"}]})


POLICY = """
@id("all") permit (principal, action, resource);
@id("no-delete") @message("Volumes are never deleted.")
forbid (principal, action == Action::"http-delete", resource in Connection::"crm");
"""


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService(customer=_customer) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    options = GatewayOptions(http=True, policy=POLICY, extra=http_target("crm", service.port))
    with GatewayServer(NO_DATABASE, options) as running:
        yield running


async def test_a_request_reaches_the_target_without_the_token(gateway: GatewayServer, service: HttpService) -> None:
    token = gateway.token()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client:
        async with client.get(f"{gateway.http_url('crm')}/hello?a=1") as answer:
            assert (answer.status, await answer.json()) == (200, {"method": "GET", "path": "/hello?a=1", "body": ""})
        async with client.post(f"{gateway.http_url('crm')}/things", json={"a": 1}) as answer:
            assert (await answer.json())["body"] == '{"a": 1}'
    received = service.received[-1]
    assert "authorization" not in received.headers
    assert token not in str(received.headers)


async def test_a_denial_says_why_and_reaches_nothing(gateway: GatewayServer, service: HttpService) -> None:
    before = len(service.received)
    headers = {"Authorization": f"Bearer {gateway.token()}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        async with client.delete(f"{gateway.http_url('crm')}/volumes/1") as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert answer.status == 403
        async with client.get(f"{gateway.http_url('crm')}/hello") as answer:
            assert answer.status == 200
    assert "Volumes are never deleted." in problem["detail"]
    assert problem["rules"] == ["no-delete"]
    assert len(service.received) == before + 1


async def test_without_a_token_nothing_is_reached(gateway: GatewayServer, service: HttpService) -> None:
    before = len(service.received)
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{gateway.http_url('crm')}/hello") as answer:
            assert answer.status == 401
            assert "Bearer" in answer.headers["WWW-Authenticate"]
        async with client.get(f"{gateway.http_url('crm')}/hello", headers={"Authorization": "Bearer x.y.z"}) as answer:
            assert answer.status == 401
    assert len(service.received) == before


async def test_a_client_that_is_still_sending_reads_why_it_is_refused(gateway: GatewayServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http_port)
    size = 64 << 20
    writer.write(f"POST /c/crm/upload HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
    for _ in range(200):
        writer.write(b"x" * 65_536)
    assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    assert b"Bearer" in await reader.read()
    writer.transport.abort()
