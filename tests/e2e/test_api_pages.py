"""Pages while things are added, and rates: nothing is left out, nothing comes twice, and too much is told to wait."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from tests.e2e.api_callers import POLICY, ROLES, person
from tests.e2e.ledger_files import records, wait_for
from tests.servers.api import ApiClient
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

STATEMENTS = """
@id("agents") permit (principal is Agent, action, resource);
@id("held") @approval("reviewer") forbid (principal, action == Action::"delete", resource);
"""
OPTIONS = GatewayOptions(policy=POLICY + STATEMENTS, api_extra="requests_per_minute = 100000")
PER_MINUTE = 20


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, OPTIONS) as server:
        yield server


@pytest.fixture(scope="module")
def client(gateway: GatewayServer) -> ApiClient:
    return person(gateway, *ROLES)


def pages(client: ApiClient, path: str, limit: int) -> Iterator[list[Any]]:
    """Page by page until the end."""
    after = ""
    while True:
        page = client.get(f"{path}{'&' if '?' in path else '?'}limit={limit}&after={after}").json
        yield page["items"]
        if not (after := page["next"]):
            return


@contextmanager
def meanwhile(act: Callable[[int], object]) -> Iterator[None]:
    """Do something over and over in another thread."""
    done = threading.Event()

    def work() -> None:
        for number in itertools.count():
            if done.is_set():
                return
            act(number)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)


def lock(client: ApiClient, number: int) -> str:
    body = {"subject_kind": "agent", "subject": f"agent-{number}", "reason": "test"}
    found: str = client.request("POST", "/v1/locks", body).json["lock"]["id"]
    return found


def ask_for_approval(endpoint: Endpoint, number: int) -> None:
    with psycopg.connect(**endpoint.parameters(), autocommit=True) as connection, suppress(psycopg.errors.Error):
        connection.execute("DELETE FROM orders WHERE id = %s", (-number,))


@pytest.mark.parametrize("limit", [1, 7])
def test_the_ledger_in_pages_is_the_ledger(gateway: GatewayServer, client: ApiClient, limit: int) -> None:
    before = len(records(gateway))
    assert before
    with meanwhile(lambda number: client.get("/v1/operations?text=nothing")):
        found = []
        for page in pages(client, "/v1/ledger/entries", limit):
            assert 0 < len(page) <= limit
            found += page
            if len(found) > before + 20:
                break
    assert [item["sequence"] for item in found] == list(range(len(found)))
    kinds = [record.__struct_config__.tag for record in records(gateway)]
    assert [item["kind"] for item in found] == kinds[: len(found)]


def test_locks_in_pages(gateway: GatewayServer, client: ApiClient) -> None:
    there = {lock(client, number) for number in range(10)}
    with meanwhile(lambda number: lock(client, 100 + number)):
        found = [item["id"] for page in pages(client, "/v1/locks", 3) for item in page]
    assert len(found) == len(set(found))
    assert there <= set(found)
    assert found == sorted(found, reverse=True)
    for item in there:
        assert client.request("POST", f"/v1/locks/{item}/remove", {"reason": "test"}).status == 200


def test_sessions_and_requests_in_pages(gateway: GatewayServer, client: ApiClient) -> None:
    endpoint = gateway.endpoint()
    for number in range(7):
        ask_for_approval(endpoint, number)
    sessions = {item["session"] for item in client.get("/v1/sessions").json["items"]}
    requests = {item["id"] for item in client.get("/v1/approvals").json["items"]}
    assert (len(sessions), len(requests)) == (7, 7)
    with meanwhile(lambda number: ask_for_approval(endpoint, 100 + number)):
        found = [item["session"] for page in pages(client, "/v1/sessions", 2) for item in page]
        asked = [item["id"] for page in pages(client, "/v1/approvals?status=pending", 2) for item in page]
    assert len(found) == len(set(found))
    assert sessions <= set(found)
    assert len(asked) == len(set(asked))
    assert requests <= set(asked)


def test_open_sessions_in_pages(gateway: GatewayServer, client: ApiClient) -> None:
    wait_for(lambda: not client.get("/v1/sessions/live").json["items"], "the end of all sessions")
    endpoint = gateway.endpoint(gateway.token("liver"))
    connections = [psycopg.connect(**endpoint.parameters(), autocommit=True) for _ in range(5)]
    found = [item["id"] for page in pages(client, "/v1/sessions/live?principal=liver", 2) for item in page]
    assert len(set(found)) == len(found) == 5
    assert client.get("/v1/sessions/live?principal=nobody").json == {"items": [], "next": ""}
    assert client.get("/v1/sessions/live?connection=other").json["items"] == []
    for connection in connections:
        connection.close()


def test_operations_of_a_session_in_pages(gateway: GatewayServer, client: ApiClient) -> None:
    endpoint = gateway.endpoint(gateway.token("pager"))
    with psycopg.connect(**endpoint.parameters(), autocommit=True) as connection:
        for number in range(9):
            connection.execute(f"SELECT {number}".encode())
    session = wait_for(lambda: client.get("/v1/sessions?status=closed&principal=pager").json["items"], "it")[0][
        "session"
    ]
    for kind, limit in (("operations", 2), ("transcript", 3)):
        path = f"/v1/sessions/{session}/{kind}"
        whole = client.get(path).json["items"]
        assert whole
        assert [item for page in pages(client, path, limit) for item in page] == whole
    found = [item for page in pages(client, f"/v1/operations?session={session[:20]}&verb=SELECT", 4) for item in page]
    assert [item["text"] for item in found] == [f"SELECT {number}" for number in range(9)]


def test_who_asks_too_often_waits(target: Endpoint) -> None:
    with GatewayServer(target, replace(OPTIONS, api_extra=f"requests_per_minute = {PER_MINUTE}")) as gateway:
        eager, other = person(gateway, "auditor"), person(gateway, "developer")
        answers = [eager.get("/v1/connections") for _ in range(PER_MINUTE + 5)]
        refused = next(answer for answer in answers if answer.status != 200)
        assert refused.status == 429
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60 / PER_MINUTE + 1
        again = replace(eager, token=gateway.token("auditor", ["auditor"], kind="user"))
        assert again.get("/v1/connections").status == 429, "another token of the same person is no way out"
        assert other.get("/v1/policy").status == 200
        for _ in range(PER_MINUTE + 5):
            assert gateway.local_api().get("/v1/connections").status == 200


def test_who_brings_bad_tokens_over_and_over_is_not_heard(gateway: GatewayServer, client: ApiClient) -> None:
    guesser = replace(client, token="guess", source="127.0.0.77")
    answers = (guesser.get("/v1/whoami") for _ in range(200))
    refused = next(answer for answer in answers if answer.status != 401)
    assert refused.status == 429
    assert refused.headers["Retry-After"]
    assert replace(client, source="127.0.0.77").get("/v1/whoami").status == 429
    assert client.get("/v1/whoami").status == 200
