"""Agents of the OpenAI Agents SDK whose model is behind the gateway: tools, all transports, traces, a cut stream."""

import base64
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    Tool,
    WebSearchTool,
    function_tool,
    set_trace_processors,
    set_tracing_disabled,
)
from agents.models.openai_responses import OpenAIResponsesWSModel, ResponsesWebSocketError
from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor

from interlock.core.ledger import OperationCompleted, OperationDecided, SessionOpened
from interlock.core.lock import LockSubject
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.locking import Responder
from tests.e2e.model_gateway import base_url, model_gateway
from tests.servers.gateway import GatewayServer
from tests.servers.model_api import Call, ModelApi, Turn

CARD = "4111 1111 1111 1111"
QUIET = RunConfig(tracing_disabled=True)
ASKS = Turn(calls=[Call("lookup", ['{"customer": ', '"Ann"}'])])
CUT_WITHIN_S = 1.0
REFUSED = (openai.PermissionDeniedError, ResponsesWebSocketError)


@pytest.fixture(scope="module")
def api() -> Iterator[ModelApi]:
    with ModelApi() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(api: ModelApi) -> Iterator[GatewayServer]:
    with model_gateway(api) as running:
        yield running


@function_tool
def lookup(customer: str) -> str:
    """Look a customer up."""
    return f"{customer} lives in Bern"


@pytest.fixture(params=["responses", "chat", "websocket"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["responses", "websocket"])
def transport(request: pytest.FixtureRequest) -> str:
    """A kind of model that the SDK has hosted tools for."""
    return str(request.param)


def async_client(gateway: GatewayServer, connection: str = "llm", token: str | None = None) -> openai.AsyncOpenAI:
    url = base_url(gateway, connection)
    sockets = url.replace("http://", "ws://")
    return openai.AsyncOpenAI(base_url=url, websocket_base_url=sockets, api_key=token or gateway.token())


@asynccontextmanager
async def model_of(
    gateway: GatewayServer, kind: str, connection: str = "llm", who: str = "agent", name: str = "gpt-5"
) -> AsyncIterator[Model]:
    """A model of the SDK, as ``who`` reaches it."""
    kinds = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel, "websocket": OpenAIResponsesWSModel}
    async with async_client(gateway, connection, gateway.token(who)) as client:
        model = kinds[kind](name, client)
        yield model
        await model.close()


def agent_with(model: Model, *tools: Tool) -> Agent[None]:
    return Agent(name="clerk", instructions="Look things up.", model=model, tools=[lookup, *tools])


async def test_a_run_calls_its_tools(kind: str, gateway: GatewayServer, api: ModelApi) -> None:
    api.begin(ASKS, Turn(("Ann lives ", "in Bern.")))
    async with model_of(gateway, kind) as model:
        result = await Runner.run(agent_with(model), "Where is Ann?", run_config=QUIET)
    assert result.final_output == "Ann lives in Bern."
    assert "Ann lives in Bern" in api.asked[-1].body.decode(), "the model was told what the tool said"
    assert len(api.asked) == 2


async def streamed(model: Model, question: str) -> str:
    """What a run tells piece by piece, which is what it comes to in the end."""
    result = Runner.run_streamed(agent_with(model), question, run_config=QUIET)
    told = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(told) == result.final_output
    return str(result.final_output)


async def test_a_run_streams(kind: str, gateway: GatewayServer, api: ModelApi) -> None:
    api.begin(ASKS, Turn(("Ann lives ", "in Bern.")))
    async with model_of(gateway, kind) as model:
        assert await streamed(model, "Where is Ann?") == "Ann lives in Bern."


async def test_masks_leave_a_run_as_it_is(kind: str, gateway: GatewayServer, api: ModelApi) -> None:
    text = f"The card {CARD}"
    pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
    api.begin(Turn(calls=[Call("lookup", ['{"customer": "4111 11', '11 1111 1111"}'])]), Turn(pieces))
    async with model_of(gateway, kind, who="clerk") as model:
        assert await streamed(model, "Which card?") == "The card ***"
    assert "*** lives in Bern" in api.asked[-1].body.decode(), "so the tool was called with"


