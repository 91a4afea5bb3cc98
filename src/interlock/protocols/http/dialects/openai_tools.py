"""Tools that a request to a model declares: those that the client runs itself, and those that the provider runs.

The latter are *hosted tools*. They act on the provider's machines, out of the gateway's sight; what can be decided is
whether they may be declared. Each has an id that policy refers to:

============================== ===================================================================================
``web_search`` ...             the tool's type; versions of web search and computer use have one id
``mcp:HOST``                   an MCP server that the provider connects to; with its port unless that is 443
``connector:ID`` ``tunnel:ID`` a connector, a tunnel of the provider
``container:ID``               a container that is there already: what it may reach is not said in the request
``container_network:DOMAIN``   a domain that code or a shell may reach; ``*`` when that is not understood
``skill:ID``                   a stored skill for a shell
============================== ====================================================================================

A type that is not known counts as hosted. The label that a client gives to an MCP server means nothing here.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from interlock.protocols.http.dialects.json_facts import BodyRejected
from interlock.protocols.http.dialects.openai_places import host_of

Document = Mapping[str, object]

MAX_ID_LENGTH: Final = 128
_NAMED: Final = frozenset({"function", "custom"})
"""Types that the client runs and that have names of their own."""
_CLIENT_RUN: Final = frozenset({"apply_patch", "local_shell"})
_ONE_ID: Final = {
    "web_search_2025_08_26": "web_search",
    "web_search_preview": "web_search",
    "web_search_preview_2025_03_11": "web_search",
    "computer": "computer_use",
    "computer_use_preview": "computer_use",
}
_DECIDED_KEYS: Final = frozenset(
    {"type", "name", "function", "custom", "tools", "server_url", "connector_id", "tunnel_id", "container"}
    | {"environment", "execution", "network_policy", "allowed_domains", "container_id", "skills", "skill_id"}
)


def identifier(value: object, where: str) -> str:
    """A text that can be part of a resource's id. Raises ``BodyRejected`` for anything else."""
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= MAX_ID_LENGTH
        or not value.isascii()
        or not value.isprintable()
    ):
        raise BodyRejected(f"{where} must be a text of 1 to {MAX_ID_LENGTH} printable ASCII characters.")
    return value


def exact_keys(document: Document, decided: frozenset[str], where: str) -> None:
    """Refuses keys that some servers take for one of ``decided`` and others do not, as ``Tools``."""
    for key in document:
        if key not in decided and key.casefold() in decided:
            raise BodyRejected(f"The key {key.casefold()} of {where} must be written in small letters.")


def tool_list(value: object, where: str) -> list[Document]:
    """A list of objects, empty for null. Raises ``BodyRejected`` for anything else."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BodyRejected(f"{where} must be a list of objects.")
    return value


def read_tool(tool: Document) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of what a declared tool lets the client run, and the ids of what it lets the provider run."""
    exact_keys(tool, _DECIDED_KEYS, "a tool")
    kind = identifier(tool.get("type"), "The type of a tool")
    if kind in _NAMED:
        return (_name(tool, kind),), ()
    if kind in _CLIENT_RUN or _runs_here(tool, kind):
        return (kind,), ()
    if kind == "namespace":
        return _nested(tool)
    return (), tuple(dict.fromkeys(_hosted(tool, kind)))


def _name(tool: Document, kind: str) -> str:
    """Responses has the name in the tool, Chat Completions in an object in it."""
    nested = tool.get(kind)
    named = nested if isinstance(nested, dict) else tool
    exact_keys(named, _DECIDED_KEYS, "a tool")
    return identifier(named.get("name"), f"The name of a {kind} tool")


def _runs_here(tool: Document, kind: str) -> bool:
    if kind == "shell":
        return _member(tool, "environment").get("type") == "local"
    return kind == "tool_search" and tool.get("execution") == "client"


def _nested(tool: Document) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names: list[str] = []
    hosted: list[str] = []
    for inner in tool_list(tool.get("tools"), "tools of a namespace"):
        if inner.get("type") == "namespace":
            raise BodyRejected("A namespace must not be inside of a namespace.")
        inner_names, inner_hosted = read_tool(inner)
        names += inner_names
        hosted += inner_hosted
    return tuple(names), tuple(hosted)


def _hosted(tool: Document, kind: str) -> Iterator[str]:
    if kind == "mcp":
        yield from _mcp(tool)
        return
    yield _ONE_ID.get(kind, kind)
    for key in ("container", "environment"):
        if isinstance(tool.get(key), str):
            yield f"container:{identifier(tool[key], 'A container')}"
        else:
            yield from _container(_member(tool, key))


def _mcp(tool: Document) -> Iterator[str]:
    places = [key for key in ("server_url", "connector_id", "tunnel_id") if tool.get(key) is not None]
    if len(places) != 1:
        raise BodyRejected("An mcp tool must have exactly one of server_url, connector_id and tunnel_id.")
    place = identifier_of_place(tool[places[0]], places[0])
    yield {"server_url": "mcp:", "connector_id": "connector:", "tunnel_id": "tunnel:"}[places[0]] + place


def identifier_of_place(value: object, key: str) -> str:
    """The host of a ``server_url``, any other id as it is. Raises ``BodyRejected``."""
    if key != "server_url":
        return identifier(value, key)
    if not isinstance(value, str) or not value.startswith("https://"):
        raise BodyRejected("server_url of an mcp tool must be an https address.")
    return identifier(host_of(value, "server_url of an mcp tool"), "The host in server_url")


def _container(container: Document) -> Iterator[str]:
    exact_keys(container, _DECIDED_KEYS, "a container")
    if "container_id" in container:
        yield f"container:{identifier(container['container_id'], 'container_id')}"
    for skill in tool_list(container.get("skills"), "skills"):
        if "skill_id" in skill:
            yield f"skill:{identifier(skill['skill_id'], 'skill_id')}"
    network = _member(container, "network_policy")
    exact_keys(network, _DECIDED_KEYS, "a network_policy")
    yield from _domains(network)


def _domains(network: Document) -> Iterator[str]:
    kind = network.get("type")
    if not network or kind == "disabled":
        return
    domains = network.get("allowed_domains")
    if kind != "allowlist" or not isinstance(domains, list):
        yield "container_network:*"
        return
    for domain in domains:
        yield f"container_network:{identifier(domain, 'A domain of network_policy').lower()}"


def _member(document: Document, key: str) -> Document:
    """An object inside of another one, empty when there is none. Raises ``BodyRejected`` for anything else."""
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BodyRejected(f"{key} of a tool must be an object.")
    return value
