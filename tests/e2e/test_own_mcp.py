"""The gateway's own MCP server: what an agent can do about itself, under the same policy, masks and recording."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from interlock.core.approval import ApprovalStatus
from interlock.core.ledger import OperationDecided
from tests.e2e.held import count, make_dba, newest, requests, table_of_ten
from tests.e2e.ledger_files import records_of
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import AGENT, GatewayOptions, GatewayServer, http_target
from tests.servers.postgres import PostgresServer

POLICY = """
@id("own-server")
permit (principal, action in [Action::"connect", Action::"mcp-list", Action::"mcp-call"],
        resource in Connection::"interlock");
@id("reads") permit (principal, action == Action::"connect", resource in Connection::"shop");
@id("selects") permit (principal, action in [Action::"select", Action::"introspect"], resource in Connection::"shop");
@id("deletes") permit (principal, action in [Action::"delete", Action::"delete-all"], resource in Connection::"shop");
@id("deletes-need-a-dba") @approval("dba")
forbid (principal, action in [Action::"delete", Action::"delete-all"], resource in Connection::"shop");
@id("names") @mask("redact")
forbid (principal == Agent::"masked", action == Action::"reveal", resource)
when { resource is Column && resource == Column::"shop/shop/public/own_mcp_rows/name" };
@id("reviews") permit (principal in Group::"dba", action == Action::"review", resource);
@id("no-queries")
forbid (principal == Agent::"quiet", action == Action::"mcp-call", resource == Tool::"interlock/query");
"""


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    options = GatewayOptions(http=True, policy=POLICY, approval_wait_s=60, extra=http_target("hidden", 9))
    with GatewayServer(target, options) as running:
        yield running


@pytest.fixture
def table(postgres: PostgresServer, target: Endpoint) -> Iterator[str]:
    with table_of_ten(postgres, "own_mcp_rows", "n AS id, 'name ' || n AS name") as name:
        yield name


@asynccontextmanager
async def client_of(gateway: GatewayServer, mode: str = "2026-07-28", name: str = AGENT) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {gateway.token(name)}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(f"{gateway.http_url('interlock')}/mcp", http_client=http)
        async with Client(transport, mode=mode, cache=None) as client:
            yield client


async def call(client: Client, tool: str, **arguments: object) -> tuple[bool, Any]:
    """Whether it failed, and what the model reads: JSON, or text."""
    result = await client.call_tool(tool, dict(arguments))
    (content,) = result.content
    assert isinstance(content, TextContent)
    try:
        return bool(result.is_error), json.loads(content.text)
    except ValueError:
        return bool(result.is_error), content.text


@pytest.mark.parametrize("mode", ["2026-07-28", "auto", "legacy"])
async def test_an_agent_learns_what_it_may_use_and_do(gateway: GatewayServer, table: str, mode: str) -> None:
    async with client_of(gateway, mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == [
            "list_connections",
            "what_may_i_do",
            "query",
            "wait_for_approval",
        ]
        failed, connections = await call(client, "list_connections")
        assert not failed
        assert {one["name"]: one["speaks"] for one in connections} == {"interlock": "mcp", "shop": "postgres"}
        failed, allowed = await call(client, "what_may_i_do", connection="shop")
        answers = {one["what"]: one["answer"] for one in allowed}
        assert (answers["select"], answers["delete"], answers["drop"]) == ("allowed", "needs approval", "denied")
        failed, judged = await call(client, "what_may_i_do", connection="shop", request=f"DROP TABLE {table}")
        assert judged[0]["answer"] == "denied"
        failed, said = await call(client, "what_may_i_do", connection="hidden")
        assert (failed, said) == (True, "there is no connection 'hidden' that you may use: ask for list_connections")


async def test_a_query_runs_as_its_caller_and_is_recorded_twice(gateway: GatewayServer, table: str) -> None:
    async with client_of(gateway) as client:
        failed, result = await call(
            client, "query", connection="shop", sql=f"SELECT id, name FROM {table} ORDER BY id", max_rows=3
        )
        assert not failed
        assert result == {
            "columns": ["id", "name"],
            "rows": [[1, "name 1"], [2, "name 2"], [3, "name 3"]],
            "status": "",
            "more": True,
        }
        failed, refused = await call(client, "query", connection="shop", sql=f"DROP TABLE {table}")
        assert failed
        assert "drop" in refused
        failed, nowhere = await call(client, "query", connection="hidden", sql="SELECT 1")
        assert failed
        assert "does not exist" in nowhere
    decided = [(one.verb, one.decision) for one in records_of(gateway, OperationDecided)]
    assert ("tools/call query", "allowed") in decided
    assert ("SELECT", "allowed") in decided
    assert ("DROP TABLE", "denied") in decided


async def test_a_masked_column_stays_masked(gateway: GatewayServer, table: str) -> None:
    async with client_of(gateway, name="masked") as client:
        failed, result = await call(client, "query", connection="shop", sql=f"SELECT id, name FROM {table} LIMIT 1")
        assert not failed
        assert "name 1" not in str(result)


async def test_a_held_query_is_answered_at_once_and_its_rows_come_after_the_approval(
    gateway: GatewayServer, postgres: PostgresServer, table: str
) -> None:
    make_dba(gateway)
    async with client_of(gateway) as client, client_of(gateway, name="other") as stranger:
        sql = f"DELETE FROM {table} WHERE id <= 2 RETURNING id"
        failed, held = await call(client, "query", connection="shop", sql=sql)
        approval = newest(gateway)
        assert failed
        assert approval in held
        assert (await call(client, "query", connection="shop", sql=sql))[1] == held
        assert len(requests(gateway, ApprovalStatus.PENDING)) == 1
        failed, waiting = await call(client, "wait_for_approval", approval=approval, wait_s=0)
        assert (failed, "not answered yet" in waiting) == (True, True)
        failed, said = await call(stranger, "wait_for_approval", approval=approval)
        assert (failed, said) == (True, f"there is no request '{approval}' of yours")
        assert count(postgres, table) == 10
        asked = asyncio.ensure_future(call(client, "wait_for_approval", approval=approval, wait_s=30))
        await asyncio.to_thread(gateway.command, "approvals", "approve", approval, "--reason", "looked at it")
        failed, result = await asked
        assert (failed, result["rows"]) == (False, [[1], [2]])
    assert count(postgres, table) == 8


async def test_a_denied_request_says_so(gateway: GatewayServer, postgres: PostgresServer, table: str) -> None:
    make_dba(gateway)
    async with client_of(gateway) as client:
        await call(client, "query", connection="shop", sql=f"DELETE FROM {table} WHERE id = 7")
        approval = newest(gateway)
        await asyncio.to_thread(gateway.command, "approvals", "deny", approval, "--reason", "not today")
        failed, said = await call(client, "wait_for_approval", approval=approval, wait_s=30)
        assert failed
        assert "not today" in said
    assert count(postgres, table) == 10


async def test_who_may_not_query_is_not_shown_how(gateway: GatewayServer) -> None:
    async with client_of(gateway, name="quiet") as client:
        assert "query" not in [tool.name for tool in (await client.list_tools()).tools]
        failed, said = await call(client, "query", connection="shop", sql="SELECT 1")
        assert failed
        assert "no-queries" in said


async def test_it_is_a_connection_that_no_command_can_change(gateway: GatewayServer) -> None:
    shown = json.loads(gateway.command("connections", "list", "--json").stdout)
    assert {"hidden", "interlock", "shop"} == {one["name"] for one in shown}
    assert gateway.command("connections", "remove", "interlock", check=False).returncode == 1


async def test_the_server_answers_its_gateway_only(gateway: GatewayServer) -> None:
    ports = [line for line in gateway.log().splitlines() if "own MCP server" in line]
    assert len(ports) == 1
    port = json.loads(ports[0])["port"]
    async with aiohttp.ClientSession() as client:
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        async with client.post(f"http://127.0.0.1:{port}/mcp", json=ping) as answer:
            assert answer.status == 403
