"""What a request to a model asks for, and what is refused because servers could read it in two ways."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from interlock.protocols.http.dialects.json_facts import BodyRejected, parse_json
from interlock.protocols.http.dialects.openai_requests import MAX_HOSTED, ModelRequest, read_model_request

FUNCTION = {"type": "function", "name": "run_sql", "parameters": {"type": "object", "properties": {"Tools": {}}}}


def asked(**body: Any) -> ModelRequest:
    document = parse_json(json.dumps({"model": "gpt-5", **body}).encode())
    assert isinstance(document, dict)
    return read_model_request(document)


def hosted(*tools: Mapping[str, Any]) -> tuple[str, ...]:
    return asked(input="hi", tools=list(tools)).hosted


def test_functions_are_the_agents_own() -> None:
    custom = {"type": "custom", "name": "grammar"}
    chat = {"type": "function", "function": {"name": "lookup", "parameters": {}}}
    request = asked(tools=[FUNCTION, custom, chat], functions=[{"name": "old"}])
    assert request.functions == ("grammar", "lookup", "old", "run_sql")
    assert request.hosted == ()


@pytest.mark.parametrize(
    ("tool", "ids"),
    [
        ({"type": "web_search"}, ["web_search"]),
        ({"type": "web_search_preview_2025_03_11"}, ["web_search"]),
        ({"type": "file_search", "vector_store_ids": ["vs_1"]}, ["file_search"]),
        ({"type": "image_generation"}, ["image_generation"]),
        ({"type": "computer_use_preview"}, ["computer_use"]),
        ({"type": "computer"}, ["computer_use"]),
        ({"type": "something_new"}, ["something_new"]),
        ({"type": "programmatic_tool_calling"}, ["programmatic_tool_calling"]),
        ({"type": "tool_search"}, ["tool_search"]),
        ({"type": "tool_search", "execution": "client"}, []),
        ({"type": "local_shell"}, []),
        ({"type": "apply_patch"}, []),
        ({"type": "shell"}, ["shell"]),
        ({"type": "shell", "environment": {"type": "local"}}, []),
        ({"type": "shell", "environment": {"type": "container_auto"}}, ["shell"]),
        (
            {"type": "shell", "environment": {"type": "container_reference", "container_id": "c1"}},
            ["container:c1", "shell"],
        ),
        (
            {
                "type": "shell",
                "environment": {"type": "container_auto", "skills": [{"skill_id": "s1"}, {"name": "mine"}]},
            },
            ["shell", "skill:s1"],
        ),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, ["code_interpreter"]),
        ({"type": "code_interpreter", "container": "cntr_9"}, ["code_interpreter", "container:cntr_9"]),
        (
            {
                "type": "code_interpreter",
                "container": {
                    "type": "auto",
                    "network_policy": {"type": "allowlist", "allowed_domains": ["PyPI.org", "example.com"]},
                },
            },
            ["code_interpreter", "container_network:example.com", "container_network:pypi.org"],
        ),
        (
            {"type": "code_interpreter", "container": {"type": "auto", "network_policy": {"type": "open"}}},
            ["code_interpreter", "container_network:*"],
        ),
        (
            {"type": "code_interpreter", "container": {"type": "auto", "network_policy": {"type": "disabled"}}},
            ["code_interpreter"],
        ),
        (
            {"type": "mcp", "server_label": "x", "server_url": "https://Mcp.Example.COM./sse?a=1"},
            ["mcp:mcp.example.com"],
        ),
        (
            {"type": "mcp", "server_label": "x", "server_url": "https://mcp.example.com:8443"},
            ["mcp:mcp.example.com:8443"],
        ),
        ({"type": "mcp", "server_label": "x", "connector_id": "connector_gmail"}, ["connector:connector_gmail"]),
        ({"type": "mcp", "server_label": "x", "tunnel_id": "t1"}, ["tunnel:t1"]),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_a_hosted_tool_has_an_id(tool: dict[str, Any], ids: list[str]) -> None:
    assert hosted(tool) == tuple(ids)


def test_tools_count_wherever_they_are_declared() -> None:
    search = {"type": "web_search"}
    namespace = {"type": "namespace", "name": "crm", "tools": [FUNCTION, {"type": "file_search"}]}
    added = [{"type": "additional_tools", "role": "developer", "tools": [search]}]
    found = [{"type": "tool_search_output", "call_id": "c", "tools": [{"type": "mcp", "connector_id": "connector_x"}]}]
    assert hosted(namespace) == ("file_search",)
    assert asked(tools=[namespace]).functions == ("run_sql",)
    assert asked(input=added).hosted == ("web_search",)
    assert asked(input=found).hosted == ("connector:connector_x",)
    assert asked(messages=[], web_search_options={}).hosted == ("web_search",)


def test_what_a_server_has_is_no_declaration() -> None:
    listed = {"type": "mcp_list_tools", "server_label": "x", "tools": [{"name": "delete", "input_schema": {}}]}
    assert asked(input=[listed]) == asked(input="hi")


def test_files_that_the_provider_gets_itself() -> None:
    picture = {"type": "input_image", "image_url": "https://img.example.com/a.png"}
    chat_picture = {"type": "image_url", "image_url": {"url": "http://img.example.com/b.png"}}
    file = {"type": "input_file", "file_url": "https://docs.example.com:444/c.pdf"}
    inline = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    assert asked(input=[{"role": "user", "content": [picture, file, inline]}]).hosted == (
        "fetch:docs.example.com:444",
        "fetch:img.example.com",
    )
    assert asked(messages=[{"role": "user", "content": [chat_picture]}]).hosted == ("fetch:img.example.com:80",)
    assert asked(input=[{"type": "computer_call_output", "output": picture}]).hosted == ("fetch:img.example.com",)


def test_stored_prompts_and_what_goes_on() -> None:
    request = asked(model=None, prompt={"id": "pmpt_1", "version": "2"}, previous_response_id="resp_1", background=True)
    assert request == ModelRequest(
        None, hosted=("stored_prompt:pmpt_1",), stored_prompt="pmpt_1", background=True, continued=True
    )
    assert asked(conversation={"id": "conv_1"}).continued
    assert asked(stream=True).stream


def test_the_order_of_tools_makes_no_difference() -> None:
    tools = [FUNCTION, {"type": "web_search"}, {"type": "file_search"}]
    assert asked(tools=tools) == asked(tools=tools[::-1])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"model": 7}, "model must be a text"),
        ({"model": ["gpt-5"]}, "model must be a text"),
        ({"model": "gpt\n5"}, "printable"),
        ({"model": ""}, "model must be a text"),
        ({"tools": {"type": "web_search"}}, "tools must be a list"),
        ({"tools": ["web_search"]}, "tools must be a list"),
        ({"tools": [{}]}, "The type of a tool"),
        ({"tools": [{"type": ["web_search"]}]}, "The type of a tool"),
        ({"tools": [{"type": "function"}]}, "The name of a function tool"),
        ({"Tools": [{"type": "web_search"}]}, "The key tools of the request must be written in small letters"),
        ({"toolſ": [{"type": "web_search"}]}, "The key tools"),
        ({"tools": [{"Type": "web_search"}]}, "The key type of a tool"),
        ({"tools": [{"type": "mcp", "SERVER_URL": "https://a.example"}]}, "The key server_url"),
        ({"tools": [{"type": "mcp"}]}, "exactly one of"),
        ({"tools": [{"type": "mcp", "server_url": "https://a.example", "connector_id": "c"}]}, "exactly one of"),
        ({"tools": [{"type": "shell", "environment": ["local"]}]}, "environment of a tool must be an object"),
        ({"tools": [{"type": "namespace", "name": "a", "tools": [{"type": "namespace", "name": "b"}]}]}, "namespace"),
        ({"tools": [{"type": f"t{i}"} for i in range(MAX_HOSTED + 1)]}, "more than"),
        ({"prompt": "pmpt_1"}, "prompt must be an object"),
        ({"prompt": {"ID": "x", "id": "y"}}, "The key id of prompt"),
        ({"stream": "true"}, "stream must be true or false"),
        ({"background": 1}, "background must be true or false"),
        ({"previous_response_id": 5}, "previous_response_id must be a text"),
        ({"conversation": 5}, "conversation must be"),
        ({"input": [{"TOOLS": [{"type": "web_search"}]}]}, "The key tools of an item"),
        ({"input": [{"content": [{"image_url": "file:///etc/passwd"}]}]}, "image_url is no plain https address"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_could_be_read_in_two_ways_is_refused(body: dict[str, Any], says: str) -> None:
    with pytest.raises(BodyRejected, match=says):
        asked(**body)


@pytest.mark.parametrize(
    "address",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/",
        "https://metadata.google.internal/computeMetadata",
        "https://10.1.2.3/mcp",
        "https://127.0.0.1:8080/",
        "https://localhost/",
        "https://mcp.localhost/",
        "https://vault/",
        "https://db.corp/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://example.com@10.0.0.1/",
        "https://user:pass@mcp.example.com/",
        "https:\\\\mcp.example.com/",
        "https://mcp.example.com\\@10.0.0.1/",
        "https://mcp.example.com%2f@10.0.0.1/",
        "https://mcp.exämple.com/",
        "https://mcp.example.com /",
        "http://mcp.example.com/",
        "HTTPS://mcp.example.com/",
        "ftp://mcp.example.com/",
        "//mcp.example.com/",
        "https:///",
        "",
    ],
)
def test_a_provider_is_not_sent_into_networks(address: str) -> None:
    with pytest.raises(BodyRejected):
        hosted({"type": "mcp", "server_label": "x", "server_url": address})
