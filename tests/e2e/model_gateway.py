"""A gateway in front of a model API, and clients of it as agents have them."""

from collections.abc import Iterator
from contextlib import contextmanager

import openai

from tests.e2e.held import make_dba
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.model_api import ModelApi

POLICY = """
@id("connect")
permit (principal, action == Action::"connect", resource);

@id("reviews")
permit (principal in Group::"dba", action == Action::"review", resource);

@id("models")
permit (principal, action == Action::"model-call", resource)
when { resource in Connection::"llm" || resource in Connection::"trim" || resource in Connection::"outside" };

@id("code")
permit (principal, action == Action::"model-tool", resource == HostedTool::"llm/code_interpreter");

@id("known-server")
permit (principal, action == Action::"model-tool", resource == HostedTool::"llm/mcp:mcp.example.com");

@id("listed-prompt")
permit (principal, action == Action::"model-tool", resource == HostedTool::"llm/stored_prompt:pmpt_listed");

@id("traces")
permit (principal, action == Action::"http-post", resource == Endpoint::"llm/traces");

@id("embeddings")
permit (principal, action == Action::"http-post", resource == Endpoint::"outside/embeddings");

@id("sockets")
permit (principal, action == Action::"http-websocket", resource);

@id("expensive")
@message("gpt-5-pro costs too much.")
forbid (principal, action == Action::"model-call", resource == Model::"llm/gpt-5-pro");

@id("asked-for")
@approval("dba")
forbid (principal, action == Action::"model-call", resource == Model::"llm/gpt-6");

@id("no-search")
@message("Nothing leaves by a search.")
forbid (principal, action == Action::"model-tool", resource == HostedTool::"llm/web_search");

@id("cards")
@mask("redact")
forbid (principal == Agent::"clerk", action == Action::"reveal", resource == Detector::"credit-card");

@id("tokens")
@budget("tokens=100 per 1h")
forbid (principal, action == Action::"model-call", resource)
when { principal == Agent::"spender" || principal == Agent::"hasty" };
"""

_KEY = 'credential = { file = "target-password" }'
_API = 'api = "openai"\ncredential_as = "bearer"'
_TRACES = '[connections.llm.http.endpoints.traces]\npath = "/v1/traces/ingest"'

_EMBEDDINGS = '[connections.outside.http.endpoints.embeddings]\npath = "/v1/embeddings"'


@contextmanager
def model_gateway(api: ModelApi) -> Iterator[GatewayServer]:
    """``llm`` decides on hosted tools, ``trim`` takes out what is denied, ``outside`` has prompts masked, too."""
    targets = (
        http_target("llm", api.port, f"{_API}\n{_TRACES}", _KEY),
        http_target("trim", api.port, f'{_API}\nhosted_tools = "remove"', _KEY),
        http_target("outside", api.port, f"{_API}\noutside = true\n{_EMBEDDINGS}", _KEY),
    )
    options = GatewayOptions(http=True, policy=POLICY, extra="\n".join(targets))
    with GatewayServer(NO_DATABASE, options) as gateway:
        make_dba(gateway)
        yield gateway


def base_url(gateway: GatewayServer, connection: str = "llm") -> str:
    return f"{gateway.http_url(connection)}/v1"


def client(gateway: GatewayServer, connection: str = "llm", token: str | None = None) -> openai.OpenAI:
    """The provider's own client, with the gateway's address and a token for it."""
    return openai.OpenAI(base_url=base_url(gateway, connection), api_key=token or gateway.token())
