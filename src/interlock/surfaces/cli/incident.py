"""``interlock incident``: stop somebody, see what happened and what was exposed, and keep the evidence.

Goes to the running gateway; without one it works on the data directory, and a lock takes effect at the next start.
"""

import enum
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from interlock.core.administration.evidence import END_OF_TIME_S
from interlock.core.administration.incidents import (
    BundleIncident,
    BundleMade,
    CloseIncident,
    FindValue,
    ListIncidents,
    OpenIncident,
    ReadBundle,
    ReportIncident,
    ShowIncident,
    Timeline,
)
from interlock.core.identity import by_actors
from interlock.core.incident import Incident, TimelineItem, ValueFound, ValueSearch
from interlock.core.lock import LockMode, LockSubject
from interlock.core.printable import one_line
from interlock.services.evidence.formats import timestamp
from interlock.services.incidents.reports import report_json
from interlock.surfaces.cli.answers import (
    UNAVAILABLE,
    JsonOption,
    ask,
    read_secret,
    show_fields,
    show_json,
    show_table,
    stop,
)
from interlock.surfaces.cli.evidence_output import SinceOption, UntilOption, counted, parse_time_ns, telling_errors
from interlock.surfaces.cli.lock import ReasonOption
from interlock.surfaces.cli.receipts import show_lock_receipt

app = typer.Typer(name="incident", help="Deal with an incident, from the lock to the evidence.", no_args_is_help=True)

_STATUSES = {"not delivered": 0, "delivered": 1, "not known": 3}

IncidentArgument = Annotated[str, typer.Argument(metavar="ID", help="An incident's id, or enough of its start.")]


