"""``interlock tools``: tools of MCP servers, what their servers say of them, and whether they may be used."""

import datetime
import difflib
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from interlock.core.administration import ApproveTool, Done, ListTools, ShowTool, ToolDetail, ToolView, WithdrawTool
from interlock.core.printable import one_line
from interlock.core.tool import PinStatus
from interlock.surfaces.cli.answers import JsonOption, ask, show_fields, show_json, show_table
from interlock.surfaces.cli.receipts import show_done

app = typer.Typer(name="tools", help="Tools of MCP servers, and which may be used.", no_args_is_help=True)

ConnectionArgument = Annotated[str, typer.Argument(metavar="CONNECTION", help="The MCP server's connection.")]
ToolArgument = Annotated[str, typer.Argument(metavar="TOOL", help="The tool's name.")]


@app.command("list")
def list_tools(
    context: typer.Context,
    connection: Annotated[str, typer.Argument(metavar="CONNECTION", help="Of this connection only.")] = "",
    status: Annotated[PinStatus | None, typer.Option(help="Of this status only.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the tools that MCP servers have listed."""
    tools = ask(context, ListTools(connection, status))
    if as_json:
        show_json(tools)
        return
    columns = ("CONNECTION", "TOOL", "STATUS", "APPROVED BY", "APPROVED", "SEEN")
    show_table(columns, map(_row, tools), "No MCP server has listed a tool.")


@app.command("show")
def show_tool(
    context: typer.Context, connection: ConnectionArgument, tool: ToolArgument, as_json: JsonOption = False
) -> None:
    """Show what the server says of a tool, and how that differs from what was approved."""
    detail = ask(context, ShowTool(connection, tool))
    if as_json:
        show_json(detail)
        return
    view = detail.tool
    show_fields(
        (
            ("tool", one_line(f"{view.connection}/{view.tool}")),
            ("status", view.status.value),
            ("approved by", one_line(view.by) or "nobody"),
            ("digest", view.seen),
        )
    )
    typer.echo("")
    for line in _definition(detail):
        typer.echo(one_line(line))


@app.command("approve")
def approve_tool(
    context: typer.Context,
    connection: ConnectionArgument,
    tool: ToolArgument,
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Of the definition that you read (`tools show`).")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Have a tool used as its server describes it now."""
    _show(ask(context, ApproveTool(connection, tool, digest, reason)), as_json)


@app.command("withdraw")
def withdraw_tool(
    context: typer.Context,
    connection: ConnectionArgument,
    tool: ToolArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")],
    as_json: JsonOption = False,
) -> None:
    """Hide a tool and refuse its calls until it is approved again."""
    _show(ask(context, WithdrawTool(connection, tool, reason)), as_json)


def _show(done: Done, as_json: bool) -> None:
    if as_json:
        show_json(done)
    else:
        show_done(done)


def _row(view: ToolView) -> tuple[str, ...]:
    times = (_moment(view.approved_at_s), _moment(view.seen_at_s))
    return view.connection, view.tool, view.status.value, view.by or "-", *times


def _moment(at_s: float) -> str:
    return f"{datetime.datetime.fromtimestamp(at_s, datetime.UTC):%Y-%m-%d %H:%M:%S}" if at_s else "-"


def _definition(detail: ToolDetail) -> Iterator[str]:
    """The definition, or how it differs from the approved one."""
    approved, seen = _lines(detail.approved_definition), _lines(detail.seen_definition)
    if not approved or approved == seen:
        return iter(seen)
    return difflib.unified_diff(approved, seen, "approved", "now", lineterm="", n=max(len(approved), len(seen)))


def _lines(definition: str) -> list[str]:
    return msgspec.json.format(definition.encode(), indent=2).decode().splitlines() if definition else []
