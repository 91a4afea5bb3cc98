"""A tool of an MCP server as the server describes it.

What a server says of a tool is read by models: a description that changes is an instruction that changes. So all of it
is kept, and told from another one by its digest.
"""

import enum
import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

MAX_NAME_LENGTH: Final = 256
MAX_DEFINITION_BYTES: Final = 64 << 10
"""The longest name and definition that are kept; a tool with a longer one is not shown to anybody."""

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
    """The definition in one element of ``tools``; None when it has no name, is too long, or no Unicode text."""
    name = listed.get("name")
    try:
        text = _CANONICAL.encode(listed)
    except UnicodeEncodeError:
        return None
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH or len(text) > MAX_DEFINITION_BYTES:
        return None
    return ToolDefinition(name, text)


class PinStatus(enum.Enum):
    """How a tool stands; only an approved one may be used."""

    APPROVED = "approved"
    CHANGED = "changed"
    """The server describes it otherwise than when it was approved."""
    WAITING = "waiting"
    """Nobody has approved it, or its approval was withdrawn."""


class ToolPin(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one tool of one connection.

    ``approved`` is the digest of the definition that may be used, empty for none, ``approved_text`` that definition;
    ``seen`` and ``seen_text`` are what the server listed last. ``by`` approved it: a name, or ``first use``.
    """

    connection: str
    tool: str
    approved: str = ""
    approved_text: bytes = b""
    by: str = ""
    approved_at_s: float = 0.0
    seen: str = ""
    seen_text: bytes = b""
    seen_at_s: float = 0.0

    @property
    def status(self) -> PinStatus:
        """How it stands."""
        if not self.approved:
            return PinStatus.WAITING
        return PinStatus.APPROVED if self.approved == self.seen else PinStatus.CHANGED
