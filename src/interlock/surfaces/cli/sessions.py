"""``interlock sessions``: list, show, search and export what was recorded.

Reads evidence and changes nothing. Exit status 0: fine; 1: damaged or not there; 2: used or configured wrongly.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from interlock.core.errors import ConfigurationError
from interlock.core.printable import one_line
from interlock.core.session import place
from interlock.services.evidence import EvidenceService, OperationView, SearchQuery, SessionFilter, SessionSummary
from interlock.services.evidence.asciicast import session_asciicast
from interlock.services.evidence.formats import operation_fields, session_json_lines, session_sql, timestamp
from interlock.services.evidence.har import session_har
from interlock.surfaces.cli import replay
from interlock.surfaces.cli.evidence_output import (
    JsonOption,
    SinceOption,
    UntilOption,
    parse_time_ns,
    print_json,
    print_table,
    telling_errors,
)
from interlock.surfaces.cli.replay import SessionArgument
from interlock.surfaces.cli.workbench import EvidenceReader, Workbench

app = typer.Typer(name="sessions", help="List, show, replay, watch, search and export sessions.", no_args_is_help=True)
app.add_typer(replay.app)

_END_OF_TIME_NS = 1 << 63
_ASSERTED = ("application", "trace")
"""What a client says of itself, and nobody has checked."""
RunOption = Annotated[str, typer.Option(help="Only of the run with this trace id, as clients say.")]


@app.command("list")
def list_sessions(
    context: typer.Context,
    principal: Annotated[str, typer.Option(help="Only of this agent or user, or in which it acts for somebody.")] = "",
    connection: Annotated[str, typer.Option(help="Only on this connection.")] = "",
    status: Annotated[str, typer.Option(help="Only open, closed, killed or interrupted.")] = "",
    run: RunOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the newest sessions."""
    with telling_errors():
        start, end = parse_time_ns(since, 0), parse_time_ns(until, _END_OF_TIME_NS)
        wanted = SessionFilter(principal, connection, status, start, end, run=run)
        found = _reading(context).sessions(wanted, limit)
    if as_json:
        for summary in found:
            print_json(_summary_fields(summary))
        return
    columns = ("session", "opened", "status", "principal", "connection", "ops", "denied", "rows")
    print_table(columns, (_summary_row(summary) for summary in found))


@app.command("show")
def show_session(context: typer.Context, session: SessionArgument, as_json: JsonOption = False) -> None:
    """Show one session with every operation, its decision and its outcome."""
    with telling_errors():
        evidence = _reading(context)
        session = evidence.resolve(session)
        summary = evidence.summary(session)
        operations = list(evidence.operations(session))
    if as_json:
        print_json(_summary_fields(summary) | {"operations": [operation_fields(view) for view in operations]})
        return
    for name, value in _summary_fields(summary).items():
        if value not in ("", [], None):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            typer.echo(f"{name + ':':<16}{one_line(shown)}")
    typer.echo("")
    columns = ("#", "at", "decision", "by", "verb", "outcome", "rows", "request")
    print_table(columns, (_operation_row(view) for view in operations))


