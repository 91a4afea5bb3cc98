"""HTTP/2 from real clients through a running gateway: the same requests, decisions and answers as over HTTP/1.1."""

import asyncio
import hashlib
import ssl
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from aiohttp import web

from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService

MEGABYTE = bytes(range(256)) * 4096
POLICY = """
@id("all") permit (principal, action, resource);
@id("no-delete") @message("Volumes are never deleted.")
forbid (principal, action == Action::"http-delete", resource in Connection::"crm");
"""


async def _large(request: web.Request, body: bytes) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(20):
        await answer.write(MEGABYTE)
    await answer.write_eof()
    return answer


async def _digest(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response({"digest": hashlib.sha256(body).hexdigest(), "length": len(body)})


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService(large=_large, digest=_digest) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    options = GatewayOptions(http=True, policy=POLICY, extra=http_target("crm", service.port))
    with GatewayServer(NO_DATABASE, options) as running:
        yield running


def client_of(gateway: GatewayServer, *, http2: bool = True) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        http2=http2,
        http1=not http2,
        verify=ssl.create_default_context(cafile=str(gateway.certificate_file)),
        headers={"Authorization": f"Bearer {gateway.token()}"},
        base_url=gateway.http_url("crm", tls=True),
        timeout=60,
    )


async def test_many_streams_at_the_same_time(gateway: GatewayServer) -> None:
    async with client_of(gateway) as client:
        answers = await asyncio.gather(*(client.get(f"/n/{number}") for number in range(80)))
    assert {answer.http_version for answer in answers} == {"HTTP/2"}
    assert [answer.json()["path"] for answer in answers] == [f"/n/{number}" for number in range(80)]


async def test_large_bodies_in_both_directions(gateway: GatewayServer) -> None:
    async with client_of(gateway) as client:
        upload = client.post("/digest", content=MEGABYTE * 20, headers={"Content-Type": "application/octet-stream"})
        sent, received = await asyncio.gather(upload, client.get("/large"))
    assert sent.json() == {"digest": hashlib.sha256(MEGABYTE * 20).hexdigest(), "length": 20 << 20}
    assert received.content == MEGABYTE * 20


async def test_a_denial_reads_the_same_in_both_versions(gateway: GatewayServer) -> None:
    async with client_of(gateway) as two, client_of(gateway, http2=False) as one:
        answers = [await client.delete("/volumes/1") for client in (two, one)]
    assert [answer.http_version for answer in answers] == ["HTTP/2", "HTTP/1.1"]
    assert [answer.status_code for answer in answers] == [403, 403]
    problems = [answer.json() for answer in answers]
    assert problems[0]["detail"] == problems[1]["detail"]
    assert "Volumes are never deleted." in problems[0]["detail"]


async def test_an_answer_before_the_body_is_read(gateway: GatewayServer) -> None:
    async with client_of(gateway) as client:
        for _ in range(3):
            answer = await client.post("/digest", json={"a": 1}, headers={"Authorization": "Bearer x.y.z"})
            assert answer.status_code == 401
        assert (await client.post("/digest", json={"a": 1})).json()["length"] == len('{"a":1}')


def test_curl(gateway: GatewayServer) -> None:
    token, url = gateway.token(), gateway.http_url("crm", tls=True)
    options = f"-sS --http2 --cacert {gateway.certificate_file} -w %{{http_version}},%{{http_code}}"
    ran = subprocess.run(
        ["curl", *options.split(), "-H", f"Authorization: Bearer {token}", f"{url}/hello"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stdout == '{"method": "GET", "path": "/hello", "body": ""}2,200'
