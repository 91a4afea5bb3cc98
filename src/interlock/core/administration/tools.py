"""Tools of MCP servers: what can be asked about them and what is answered."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Done, Permission, Route
from interlock.core.tool import PinStatus

Reason = Annotated[str, Meta(max_length=1000)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]

_READERS = (Permission.ADMINISTER, Permission.RESPOND, Permission.AUDIT, Permission.DEVELOP)


class ToolView(msgspec.Struct, frozen=True):
    """A tool: ``approved`` and ``seen`` are digests of what may be used and of what the server says now.

    ``by`` is who approved it, ``first use`` when nobody had to. Times are Unix seconds, 0 for never.
    """

    connection: str
    tool: str
    status: PinStatus
    approved: str
    by: str
    approved_at_s: float
    seen: str
    seen_at_s: float


class ToolDetail(msgspec.Struct, frozen=True):
    """A tool with its definitions as JSON: what was approved (empty for nothing), and what the server says now."""

    tool: ToolView
    approved_definition: str
    seen_definition: str


class ListTools(Command[tuple[ToolView, ...]], frozen=True, tag="tools.list"):
    """The tools that MCP servers have listed, of one connection or of all."""

    route: ClassVar = Route("GET", "/v1/tools", _READERS)

    connection: str = ""
    status: PinStatus | None = None


class ShowTool(Command[ToolDetail], frozen=True, tag="tools.show"):
    """What the server says of a tool, beside what was approved."""

    route: ClassVar = Route("GET", "/v1/tools/{connection}/{tool}", _READERS)

    connection: Name
    tool: Name


class ApproveTool(Command[Done], frozen=True, tag="tools.approve"):
    """Have a tool used as the server describes it now; ``digest`` says which description was read."""

    route: ClassVar = Route("POST", "/v1/tools/{connection}/{tool}/approve", (Permission.ADMINISTER,))

    connection: Name
    tool: Name
    digest: Digest
    reason: Reason = ""


class WithdrawTool(Command[Done], frozen=True, tag="tools.withdraw"):
    """Have a tool neither shown nor called until it is approved again."""

    route: ClassVar = Route(
        "POST", "/v1/tools/{connection}/{tool}/withdraw", (Permission.ADMINISTER, Permission.RESPOND)
    )

    connection: Name
    tool: Name
    reason: Reason
