"""Carries out the commands about tools of MCP servers."""

from collections.abc import Mapping
from typing import Any

from interlock.core.administration import (
    ApproveTool,
    Command,
    Done,
    ListTools,
    ShowTool,
    ToolDetail,
    ToolView,
    WithdrawTool,
)
from interlock.core.errors import NotFound
from interlock.core.identity import Actor
from interlock.core.tool import ToolPin
from interlock.services.administration import Handler
from interlock.services.tool_pins import PinnedTools


class ToolRoom:
    """Implements ``services.administration.Room``."""

    def __init__(self, tools: PinnedTools) -> None:
        self._tools = tools

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {
            ListTools: self._list,
            ShowTool: self._show,
            ApproveTool: self._approve,
            WithdrawTool: self._withdraw,
        }

    async def _list(self, command: ListTools, _actor: Actor) -> tuple[ToolView, ...]:
        pins = self._tools.all(command.connection)
        return tuple(_view(pin) for pin in pins if command.status in (None, pin.status))

    async def _show(self, command: ShowTool, _actor: Actor) -> ToolDetail:
        pin = self._tools.find(command.connection, command.tool)
        if pin is None:
            raise NotFound(f"no server of a connection {command.connection!r} has listed a tool {command.tool!r}")
        return ToolDetail(_view(pin), pin.approved_text.decode(), pin.seen_text.decode())

    async def _approve(self, command: ApproveTool, actor: Actor) -> Done:
        await self._tools.approve(command.connection, command.tool, command.digest, command.reason, actor)
        return Done(f"Tool {command.tool!r} of {command.connection!r} may be used as its server describes it.")

    async def _withdraw(self, command: WithdrawTool, actor: Actor) -> Done:
        await self._tools.withdraw(command.connection, command.tool, command.reason, actor)
        return Done(f"Tool {command.tool!r} of {command.connection!r} is hidden and refused until it is approved.")


def _view(pin: ToolPin) -> ToolView:
    return ToolView(
        connection=pin.connection,
        tool=pin.tool,
        status=pin.status,
        approved=pin.approved,
        by=pin.by,
        approved_at_s=pin.approved_at_s,
        seen=pin.seen,
        seen_at_s=pin.seen_at_s,
    )
