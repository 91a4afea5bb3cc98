"""What a request to a model asks for: model, tools, stored prompt, and how it is to be answered.

Reads the bodies of the Responses API and of Chat Completions, and the messages of Responses over WebSocket, which have
the same members. What decides is read strictly: a member of another type, or in other letters, is refused, as servers
would differ on it. All other members pass unread.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from interlock.protocols.http.dialects.json_facts import BodyRejected
from interlock.protocols.http.dialects.openai_places import host_of
from interlock.protocols.http.dialects.openai_tools import Document, exact_keys, identifier, read_tool, tool_list

MAX_HOSTED: Final = 32
MAX_NAMES: Final = 512
_DECIDED: Final = frozenset(
    {"model", "tools", "functions", "tool_choice", "web_search_options", "prompt", "stream", "background", "input"}
    | {"messages", "previous_response_id", "conversation", "type"}
)
_ITEM_DECIDED: Final = frozenset({"type", "tools", "image_url", "file_url", "video_url", "audio_url", "url"})
_FETCHED: Final = ("image_url", "file_url", "video_url", "audio_url")
REPORTED_TOOLS: Final = "mcp_list_tools"
"""An item whose tools are a report of what some server has, and declare nothing."""


class ModelRequest(msgspec.Struct, frozen=True):
    """What decides about a request to a model; equal for the turns of one conversation, as a rule.

    ``functions`` are what the client runs itself, ``hosted`` the ids of what the provider runs (``openai_tools``), with
    ``stored_prompt:ID``, and ``fetch:HOST`` for files that the provider gets by address. ``continued``: it goes on from
    what is stored at the provider. ``model`` is None when the stored prompt, or what it goes on from, has the model.
    """

    model: str | None
    functions: tuple[str, ...] = ()
    hosted: tuple[str, ...] = ()
    stored_prompt: str = ""
    stream: bool = False
    background: bool = False
    continued: bool = False


def read_model_request(document: Document) -> ModelRequest:
    """What a request asks for. Raises ``BodyRejected`` when that can be read in more than one way."""
    exact_keys(document, _DECIDED, "the request")
    names, hosted = _declared(document)
    prompt = _prompt(document)
    hosted += [f"stored_prompt:{prompt}"] if prompt else []
    model = document.get("model")
    return ModelRequest(
        model=None if model is None else identifier(model, "model"),
        functions=_bounded(names, MAX_NAMES, "functions"),
        hosted=_bounded(hosted, MAX_HOSTED, "hosted tools"),
        stored_prompt=prompt,
        stream=_flag(document, "stream"),
        background=_flag(document, "background"),
        continued=_continued(document),
    )


def _declared(document: Document) -> tuple[list[str], list[str]]:
    names: list[str] = []
    hosted: list[str] = []
    for tool in _tools(document):
        tool_names, tool_hosted = read_tool(tool)
        names += tool_names
        hosted += tool_hosted
    for function in tool_list(document.get("functions"), "functions"):
        names.append(identifier(function.get("name"), "The name of a function"))
    if document.get("web_search_options") is not None:
        hosted.append("web_search")
    for item in _items(document):
        hosted += _fetched(item)
    return names, hosted


def _tools(document: Document) -> Iterator[Document]:
    """Tools of the request, and those that an item of its input adds."""
    yield from tool_list(document.get("tools"), "tools")
    for item in _items(document):
        if "tools" in item and item.get("type") != REPORTED_TOOLS:
            yield from tool_list(item["tools"], "tools of an item")


def _items(document: Document) -> Iterator[Document]:
    """Every object in what the model is given, outermost first, besides the declarations of tools."""
    left: list[object] = [document.get("messages"), document.get("input")]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            exact_keys(value, _ITEM_DECIDED, "an item")
            yield value
            left += (member for key, member in value.items() if key != "tools")


def _fetched(item: Document) -> Iterator[str]:
    for key in _FETCHED:
        value = item.get(key)
        address = value.get("url") if isinstance(value, dict) else value
        if isinstance(address, str) and not address.startswith("data:"):
            yield f"fetch:{identifier(host_of(address, key), key)}"


def _prompt(document: Document) -> str:
    prompt = document.get("prompt")
    if prompt is None:
        return ""
    if not isinstance(prompt, dict):
        raise BodyRejected("prompt must be an object with an id.")
    exact_keys(prompt, frozenset({"id"}), "prompt")
    return identifier(prompt.get("id"), "id of prompt")


def _flag(document: Document, key: str) -> bool:
    value = document.get(key)
    if value is not None and not isinstance(value, bool):
        raise BodyRejected(f"{key} must be true or false.")
    return value is True


def _continued(document: Document) -> bool:
    previous, conversation = document.get("previous_response_id"), document.get("conversation")
    if previous is not None and not isinstance(previous, str):
        raise BodyRejected("previous_response_id must be a text.")
    if conversation is not None and not isinstance(conversation, str | dict):
        raise BodyRejected("conversation must be a text or an object.")
    return previous is not None or conversation is not None


def _bounded(names: list[str], limit: int, what: str) -> tuple[str, ...]:
    """Each once, in a fixed order, so that the same tools in another order are the same request."""
    distinct = sorted(set(names))
    if len(distinct) > limit:
        raise BodyRejected(f"The request declares more than {limit} {what}.")
    return tuple(distinct)
