"""What the model of an agent sees of MCP through the gateway: the Agents SDK with a model that is a script."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.mcp_server import McpTarget

POLICY = """
@id("all") permit (principal, action, resource);
@id("no-delete") @message("Customers are never deleted. Ask the data office.")
forbid (principal, action == Action::"mcp-call", resource == Tool::"crm/delete");
@id("held") @approval("dba")
forbid (principal, action == Action::"mcp-call", resource == Tool::"crm/ask");
"""


class ScriptedModel(Model):
    """Calls the tools it was given a script for, one a turn; ``seen`` is what it was sent, turn by turn."""

    def __init__(self, *calls: str) -> None:
        self._calls = list(calls)
        self.seen: list[Any] = []
        self.tools: list[list[str]] = []

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        self.seen.append(kwargs.get("input", args[1] if len(args) > 1 else None))
        self.tools.append([tool.name for tool in kwargs.get("tools", args[3] if len(args) > 3 else ())])
        output: Any
        if self._calls:
            name = self._calls.pop(0)
            output = ResponseFunctionToolCall(
                type="function_call", call_id=f"call-{name}", name=name, arguments='{"customer": "ann"}'
            )
        else:
            text = ResponseOutputText(type="output_text", text="done", annotations=[])
            output = ResponseOutputMessage(
                id="m1", type="message", role="assistant", status="completed", content=[text]
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError

    def outputs(self) -> dict[str, str]:
        """What the model was told of each call."""
        return {
            item["call_id"]: str(item["output"]) for item in self.seen[-1] if item.get("type") == "function_call_output"
        }


@pytest.fixture(scope="module")
def target() -> Iterator[McpTarget]:
    with McpTarget() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(target: McpTarget) -> Iterator[GatewayServer]:
    extra = http_target("crm", target.port, 'api = "mcp"\nhold_s = 0.0')
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=extra)) as running:
        yield running


async def run(gateway: GatewayServer, *calls: str) -> ScriptedModel:
    """An agent that calls these tools, as its SDK has it by default."""
    set_tracing_disabled(True)
    headers = {"Authorization": f"Bearer {gateway.token()}"}
    model = ScriptedModel(*calls)
    async with MCPServerStreamableHttp({"url": f"{gateway.http_url('crm')}/mcp", "headers": headers}) as server:
        await Runner.run(Agent("tester", model=model, mcp_servers=[server]), "go on")
    return model


async def test_the_model_is_offered_what_it_may_call(gateway: GatewayServer, target: McpTarget) -> None:
    model = await run(gateway, "lookup")
    assert model.tools[0] == ["lookup", "ask"]
    assert "lookup of ann" in model.outputs()["call-lookup"]


async def test_the_model_reads_that_a_call_waits_for_approval(gateway: GatewayServer, target: McpTarget) -> None:
    model = await run(gateway, "ask")
    said = model.outputs()["call-ask"]
    assert "nobody has answered yet" in said
    assert "It can be answered at" in said
    assert all(name != "ask" for name, _ in target.calls)
