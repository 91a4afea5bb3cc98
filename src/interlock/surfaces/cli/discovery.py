"""``interlock connections scan | harden``: which columns deserve a tag, and how to keep them from the gateway's role.

``scan`` tags nothing and prints no value. ``harden`` changes nothing unless it is told to apply.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from interlock.core.administration import (
    ColumnPath,
    HardenConnection,
    HardeningPlan,
    ScanConnection,
    ScanReport,
    TagProposal,
)
from interlock.core.printable import one_line
from interlock.surfaces.cli.answers import REFUSED, JsonOption, ask, show_json, show_table, stop

NameArgument = Annotated[str, typer.Argument(help="Name of the connection.")]
DatabaseOption = Annotated[
    str | None, typer.Option(help="Database of the connection. Without it: the connection's first.")
]
_NAME: Final = r'(?:"(?:[^"]|"")+"|[^".]+)'
_COLUMN: Final = re.compile(rf"({_NAME})\.({_NAME})\.({_NAME})")


def scan_connection(
    context: typer.Context,
    name: NameArgument,
    database: DatabaseOption = None,
    sample_rows: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many rows of each table are looked at.")
    ] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Look at samples and names of columns and propose tags. Nothing is tagged, and no value is shown."""
    report = ask(context, ScanConnection(name, database, sample_rows))
    if as_json:
        show_json(report)
        return
    _show_report(report)


def harden_connection(
    context: typer.Context,
    name: NameArgument,
    column: Annotated[
        list[str], typer.Option(help="A column as schema.table.column; may be repeated. Quote names with dots.")
    ],
    role: Annotated[
        str | None, typer.Option(help="The role that must not read them. Without it: the one the gateway logs in as.")
    ] = None,
    database: DatabaseOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Run the statements, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the SQL that makes a role unable to read columns; for columns that are masked with null or forbidden.

    Every other mask is computed from the value, which the gateway's role must then be able to read.
    """
    command = HardenConnection(name, tuple(map(column_path, column)), role, database)
    plan = ask(context, command)
    if not as_json:
        _show_plan(plan)
    if apply and plan.statements:
        if not yes:
            typer.confirm("Run these statements now?", abort=True, err=True)
        plan = ask(context, HardenConnection(name, command.columns, role, database, plan.statements))
        typer.echo(f"{plan.role} cannot read the columns any more.", err=True)
    if as_json:
        show_json(plan)


def _show_report(report: ScanReport) -> None:
    rows = [(one_line(str(one.column)), _reason(one), _share(one), one.tag) for one in report.proposals]
    nothing = f"Nothing was found in {report.columns} columns of {report.tables} tables."
    show_table(("COLUMN", "FOUND", "SHARE", "TAG"), rows, nothing)
    for table in report.not_sampled:
        typer.echo(one_line(f"not sampled: {table.schema}.{table.table}: {table.why}"), err=True)
    if rows:
        typer.echo("\nNothing is tagged yet. For the settings file, after a look at each line:\n")
        typer.echo("\n".join(_snippet(report.proposals)))


def _reason(proposal: TagProposal) -> str:
    return f"content: {proposal.reason}" if proposal.by_content else f"name: {proposal.reason}"


def _share(proposal: TagProposal) -> str:
    return f"{proposal.hits} of {proposal.values} ({proposal.hits / proposal.values:.0%})" if proposal.values else "-"


def _snippet(proposals: Iterable[TagProposal]) -> list[str]:
    """A table for the settings file: a line for each column, with all of its tags."""
    tags: dict[str, set[str]] = {}
    for proposal in proposals:
        tags.setdefault(proposal.pattern, set()).add(proposal.tag)
    return [
        "[policy.tags]",
        *(f"{_toml(pattern)} = [{', '.join(map(_toml, sorted(found)))}]" for pattern, found in tags.items()),
    ]


def _toml(text: str) -> str:
    """A basic string of TOML that is safe on a terminal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"{}"'.format("".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in escaped))


def _show_plan(plan: HardeningPlan) -> None:
    """Statements on standard output, for psql; everything else on standard error."""
    for warning in plan.warnings:
        typer.echo(one_line(f"warning: {warning}"), err=True)
    for statement in plan.statements:
        typer.echo(f"{statement};")
    if not plan.statements:
        typer.echo(f"Nothing to do: {plan.role} cannot read the columns.", err=True)


def column_path(text: str) -> ColumnPath:
    """A column by its name in SQL, in full; what is not one ends the program."""
    found = _COLUMN.fullmatch(text)
    if found is None:
        stop(f"--column: {text!r} is not schema.table.column", REFUSED)
    return ColumnPath(*map(_unquoted, found.groups()))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
