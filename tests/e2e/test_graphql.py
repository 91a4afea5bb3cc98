"""GraphQL through the gateway: a destructive mutation is held in every form, and an alias shows nothing masked."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.e2e.held import make_dba
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.graphql_service import EMAIL, GraphqlService
from tests.servers.http_service import HttpService

POLICY = """
@id("reads") permit (principal, action in [Action::"connect", Action::"graphql-query"], resource);
@id("mutations") permit (principal, action == Action::"graphql-mutation", resource);
@id("reviews") permit (principal is User, action == Action::"review", resource);
@id("volumes") @approval("dba")
forbid (principal, action == Action::"graphql-mutation", resource == GraphqlField::"store/Mutation.volumeDelete");
@id("hide-email") @mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""
DELETE = "mutation { volumeDelete(id: 1) }"


@pytest.fixture(scope="module")
def shop() -> GraphqlService:
    return GraphqlService()


@pytest.fixture(scope="module")
def gateway(shop: GraphqlService) -> Iterator[GatewayServer]:
    fields = "api = 'graphql'\nhold_s = 0\nfields = { '/data/user/email' = ['pii'], '/data/users/*/email' = ['pii'] }"
    with HttpService(graphql=shop.answer) as service:
        options = GatewayOptions(http=True, policy=POLICY, extra=http_target("store", service.port, fields))
        with GatewayServer(NO_DATABASE, options) as running:
            make_dba(running)
            yield running


@pytest.fixture
async def client(gateway: GatewayServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {gateway.token()}"}) as session:
        yield session


async def _post(client: aiohttp.ClientSession, gateway: GatewayServer, asked: object) -> tuple[int, Any]:
    async with client.post(f"{gateway.http_url('store')}/graphql", json=asked) as answer:
        return answer.status, await answer.json(content_type=None)


_FORMS: dict[str, dict[str, Any]] = {
    "plain": {"json": {"query": DELETE}},
    "aliased": {"json": {"query": "mutation { nothing: volumeDelete(id: 1) }"}},
    "in a fragment": {"json": {"query": "mutation { ...F } fragment F on Mutation { volumeDelete(id: 1) }"}},
    "in a batch": {"json": [{"query": "{ user { id } }"}, {"query": DELETE}]},
    "named": {"json": {"query": "query A { user { id } } mutation B { volumeDelete(id: 1) }", "operationName": "B"}},
    "as a form": {"data": {"query": DELETE}},
    "as the document": {"data": DELETE.encode(), "headers": {"Content-Type": "application/graphql"}},
}


@pytest.mark.parametrize("form", _FORMS)
async def test_a_mutation_is_held_in_every_form(
    client: aiohttp.ClientSession, gateway: GatewayServer, shop: GraphqlService, form: str
) -> None:
    async with client.post(f"{gateway.http_url('store')}/graphql", **_FORMS[form]) as answer:
        problem = await answer.json(content_type=None)
    assert (answer.status, problem["retry"]) == (403, True)
    assert "volumes" in problem["rules"]
    assert "dba" in problem["errors"][0]["message"]
    assert shop.deleted == []


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/GraphQL"])
async def test_a_mutation_by_get_is_held(
    client: aiohttp.ClientSession, gateway: GatewayServer, shop: GraphqlService, path: str
) -> None:
    async with client.get(f"{gateway.http_url('store')}{path}?query={quote(DELETE)}") as answer:
        assert answer.status == 403
    assert shop.deleted == []


async def test_an_approval_is_for_one_request_once(
    client: aiohttp.ClientSession, gateway: GatewayServer, shop: GraphqlService
) -> None:
    asked = {"query": "mutation ($id: ID!) { volumeDelete(id: $id) }", "variables": {"id": "5"}}
    other = {**asked, "variables": {"id": "6"}}
    _, problem = await _post(client, gateway, asked)
    await asyncio.to_thread(gateway.command, "approvals", "approve", problem["approval"], "-r", "ok")
    assert (await _post(client, gateway, other))[0] == 403
    assert await _post(client, gateway, asked) == (200, {"data": {"volumeDelete": True}})
    assert (await _post(client, gateway, asked))[0] == 403
    assert shop.deleted == ["5"]


@pytest.mark.parametrize(
    "query",
    [
        "{ user { id email } }",
        "{ user { id x: email } }",
        "{ u: user { id email } }",
        "{ u: users { id x: email } }",
        "{ ...F } fragment F on Query { u: users { ...G } } fragment G on User { id x: email }",
    ],
)
async def test_an_alias_shows_nothing_masked(client: aiohttp.ClientSession, gateway: GatewayServer, query: str) -> None:
    for asked in ({"query": query}, [{"query": query}]):
        status, answer = await _post(client, gateway, asked)
        assert status == 200
        text = json.dumps(answer)
        assert EMAIL not in text
        assert '"7"' in text


async def test_what_does_not_parse_reaches_nothing(client: aiohttp.ClientSession, gateway: GatewayServer) -> None:
    status, problem = await _post(client, gateway, {"query": "mutation { volumeDelete(id: 1) "})
    assert status == 403
    assert "does not parse" in problem["detail"]
