"""What is left of a session over HTTP: a replay, an archive, a report of what was exposed, and whether a value left."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService
from tests.services.evidence.har_schema import read_har

POLICY = """
@id("all") permit (principal, action, resource);
@id("no-delete") forbid (principal, action == Action::"http-delete", resource in Connection::"crm");
@id("hide-email") @mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def _customer(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response({"id": 7, "name": "Ada Byron", "contacts": [{"email": "ada@example.com"}]})


async def _events(request: web.Request, body: bytes) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for name in ("Grace", "Edsger"):
        await answer.write(f'data: {{"name": "{name}", "email": "{name}@example.com"}}\n\n'.encode())
    await answer.write_eof()
    return answer


async def _socket(request: web.Request, body: bytes) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(json.dumps({"echo": message.data, "email": "alan@example.com"}))
    return socket


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    with HttpService(customer=_customer, events=_events, socket=_socket) as service:
        http = "fields = { email = ['pii'] }\n[connections.crm.http.endpoints.customer]\npath = '/customer'"
        options = GatewayOptions(http=True, policy=POLICY, extra=http_target("crm", service.port, http))
        with GatewayServer(NO_DATABASE, options) as running:
            yield running


@pytest.fixture(scope="module")
def session(gateway: GatewayServer) -> str:
    """One session that is over, by its id."""
    asyncio.run(_visit(gateway))
    (summary,) = _json_lines(gateway.command("sessions", "list", "--connection", "crm", "--json"))
    _until_it_is_over(gateway, str(summary["session"]))
    return str(summary["session"])


async def _visit(gateway: GatewayServer) -> None:
    headers = {
        "Authorization": f"Bearer {gateway.token()}",
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
    }
    url = gateway.http_url("crm")
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as client:
        for path in ("customer", "events"):
            async with client.get(f"{url}/{path}") as answer:
                assert "example.com" not in await answer.text()
        async with client.post(f"{url}/notes", json={"text": "hello"}) as answer:
            assert answer.status == 200
        async with client.delete(f"{url}/customer") as answer:
            assert answer.status == 403
        async with client.ws_connect(f"{url}/socket") as socket:
            await socket.send_str("ping")
            assert "example.com" not in (await socket.receive(5)).data


def _json_lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def _until_it_is_over(gateway: GatewayServer, session: str) -> None:
    for _ in range(200):
        (summary,) = _json_lines(gateway.command("sessions", "show", session, "--json"))
        if summary["status"] != "open":
            return
    raise AssertionError("the session has no end")


def test_a_replay_shows_the_exchanges(gateway: GatewayServer, session: str) -> None:
    text = gateway.command("sessions", "replay", session, "--no-wait").stdout
    assert "GET /customer HTTP/1.1" in text
    assert '"name": "Ada Byron"' in text
    assert '"email": "***"' in text
    assert 'data: {"name": "Grace", "email": "***"}' in text
    assert '"text": "hello"' in text
    assert "denied: " in text
    assert '{"echo": "ping", "email": "***"}' in text
    assert "example.com" not in text


def test_an_archive_has_the_exchanges(gateway: GatewayServer, session: str) -> None:
    log = read_har(gateway.command("sessions", "export", session, "--format", "har").stdout.encode())
    shown = [
        (entry.request.method, entry.request.url.partition("/customer")[1], entry.response.status)
        for entry in log.entries
    ]
    assert shown == [
        ("GET", "/customer", 200),
        ("GET", "", 200),
        ("POST", "", 200),
        ("DELETE", "/customer", 0),
        ("GET", "", 101),
    ]


def test_the_run_is_known(gateway: GatewayServer, session: str) -> None:
    (summary,) = _json_lines(gateway.command("sessions", "show", session, "--json"))
    assert summary["trace"] == TRACE


def test_a_report_counts_fields(gateway: GatewayServer, session: str) -> None:
    opened = gateway.command("incident", "open", "--connection", "crm", "--reason", "test", "--json")
    incident = json.loads(opened.stdout)["id"]
    report = json.loads(gateway.command("incident", "report", incident, "--format", "json").stdout)
    counted = {
        (place, column["name"]): (column["clear"], column["masked"], column["unclear"])
        for exposed in report["exposed"]
        for place in exposed["relations"] or ["(none)"]
        for column in exposed["columns"]
    }
    assert counted["customer", "/name"] == (1, 0, 0)
    assert counted["customer", "/contacts/*/email"] == (0, 1, 0)
    assert counted["(none)", "/email"] == (0, 3, 0)
    assert counted["(none)", "/name"] == (2, 0, 0)


def test_whether_a_value_left(gateway: GatewayServer, session: str) -> None:
    for value, status, where in (("Ada Byron", 1, ["field /name"]), ("Grace", 1, ["field /name"]), ("ada@", 0, [])):
        words = ("incident", "did-it-leave", "--connection", "crm", "--json", value)
        done = gateway.command(*words, check=False)
        assert done.returncode == status
        assert [found["where"] for found in json.loads(done.stdout)["found"]] == where
