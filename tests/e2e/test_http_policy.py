"""What policy says of HTTP, on the wire: endpoints, tags, fields, paths, budgets, and changes under an open client."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from aiohttp import web

from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService

CUSTOMER = {
    "id": 7,
    "email": "ada@example.com",
    "notes": [{"Email": "bob@example.com"}],
    "customer": {"phone": "12345"},
}

POLICY = """
@id("all") permit (principal, action, resource);
@id("dangerous") @message("Ask the operators.")
forbid (principal, action in Action::"destructive", resource in Tag::"dangerous");
@id("no-exports") forbid (principal, action, resource in Connection::"crm")
when { context has http && context.http.path like "*/export*" };
@id("pii") @mask("redact") forbid (principal, action == Action::"reveal", resource in Tag::"pii");
@id("never") forbid (principal, action == Action::"reveal", resource == Field::"crm/password");
@id("size") @budget("bytes=100000 per 1d") forbid (principal == Agent::"eater", action in Action::"read", resource);
@id("shared") @budget("bytes=100000 per 1d")
forbid (principal == Agent::"sharer", action in Action::"read", resource);
@id("few") @budget("requests=3 per 1d") forbid (principal == Agent::"frequent", action in Action::"read", resource);
"""
SETTINGS = """
[connections.crm.http.endpoints]
volumes = { path = "/volumes/{id}", tags = ["dangerous"] }
[connections.crm.http.fields]
email = ["pii"]
"/customer/phone" = ["pii"]
"""


async def _customer(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response(CUSTOMER)


async def _secret(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response({"user": {"password": "hunter2"}})


async def _large(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(body=b"x" * 1_000_000, content_type="application/octet-stream")


ASKED, ANSWER = threading.Event(), threading.Event()


async def _late(request: web.Request, body: bytes) -> web.StreamResponse:
    ASKED.set()
    await asyncio.to_thread(ANSWER.wait, 30)
    return web.Response(text="what nobody may have any more")


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService(customer=_customer, secret=_secret, large=_large, late=_late) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    extra = http_target("crm", service.port, SETTINGS) + http_target("raw", service.port)
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=extra)) as running:
        yield running


@pytest.fixture
def client(gateway: GatewayServer) -> Iterator[httpx2.Client]:
    with client_of(gateway) as opened:
        yield opened


def client_of(gateway: GatewayServer, name: str = "agent", connection: str = "crm") -> httpx2.Client:
    headers = {"Authorization": f"Bearer {gateway.token(name)}"}
    return httpx2.Client(base_url=gateway.http_url(connection), headers=headers, timeout=30)


def eventually(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_endpoint_with_a_tag(client: httpx2.Client, service: HttpService) -> None:
    before = len(service.received)
    refused = client.delete("/volumes/7")
    assert refused.status_code == 403
    assert "Ask the operators." in refused.json()["detail"]
    assert "endpoint crm/volumes" in refused.json()["detail"]
    assert len(service.received) == before
    assert client.delete("/things/7").status_code == 200
    assert client.get("/volumes/7").status_code == 200


@pytest.mark.parametrize("path", ["/a/export", "/a/e%78port?x=1", "/a/export/"])
def test_a_path_however_it_is_written(client: httpx2.Client, service: HttpService, path: str) -> None:
    before = len(service.received)
    assert client.get(path).status_code == 403
    assert len(service.received) == before


def test_fields_with_a_tag(client: httpx2.Client) -> None:
    answer = client.get("/customer")
    assert answer.status_code == 200
    shown = answer.json()
    assert shown["id"] == 7
    for masked in (shown["email"], shown["notes"][0]["Email"], shown["customer"]["phone"]):
        assert masked not in ("ada@example.com", "bob@example.com", "12345")


def test_a_field_that_must_not_be_shown_at_all(client: httpx2.Client) -> None:
    answer = client.get("/secret")
    assert answer.status_code == 403
    assert b"hunter2" not in answer.content


def test_bytes_have_a_budget(gateway: GatewayServer) -> None:
    with client_of(gateway, "eater", "raw") as eater:
        with pytest.raises(httpx2.RemoteProtocolError):
            eater.get("/large")
        refused = eater.get("/hello")
        assert refused.status_code == 403
        assert "bytes per 1d" in refused.json()["detail"]


def test_a_budget_that_is_spent_before_an_answer_comes(gateway: GatewayServer) -> None:
    with client_of(gateway, "sharer", "raw") as late, client_of(gateway, "sharer", "raw") as other:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(late.get, "/late")
            assert ASKED.wait(30)
            with pytest.raises(httpx2.RemoteProtocolError):
                other.get("/large")
            ANSWER.set()
            refused = waiting.result(30)
        assert refused.status_code == 403
        assert "bytes per 1d" in refused.json()["detail"]
        assert refused.json()["reason"] == "a budget is spent"
        assert "nobody" not in refused.text


def test_requests_have_a_budget(gateway: GatewayServer) -> None:
    statuses = []
    for _ in range(2):
        with client_of(gateway, "frequent") as frequent:
            statuses += [frequent.get("/hello").status_code for _ in range(2)]
    assert statuses == [200, 200, 200, 403]


def test_a_lock_masks_everything_on_an_open_connection(gateway: GatewayServer) -> None:
    with client_of(gateway, "suspect") as suspect:
        assert suspect.get("/customer").json()["id"] == 7
        asked = {"subject_kind": "agent", "subject": "suspect", "mode": "mask-all", "reason": "looking"}
        receipt = gateway.local_api().request("POST", "/v1/locks", asked)
        assert receipt.status == 200, receipt.body
        assert suspect.get("/customer").json()["id"] != 7
        lock = receipt.json["lock"]["id"]
        assert gateway.local_api().request("POST", f"/v1/locks/{lock}/remove", {"reason": "seen"}).status == 200
        assert suspect.get("/customer").json()["id"] == 7


def test_a_policy_that_changes_counts_for_the_next_request(service: HttpService) -> None:
    extra = http_target("crm", service.port, SETTINGS)
    with (
        GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=extra)) as gateway,
        client_of(gateway) as client,
    ):
        assert client.get("/customer").json()["id"] == 7
        hide = '@id("ids") @mask("redact") forbid (principal, action == Action::"reveal", resource == Field::"crm/id");'
        gateway.policy_file.write_text(POLICY + hide)
        eventually(lambda: client.get("/customer").json()["id"] != 7)
        gateway.policy_file.write_text(POLICY + '@id("no") forbid (principal, action == Action::"http-get", resource);')
        eventually(lambda: client.get("/customer").status_code == 403)


def test_a_connection_that_is_added_brings_its_tags(gateway: GatewayServer, service: HttpService) -> None:
    settings = {
        "protocol": "http",
        "host": "127.0.0.1",
        "port": service.port,
        "tls": "disable",
        "http": {
            "credential_as": "none",
            "endpoints": {"hello": {"path": "/hello", "tags": ["dangerous"]}},
            "fields": {"id": ["pii"]},
        },
    }
    added = gateway.local_api().request("PUT", "/v1/connections/added", {"settings": settings})
    assert added.status == 200, added.body
    with client_of(gateway, connection="added") as client:
        assert client.delete("/hello").status_code == 403
        assert client.get("/customer").json()["id"] != 7
    assert "Endpoint::added/hello" in gateway.local_api().request("GET", "/v1/policy").json["text"]


def test_explain_says_what_the_wire_does(gateway: GatewayServer) -> None:
    said = gateway.local_api().request(
        "POST", "/v1/policy/explain", {"name": "agent", "connection": "crm", "statement": "DELETE /volumes/7"}
    )
    assert said.json["outcome"] == "denied"
    assert said.json["rules"] == ["dangerous"]
    assert any(line.startswith("email: redact") for line in said.json["masked"])