@app.command("search")
def search_sessions(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Looked for in statements and parameters.")] = "",
    principal: Annotated[str, typer.Option(help="Only of this agent or user, or in which it acts for somebody.")] = "",
    connection: Annotated[str, typer.Option(help="Only on this connection.")] = "",
    verb: Annotated[str, typer.Option(help="Only this verb, such as SELECT.")] = "",
    decision: Annotated[str, typer.Option(help="Only allowed, denied or held.")] = "",
    session: Annotated[str, typer.Option(help="Only in this session.")] = "",
    answers: Annotated[
        bool, typer.Option("--answers", help="Look into what came back, too, screens among it; takes its time.")
    ] = False,
    run: RunOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    limit: Annotated[int, typer.Option(min=1, help="Stop after so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Find operations. Exit status 1 when there is none."""
    with telling_errors():
        evidence = _reading(context)
        start, end = parse_time_ns(since, 0), parse_time_ns(until, _END_OF_TIME_NS)
        session = evidence.resolve(session) if session else ""
        query = SearchQuery(text, principal, connection, verb, decision, session, start, end, run=run, answers=answers)
        hits = [hit for _, hit in zip(range(limit), evidence.search(query), strict=False)]
    if as_json:
        for hit in hits:
            print_json(msgspec.to_builtins(hit) | {"at": timestamp(hit.at_ns)})
    else:
        columns = ("session", "#", "at", "principal", "connection", "decision", "verb", "request")
        print_table(
            columns,
            (
                (
                    h.session,
                    h.number,
                    timestamp(h.at_ns),
                    h.who,
                    h.connection,
                    h.decision,
                    h.verb,
                    h.text,
                )
                for h in hits
            ),
        )
    if not hits:
        raise typer.Exit(1)


@app.command("export")
def export_session(
    context: typer.Context,
    session: SessionArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to; standard output when not given.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="evidence, jsonl, sql, har for HTTP, asciicast (2) or asciicast-v3 for SSH.")
    ] = "evidence",
    operation: Annotated[
        int, typer.Option(min=0, help="Only this operation of the session; for asciicast.", show_default=False)
    ] = 0,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the session's clear key in: whoever has it can read everything.")
    ] = False,
    extends: Annotated[
        list[Path] | None, typer.Option("--extends", help="An older checkpoint to prove extended; may be repeated.")
    ] = None,
) -> None:
    """Write a session as evidence package (a directory, or a .tar), JSON Lines, SQL, HTTP Archive or asciicast."""
    with telling_errors():
        evidence = _evidence(context)
        session = evidence.resolve(session)
        if form == "evidence":
            if out is None:
                raise ConfigurationError("an evidence package needs --out: a new directory, or a file ending in .tar")
            older = [path.read_text(encoding="utf-8") for path in extends or ()]
            evidence.export(session, out, older=older, with_key=with_key)
        elif form in _CASTS:
            _write(session_asciicast(evidence, session, operation, _CASTS[form]), out)
        elif operation:
            raise ConfigurationError(f"--operation is for {', '.join(_CASTS)}")
        elif form in _FORMATS:
            _write(_FORMATS[form](evidence, session), out)
        else:
            raise ConfigurationError(f"--format is evidence, {', '.join((*_FORMATS, *_CASTS))}; not {form!r}")


def _sql_script(evidence: EvidenceService, session: str) -> Iterator[bytes]:
    return (text.encode() for text in session_sql(evidence, session))


_FORMATS: Mapping[str, Callable[[EvidenceService, str], Iterator[bytes]]] = {
    "jsonl": session_json_lines,
    "sql": _sql_script,
    "har": session_har,
}
_CASTS: Mapping[str, int] = {"asciicast": 2, "asciicast-v3": 3}
"""Versions of the format by their names."""


def _write(pieces: Iterator[bytes], out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.writelines(pieces)
        return
    with out.open("xb") as file:
        file.writelines(pieces)


def _reading(context: typer.Context) -> EvidenceReader:
    workbench: Workbench = context.obj
    return workbench.reading


def _evidence(context: typer.Context) -> EvidenceService:
    workbench: Workbench = context.obj
    return workbench.evidence


def _summary_fields(summary: SessionSummary) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(summary)
    ended = timestamp(summary.ended_ns) if summary.ended_ns is not None else None
    times = {"opened": timestamp(summary.opened_ns), "ended": ended}
    shown = {name: value for name, value in fields.items() if name not in ("opened_ns", "ended_ns")}
    return shown | times | {"asserted": [name for name in _ASSERTED if fields[name]]}


def _summary_row(summary: SessionSummary) -> tuple[object, ...]:
    where = place(summary.connection, summary.database)
    counts = (summary.operations, summary.denied, summary.rows)
    return (summary.session, timestamp(summary.opened_ns)[:19], summary.status, summary.who, where, *counts)


def _operation_row(view: OperationView) -> tuple[object, ...]:
    decided, completed = view.decided, view.completed
    outcome = (completed.tag or completed.code or completed.status) if completed else decided.message
    text = view.request.text.decode(errors="replace")
    rows = completed.rows if completed else ""
    moment = timestamp(view.at_ns)[11:23]
    return decided.number, moment, decided.decision, ", ".join(decided.rules), decided.verb, outcome, rows, text