async def test_a_hosted_tool_ends_a_run_with_the_reason(transport: str, gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    async with model_of(gateway, transport) as model:
        with pytest.raises(REFUSED, match="Nothing leaves by a search"):
            await Runner.run(agent_with(model, WebSearchTool()), "Search.", run_config=QUIET)
    assert api.asked == []


async def test_a_hosted_tool_is_taken_out_of_every_turn(transport: str, gateway: GatewayServer, api: ModelApi) -> None:
    api.begin(ASKS, Turn(("done",)))
    async with model_of(gateway, transport, "trim") as model:
        result = await Runner.run(agent_with(model, WebSearchTool()), "Where is Ann?", run_config=QUIET)
    assert result.final_output == "done"
    assert [[tool["type"] for tool in asked.json["tools"]] for asked in api.asked] == [["function"], ["function"]]


async def test_a_forbidden_model_ends_a_run_with_the_reason(kind: str, gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    async with model_of(gateway, kind, name="gpt-5-pro") as model:
        with pytest.raises(REFUSED, match="gpt-5-pro costs too much"):
            await Runner.run(agent_with(model), "Think hard.", run_config=QUIET)
    assert api.asked == []


async def test_prompts_are_masked_for_a_target_outside(kind: str, gateway: GatewayServer, api: ModelApi) -> None:
    api.begin()
    async with model_of(gateway, kind, "outside", "clerk") as model:
        await Runner.run(agent_with(model), f"Charge {CARD}", run_config=QUIET)
    (asked,) = api.asked
    assert asked.method == ("WS" if kind == "websocket" else "POST")
    assert CARD.encode() not in asked.body
    assert "Charge ***" in asked.body.decode()


async def test_tokens_are_counted_in_every_transport(kind: str, gateway: GatewayServer, api: ModelApi) -> None:
    api.begin(Turn(("fine",)))
    who = f"counted-{kind}"
    async with model_of(gateway, kind, who=who) as model:
        await Runner.run(agent_with(model), "How are you?", run_config=QUIET)

    def tokens() -> int:
        sessions = {record.session for record in records_of(gateway, SessionOpened) if record.principal == who}
        return sum(record.tokens for record in records_of(gateway, OperationCompleted) if record.session in sessions)

    assert wait_for(tokens, "tokens on record") == (15 if kind == "chat" else 42)


async def test_traces_become_evidence_and_stay_here(gateway: GatewayServer, api: ModelApi) -> None:
    api.begin(ASKS, Turn(("done",)))
    exporter: Any = BackendSpanExporter(api_key=gateway.token(), endpoint=f"{base_url(gateway)}/traces/ingest")
    processor: Any = BatchTraceProcessor(exporter)
    set_trace_processors([processor])
    set_tracing_disabled(False)
    try:
        async with model_of(gateway, "responses") as model:
            await Runner.run(agent_with(model), "Where is Ann?")
        processor.force_flush()
    finally:
        processor.shutdown()
        exporter.close()
        set_trace_processors([])
        set_tracing_disabled(True)
    traces = [r for r in records_of(gateway, OperationDecided) if r.verb.startswith("TRACE ")]
    assert any("1 function lookup" in trace.verb for trace in traces)
    assert set(api.paths()) == {"/v1/responses"}, "the provider got no trace"


async def test_a_lock_cuts_a_stream_within_a_second(gateway: GatewayServer, api: ModelApi) -> None:
    turn = Turn(["word "] * 100, pause_after=20)
    api.begin(turn)
    responder = Responder(gateway)
    async with async_client(gateway, token=gateway.token("runaway")) as client:
        stream = await client.responses.create(model="gpt-5", input="go on", stream=True)
        events = aiter(stream)
        await anext(events)
        receipt = responder.lock(LockSubject.AGENT, "runaway")
        locked_s = time.monotonic()
        try:
            with pytest.raises(openai.APIConnectionError):
                _ = [event async for event in events]
            assert time.monotonic() - locked_s < CUT_WITHIN_S
            assert turn.left.wait(CUT_WITHIN_S), "the provider goes on for nobody"
            with pytest.raises(openai.APIStatusError):
                await client.responses.create(model="gpt-5", input="again")
        finally:
            responder.lift(receipt)
    assert len(api.asked) == 1


async def test_a_stolen_token_is_good_for_little(gateway: GatewayServer, api: ModelApi) -> None:
    """The token that leaks with a trace, shown again: elsewhere, changed, for another target, after a lock."""
    api.begin()
    token = gateway.token("robbed")
    head, claims, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    changed = [f"{head}.{claims}.", f"{none}.{claims}.", f"{none}.{claims}.{signature}", f"{head}.{claims}.{'A' * 86}"]
    for stolen in (*changed, "sk-proj-abc", ""):
        async with async_client(gateway, token=stolen or "x") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.responses.create(model="gpt-5", input="hi")
    async with async_client(gateway, "elsewhere", token) as client:
        with pytest.raises(openai.PermissionDeniedError):
            await client.responses.create(model="gpt-5", input="hi")
    receipt = Responder(gateway).lock(LockSubject.AGENT, "robbed")
    try:
        for connection in ("llm", "trim", "outside"):
            async with async_client(gateway, connection, token) as client:
                with pytest.raises(openai.APIStatusError):
                    await client.responses.create(model="gpt-5", input="hi")
    finally:
        Responder(gateway).lift(receipt)
    assert api.asked == []