class ReportForm(enum.Enum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


@app.command("open")
def open_incident(
    context: typer.Context,
    reason: ReasonOption,
    agent: Annotated[str, typer.Option(help="On this agent.")] = "",
    user: Annotated[str, typer.Option(help="On this person.")] = "",
    owner: Annotated[str, typer.Option(help="On this person and all agents that it answers for.")] = "",
    group: Annotated[str, typer.Option(help="On this group.")] = "",
    connection: Annotated[str, typer.Option(help="On this connection.")] = "",
    token: Annotated[str, typer.Option(help="On the token with this id (jti).")] = "",
    run: Annotated[str, typer.Option(help="On the agent's run with this trace id.")] = "",
    login: Annotated[str, typer.Option(help="On the login with this issuer and sid, as 'ISSUER SID'.")] = "",
    subject: Annotated[str, typer.Option(help="On whom an issuer calls so, as 'ISSUER SUB'.")] = "",
    everything: Annotated[bool, typer.Option("--everything", help="On all sessions.")] = False,
    mode: Annotated[LockMode, typer.Option(help="What the lock does.")] = LockMode.REFUSE,
    no_lock: Annotated[bool, typer.Option("--no-lock", help="Lock nobody.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Lock somebody or something and begin a timeline."""
    named = (user, agent, owner, group, connection, token, run, login, subject)
    given = [(kind, name) for kind, name in zip(LockSubject, named, strict=False) if name]
    given += [(LockSubject.EVERYTHING, "")] if everything else []
    if len(given) != 1:
        stop(
            "name exactly one: --agent, --user, --owner, --group, --connection, --token, --run, --login, --subject,"
            " --everything",
            UNAVAILABLE,
        )
    ((kind, name),) = given
    opened = ask(context, OpenIncident(kind, reason, name, None if no_lock else mode))
    if as_json:
        show_json(opened)
    else:
        typer.echo(f"Incident {opened.id} on {one_line(opened.about)} is open.")
        if opened.receipt is not None:
            show_lock_receipt(opened.receipt)
        elif not opened.warning:
            typer.echo("Nobody is locked.")
    if opened.warning:
        stop(opened.warning, UNAVAILABLE)


@app.command("list")
def list_incidents(
    context: typer.Context,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List incidents, the newest first."""
    incidents: list[Incident] = []
    after = ""
    while True:
        page = ask(context, ListIncidents(open_only, 1000, after))
        incidents += page.items
        if not (after := page.next):
            break
    if as_json:
        show_json(incidents)
        return
    columns = ("ID", "ON", "OPENED", "BY", "LOCK", "CLOSED", "REASON")
    show_table(columns, map(_row, incidents), "There is no incident.")


@app.command("show")
def show_incident(
    context: typer.Context, incident: IncidentArgument, since: SinceOption = "", as_json: JsonOption = False
) -> None:
    """Show what happened around an incident, in order."""
    pages = _pages(context, incident, since)
    first = next(pages)
    if as_json:
        rest = [item for page in pages for item in page.items]
        show_json(Timeline(first.incident, (*first.items, *rest)))
        return
    show_fields((name, one_line(value)) for name, value in _fields(first.incident))
    typer.echo("")
    for page in (first, *pages):
        for item in page.items:
            typer.echo(_line(item))


@app.command("report")
def report_incident(
    context: typer.Context,
    incident: IncidentArgument,
    form: Annotated[ReportForm, typer.Option("--format", help="How it is written.")] = ReportForm.TEXT,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A new file; standard output when not given.")] = None,
    since: SinceOption = "",
) -> None:
    """Report what was exposed: tables, columns, rows, masked or clear, refusals, approvals."""
    rendered = ask(context, ReportIncident(incident, _since_s(since)))
    written = {
        ReportForm.TEXT: lambda: rendered.text,
        ReportForm.HTML: lambda: rendered.html,
        ReportForm.JSON: lambda: report_json(rendered.report),
    }[form]()
    if out is None:
        typer.echo(written, nl=False)
        return
    with telling_errors(), out.open("x", encoding="utf-8", newline="\n") as file:
        file.write(written)


@app.command("did-it-leave")
def did_it_leave(
    context: typer.Context,
    value: Annotated[
        str, typer.Argument(help="The value; better leave it away: it is asked for, or read from standard input.")
    ] = "",
    incident: Annotated[str, typer.Option(metavar="ID", help="Only in the sessions of this incident.")] = "",
    principal: Annotated[str, typer.Option(help="Only in sessions of this agent or user, or in which it acts.")] = "",
    connection: Annotated[str, typer.Option(help="Only on this connection.")] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    as_json: JsonOption = False,
) -> None:
    """Was this value in an answer that was delivered? Exit status 0: it was not; 1: it was; 3: not known.

    Looks into the recordings, which hold answers as the clients got them, after masking. The value is kept nowhere.
    """
    if value:
        typer.echo("warning: others on this machine can see the value in the list of processes", err=True)
    value = value or read_secret("Value", None, twice=False)
    command = FindValue(value, incident, principal, connection, _since_s(since) or 0.0, _until_s(until))
    search = ask(context, command)
    if as_json:
        show_json(msgspec.to_builtins(search) | {"verdict": search.verdict})
    else:
        _show_search(search)
    raise typer.Exit(_STATUSES[search.verdict])


@app.command("bundle")
def bundle_incident(
    context: typer.Context,
    incident: IncidentArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new file, ending in .tar.")],
    since: SinceOption = "",
) -> None:
    """Write a signed archive of the evidence and the report; `interlock audit verify FILE` checks it."""
    with telling_errors(), out.open("xb") as file:
        try:
            made = ask(context, BundleIncident(incident, _since_s(since)))
            digest = hashlib.sha256()
            for data in _pieces(context, made):
                digest.update(data)
                file.write(data)
        except BaseException:
            out.unlink()
            raise
    if digest.hexdigest() != made.sha256:
        out.unlink()
        stop("the bundle did not come whole; try again", UNAVAILABLE)
    counts = f"{counted(made.entries, 'entry', 'entries')}, {counted(made.sessions, 'session', 'sessions')}"
    typer.echo(f"{out}: {counts}, {made.size_bytes:,} bytes, sha256 {made.sha256}")
    typer.echo(f"Check it with: interlock audit verify {out}")


@app.command("close")
def close_incident(
    context: typer.Context,
    incident: IncidentArgument,
    reason: ReasonOption,
    lift_locks: Annotated[bool, typer.Option("--lift-locks", help="Lift the locks that came with it, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Be done with an incident. Locks stay in force unless they are to be lifted."""
    closed = ask(context, CloseIncident(incident, reason, lift_locks))
    if as_json:
        show_json(closed)
    else:
        typer.echo(f"Incident {closed.id} is closed.")
        for lock in closed.lifted:
            typer.echo(f"Lock {lock} is lifted.")
        for lock in closed.in_force:
            typer.echo(f"Lock {lock} STAYS IN FORCE; lift it with: interlock lock remove {lock} --reason …")
    for warning in closed.warnings:
        typer.echo(f"warning: {warning}", err=True)


def _pieces(context: typer.Context, made: BundleMade) -> Iterator[bytes]:
    offset = 0
    while True:
        piece = ask(context, ReadBundle(made.incident, made.sha256, offset))
        yield piece.data
        offset += len(piece.data)
        if piece.end:
            return


def _show_search(search: ValueSearch) -> None:
    answers, sessions = counted(search.answers, "answer", "answers"), counted(search.sessions, "session", "sessions")
    looked = f"Looked at {answers} ({search.bytes_searched:,} bytes) of {sessions}."
    if search.found:
        typer.echo("YES: the value was delivered.")
        columns = ("SESSION", "#", "AT", "PRINCIPAL", "CONNECTION", "WHERE", "WHOLE", "WITHIN")
        show_table(columns, map(_found_row, search.found), "")
        if search.more:
            typer.echo("There are more than are shown.")
    elif search.problems:
        typer.echo("NOT KNOWN: the value is in no answer that was kept, but not all of them could be looked at.")
    else:
        typer.echo("NO: the value is in no answer.")
    typer.echo(looked)
    for problem in search.problems:
        typer.echo(f"not looked at: {one_line(problem)}")
    typer.echo(
        "Looked for the value as written, and in COPY, JSON and hexadecimal notation; not for what was made of it."
    )


def _found_row(found: ValueFound) -> tuple[str, ...]:
    at, places = timestamp(found.at_ns), (str(found.whole), str(found.within))
    who = by_actors(found.principal, found.acting)
    return found.session, str(found.number), at, who, found.connection, found.where, *places


def _pages(context: typer.Context, incident: str, since: str) -> Iterator[Timeline]:
    """The timeline, page by page; there is at least one."""
    after, since_s = "", _since_s(since)
    while True:
        page = ask(context, ShowIncident(incident, since_s, after=after))
        yield page
        if not (after := page.next):
            return


def _since_s(since: str) -> float | None:
    with telling_errors():
        return parse_time_ns(since, 0) / 1e9 if since else None


def _until_s(until: str) -> float:
    with telling_errors():
        return parse_time_ns(until, 0) / 1e9 if until else END_OF_TIME_S


def _row(incident: Incident) -> tuple[str, ...]:
    closed = timestamp(incident.closed_ns) if incident.closed_ns is not None else "-"
    opened = timestamp(incident.opened_ns)
    return incident.id, incident.about, opened, incident.opened_by, incident.mode or "-", closed, incident.reason


def _fields(incident: Incident) -> Iterator[tuple[str, str]]:
    yield "incident", incident.id
    yield "on", incident.about
    yield "opened", f"{timestamp(incident.opened_ns)} by {incident.opened_by}"
    yield "reason", incident.reason
    yield "lock", incident.mode or "none came with it"
    if incident.closed_ns is not None:
        yield "closed", f"{timestamp(incident.closed_ns)} by {incident.closed_by}: {incident.closed_reason}"


def _line(item: TimelineItem) -> str:
    session = f"  [{item.session}]" if item.session else ""
    who = f"{one_line(item.who)}: " if item.who else ""
    return f"{timestamp(item.at_ns)}  {item.kind:<22}{session}  {who}{item.text}"
