"""Takes the declaration of a hosted tool out of a request to a model, and leaves everything else as it says.

The result is JSON with the same members in the same order and with numbers as they were written; blanks and escapes may
differ. What is no tool, as a stored prompt, cannot be taken out.
"""

import json
from collections.abc import Mapping
from typing import Final

import msgspec

from interlock.core.denial import Denial, DenialReason
from interlock.protocols.http.dialects.openai_requests import REPORTED_TOOLS
from interlock.protocols.http.dialects.openai_tools import read_tool

_HOSTED: Final = "model-tool on hosted tool "
_ABOUT_TOOLS: Final = ("tool_choice", "parallel_tool_calls", "max_tool_calls")
"""What providers do not accept without tools."""


def without_tool(body: bytes, tool: str) -> bytes | None:
    """A body that ``openai_requests`` has read, without every tool that lets the provider run ``tool``.

    None when no tool does.
    """
    document = json.loads(body, parse_int=_verbatim, parse_float=_verbatim)
    removal = _Removal(tool)
    kept = removal.members(document)
    if not removal.removed:
        return None
    choice = kept.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") not in ("function", "custom"):
        del kept["tool_choice"]
    if not kept.get("tools"):
        kept = {key: value for key, value in kept.items() if key not in ("tools", *_ABOUT_TOOLS)}
    return msgspec.json.encode(kept)


def denied_hosted_tool(denial: Denial) -> str:
    """The id of the hosted tool that policy said no to, empty when the denial is about something else."""
    if denial.reason not in (DenialReason.FORBIDDEN, DenialReason.NO_PERMIT):
        return ""
    if not denial.access.startswith(_HOSTED):
        return ""
    _, _, tool = denial.access.removeprefix(_HOSTED).partition("/")
    return tool.replace("%2F", "/").replace("%25", "%")


def _verbatim(number: str) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


class _Removal:
    """Copies a request without one tool."""

    def __init__(self, tool: str) -> None:
        self.removed = False
        self._tool = tool

    def members(self, document: Mapping[str, object]) -> dict[str, object]:
        kept = {key: self._member(key, value) for key, value in document.items()}
        if self._tool == "web_search" and kept.pop("web_search_options", None) is not None:
            self.removed = True
        return kept

    def _member(self, key: str, value: object) -> object:
        if key == "tools":
            return self._tools(value)
        if key in ("input", "messages") and isinstance(value, list):
            return [self._item(item) for item in value]
        return value

    def _item(self, item: object) -> object:
        """An item of the input, which may add tools."""
        if not isinstance(item, dict) or "tools" not in item or item.get("type") == REPORTED_TOOLS:
            return item
        return item | {"tools": self._tools(item["tools"])}

    def _tools(self, tools: object) -> object:
        if not isinstance(tools, list):
            return tools
        kept = [self._inside(tool) for tool in tools if not self._is_hosted(tool)]
        self.removed |= len(kept) < len(tools)
        return kept

    def _is_hosted(self, tool: object) -> bool:
        return isinstance(tool, dict) and tool.get("type") != "namespace" and self._tool in read_tool(tool)[1]

    def _inside(self, tool: object) -> object:
        if not isinstance(tool, dict) or tool.get("type") != "namespace":
            return tool
        return tool | {"tools": self._tools(tool.get("tools"))}
