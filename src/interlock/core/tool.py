"""A tool of an MCP server as the server describes it.

What a server says of a tool is read by models: a description that changes is an instruction that changes. So all of it
is kept, and told from another one by its digest.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

MAX_DEFINITION_BYTES = 128 << 10
"""The longest definition that is kept; a tool with a longer one is not shown to anybody."""


_CANONICAL: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")


class ToolDefinition(msgspec.Struct, frozen=True):
    """What a server lists of one tool: name, description, schemas, annotations and whatever else, as canonical JSON.

    Canonical is: keys sorted, no blanks, UTF-8. ``text`` holds the name, too.
    """

    name: str
    text: bytes

    @property
    def digest(self) -> str:
        """SHA-256 over ``text``, in hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()


def tool_definition(listed: Mapping[str, object]) -> ToolDefinition | None:
    """The definition in one element of ``tools``; None when it has no name, is too long, or is no Unicode text."""
    name = listed.get("name")
    try:
        text = _CANONICAL.encode(listed)
    except UnicodeEncodeError:
        return None
    if not isinstance(name, str) or not name or len(text) > MAX_DEFINITION_BYTES:
        return None
    return ToolDefinition(name, text)
