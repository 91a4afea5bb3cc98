"""An agent that knows nothing of the gateway: its environment sends it through the forward proxy, its traces too."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from interlock.core.ledger import OperationDecided
from tests.clients.forward_clients import environment
from tests.e2e.forward import server_tls
from tests.e2e.ledger_files import records_of
from tests.servers.certificates import CertificateAuthority
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.model_api import Call, ModelApi, Turn

POLICY = """
@id("most") permit (principal, action, resource);
@id("no-search") @message("Nothing leaves by a search.")
forbid (principal, action == Action::"model-tool", resource == HostedTool::"llm/web_search");
@id("cards") @mask("redact")
forbid (principal, action == Action::"reveal", resource == Detector::"credit-card");
"""
AGENT = """
import asyncio, sys
from agents import Agent, Runner, WebSearchTool, function_tool
from agents.models.openai_responses import OpenAIResponsesModel, OpenAIResponsesWSModel
from agents.tracing.processors import BackendSpanExporter
from openai import AsyncOpenAI

BackendSpanExporter.__init__.__defaults__ = tuple(
    sys.argv[1] + "/traces/ingest" if value == BackendSpanExporter._OPENAI_TRACING_INGEST_ENDPOINT else value
    for value in BackendSpanExporter.__init__.__defaults__
)

@function_tool
def lookup(customer: str) -> str:
    "Look a customer up."
    return f"{customer} lives in Bern"

async def main() -> None:
    for kind in (OpenAIResponsesModel, OpenAIResponsesWSModel):
        model = kind("gpt-5", AsyncOpenAI())
        result = await Runner.run(Agent(name="a", model=model, tools=[lookup]), "Where is 4111 1111 1111 1111?")
        print(result.final_output)
        try:
            await Runner.run(Agent(name="a", model=model, tools=[WebSearchTool()]), "Search.")
        except Exception as error:
            print(error)
        await model.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def api(certificate_authority: CertificateAuthority) -> Iterator[ModelApi]:
    with ModelApi(server_tls(certificate_authority)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(api: ModelApi, certificate_authority: CertificateAuthority) -> Iterator[GatewayServer]:
    tls = f'tls = "verify-full"\nca_file = "{certificate_authority.certificate_file}"'
    key = f'{tls}\ncredential = {{ file = "target-password" }}'
    http = 'api = "openai"\ncredential_as = "bearer"\noutside = true'
    target = http_target("llm", api.port, http, key, host="localhost")
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=target)) as running:
        yield running


def test_an_agent_that_knows_nothing_of_the_gateway(gateway: GatewayServer, api: ModelApi) -> None:
    authority = gateway.directory / "authority.pem"
    authority.write_text(gateway.command("ca", "show").stdout)
    asks, says = Turn(calls=[Call("lookup", ['{"customer": "Ann"}'])]), Turn(("She lives in Bern.",))
    api.begin(asks, says, asks, says)
    url = f"https://localhost:{api.port}/v1"
    variables = environment(gateway.proxy_url(), authority) | {
        "OPENAI_BASE_URL": url,
        "OPENAI_WEBSOCKET_BASE_URL": url.replace("https", "wss"),
        "OPENAI_API_KEY": "the-vendors-own-key",
    }
    command = [sys.executable, "-c", AGENT, url]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("She lives in Bern.") == 2
    assert done.stdout.count("Nothing leaves by a search.") == 2
    assert {(asked.method, asked.path) for asked in api.asked} == {("POST", "/v1/responses"), ("WS", "/v1/responses")}
    assert all("the-vendors-own-key" not in str(asked.headers) for asked in api.asked)
    assert all("4111" not in asked.body.decode() for asked in api.asked)
    traces = [record.verb for record in records_of(gateway, OperationDecided) if record.verb.startswith("TRACE ")]
    assert "function lookup" in " ".join(traces), "the default exporter's traces stay here"
