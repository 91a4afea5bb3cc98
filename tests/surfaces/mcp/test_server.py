"""The gateway's own MCP server by itself: whom it answers, and what it says to bad requests."""

import json
from typing import Any

import pytest

from interlock.core.errors import LoginRefused, NotFound
from interlock.core.identity import Principal
from interlock.surfaces.mcp.server import SECRET_HEADER, McpServer
from interlock.surfaces.mcp.tools import Caller, Said, ToolArguments, definitions
from tests.services.policy.examples import agent


class Desk:
    """In the place of ``ToolDesk``: keeps what it was asked, and fails as ``failure`` says."""

    def __init__(self) -> None:
        self.calls: list[tuple[Caller, ToolArguments]] = []
        self.failure: Exception | None = None

    async def call(self, caller: Caller, arguments: ToolArguments) -> Said:
        self.calls.append((caller, arguments))
        if self.failure is not None:
            raise self.failure
        return Said("done")


async def identify(token: str) -> Principal:
    if token != "good":
        raise LoginRefused("the token is not accepted", "unknown issuer")
    return agent(name="ci-1")


class Client:
    """Speaks ASGI to the server."""

    def __init__(self) -> None:
        self.desk = Desk()
        self._server = McpServer(self.desk, identify, "s3cret")  # type: ignore[arg-type]

    async def send(
        self,
        message: object,
        *,
        method: str = "POST",
        secret: bytes = b"s3cret",
        token: str = "good",
        version: str = "",
    ) -> tuple[int, Any]:
        """The status and the body of an answer."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = [(SECRET_HEADER, secret), (b"authorization", f"Bearer {token}".encode())]
        headers += [(b"mcp-protocol-version", version.encode())] if version else []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            return await never()

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        await self._server({"type": "http", "method": method, "headers": headers}, receive, send)
        text = sent[1]["body"]
        return sent[0]["status"], json.loads(text) if text else None

    async def call(self, tool: str, arguments: object, **options: Any) -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        _, answer = await self.send(message, **options)
        found: dict[str, Any] = answer
        return found


async def never() -> dict[str, Any]:
    import asyncio

    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
def client() -> Client:
    return Client()


def ask(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def test_without_the_secret_nothing_is_answered(client: Client) -> None:
    for secret in (b"", b"s3cre", b"s3cret "):
        assert (await client.send(ask("tools/list"), secret=secret))[0] == 403
    assert (await client.send(ask("tools/list"), method="GET"))[0] == 405


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 400), (b'{"id": 1}', 400), (b" " * 2_000_000, 413)])
async def test_what_is_no_request_is_refused(client: Client, body: bytes, status: int) -> None:
    assert (await client.send(body))[0] == status


async def test_versions(client: Client) -> None:
    status, answer = await client.send(ask("initialize", protocolVersion="2025-06-18", capabilities={}))
    assert (status, answer["result"]["protocolVersion"]) == (200, "2025-06-18")
    _, answer = await client.send(ask("initialize", protocolVersion="1999-01-01"))
    assert answer["result"]["protocolVersion"] == "2025-11-25"
    _, answer = await client.send(ask("server/discover"), version="2026-07-28")
    assert "2026-07-28" in answer["result"]["supportedVersions"]
    _, answer = await client.send(ask("tools/list"))
    assert set(answer["result"]) == {"tools"}
    assert (await client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})) == (202, None)
    _, answer = await client.send(ask("resources/list"))
    assert answer["error"]["code"] == -32601


async def test_a_tool_is_called_for_whoever_the_token_speaks_for(client: Client) -> None:
    answer = await client.call("query", {"connection": "shop", "sql": "SELECT 1"})
    assert answer["result"] == {"content": [{"type": "text", "text": "done"}], "isError": False}
    ((caller, arguments),) = client.desk.calls
    assert (caller.principal.name, caller.token) == ("ci-1", "good")
    assert "good" not in repr(caller)
    assert arguments.sql == "SELECT 1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"connection": "shop"}, {"connection": "shop", "sql": "x", "other": 1}, [], {"connection": 1, "sql": "x"}],
)
async def test_arguments_that_do_not_fit_are_said_to_the_model(client: Client, arguments: object) -> None:
    answer = await client.call("query", arguments)
    assert answer["result"]["isError"]
    assert "arguments" in answer["result"]["content"][0]["text"]
    assert client.desk.calls == []


async def test_a_bad_token_calls_nothing(client: Client) -> None:
    answer = await client.call("list_connections", {}, token="bad")
    assert (answer["result"]["isError"], client.desk.calls) == (True, [])


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (NotFound("there is no such thing"), "there is no such thing"),
        (KeyError("secret"), "its operator has been told"),
    ],
)
async def test_what_fails_fails_for_this_call_and_shows_nothing(client: Client, failure: Exception, said: str) -> None:
    client.desk.failure = failure
    answer = await client.call("list_connections", {})
    assert answer["result"]["isError"]
    assert said in answer["result"]["content"][0]["text"]
    assert "secret" not in answer["result"]["content"][0]["text"]


async def test_an_unknown_tool_is_an_error(client: Client) -> None:
    assert (await client.call("drop", {}))["error"]["code"] == -32602


def test_every_tool_says_what_it_is_for_and_what_it_takes() -> None:
    for tool in definitions():
        assert len(tool["description"]) > 40
        assert tool["inputSchema"]["additionalProperties"] is False
