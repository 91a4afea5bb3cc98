"""``interlock approvals``: see what waits for people, and answer it.

Exit status 1: the answer does not count, or there is no such request; 2: the gateway could not be asked.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer

from interlock.core.administration.approvals import (
    Approve,
    BypassApprovals,
    Deny,
    EndBypass,
    ListApprovals,
    Rehearse,
    ShowApproval,
)
from interlock.core.approval import ApprovalRequest, ApprovalStatus, ApprovalView, Bypass, Rehearsal
from interlock.core.identity import by_actors, line_of
from interlock.core.printable import one_line, printable
from interlock.core.session import place
from interlock.surfaces.cli.answers import JsonOption, ask, show_fields, show_json, show_table
from interlock.surfaces.cli.duration import seconds

app = typer.Typer(name="approvals", help="See and answer requests for approval.", no_args_is_help=True)

RequestArgument = Annotated[str, typer.Argument(metavar="ID", help="The request's id.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept as evidence.")]


@app.command("list")
def list_approvals(
    context: typer.Context,
    status: Annotated[ApprovalStatus | None, typer.Option(help="Only those that stand like this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the newest requests."""
    page = ask(context, ListApprovals(status, limit))
    if as_json:
        show_json(page)
        return
    _show_bypasses(page.bypasses)
    columns = ("request", "asked", "status", "principal", "connection", "verb", "groups", "times", "answers")
    show_table(columns, map(_row, page.items), "Nobody has asked for anything.")


@app.command("show")
def show_approval(context: typer.Context, approval: RequestArgument, as_json: JsonOption = False) -> None:
    """Show one request with the exact statement."""
    view = ask(context, ShowApproval(approval))
    if as_json:
        show_json(view)
    else:
        _show(view)


@app.command("approve")
def approve(
    context: typer.Context,
    approval: RequestArgument,
    reason: ReasonOption,
    digest: Annotated[str, typer.Option(help="Only if the request still has this digest, as `show` printed it.")] = "",
) -> None:
    """Say yes, once, to exactly this statement."""
    _answered(ask(context, Approve(approval, reason, digest)))


@app.command("deny")
def deny(context: typer.Context, approval: RequestArgument, reason: ReasonOption) -> None:
    """Say no."""
    _answered(ask(context, Deny(approval, reason)))


@app.command("rehearse")
def rehearse(context: typer.Context, approval: RequestArgument, as_json: JsonOption = False) -> None:
    """Run the statement in a transaction that stays open for a while, and show what it does.

    An approval commits exactly that transaction; anything else rolls it back.
    """
    rehearsal = ask(context, Rehearse(approval))
    if as_json:
        show_json(rehearsal)
    else:
        _show_rehearsal(rehearsal)


@app.command("bypass")
def bypass_approvals(
    context: typer.Context,
    approval: RequestArgument,
    reason: ReasonOption,
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 15m; at most 1h.")],
    as_json: JsonOption = False,
) -> None:
    """Say yes to one request, and for a while to whatever the same rules hold of the same identity there.

    Only for whom alone is asked. It ends with the time, a lock, a restart, or another policy.
    """
    bypass = ask(context, BypassApprovals(approval, reason, seconds(lasts)))
    if as_json:
        show_json(bypass)
    else:
        _show_bypasses((bypass,))


@app.command("end-bypass")
def end_bypass(
    context: typer.Context,
    bypass: Annotated[str, typer.Argument(metavar="BYPASS", help="The bypass's id.")],
    reason: ReasonOption,
) -> None:
    """Have people asked again before the time."""
    ended = ask(context, EndBypass(bypass, reason))
    typer.echo(f"The bypass has ended; {ended.used} statements had passed.")


def _show_bypasses(bypasses: Iterable[Bypass]) -> None:
    """In red, and not among what programs read."""
    for bypass in bypasses:
        asker = by_actors(f"{bypass.principal_kind} {bypass.principal}", bypass.acting)
        who = one_line(f"{asker} on {place(bypass.connection, bypass.database)}")
        rules, vote = ", ".join(bypass.rules), bypass.vote
        typer.secho(
            f"BYPASS {bypass.id}: nobody is asked about {who} (rules {rules}) until {_time(bypass.expires_at_s)}; "
            f"{bypass.used} passed; by {one_line(vote.reviewer)}: {one_line(vote.reason)}",
            fg=typer.colors.RED,
            bold=True,
            err=True,
        )


def _show_rehearsal(rehearsal: Rehearsal) -> None:
    if rehearsal.problem:
        typer.echo(f"not rehearsed: {one_line(rehearsal.problem)}")
        return
    state = "the transaction is open" if rehearsal.held else "its transaction was rolled back"
    typer.echo(f"rehearsed: {rehearsal.tag} ({state})")
    for when, samples in (("before", rehearsal.before), ("after", rehearsal.after)):
        for sample in samples:
            if sample.rows:
                typer.echo(f"\n{when}, {sample.table}:")
                rows = [tuple("NULL" if value is None else one_line(value) for value in row) for row in sample.rows]
                show_table(sample.columns, rows, "")


def _answered(request: ApprovalRequest) -> None:
    if request.status is ApprovalStatus.PENDING:
        given = sum(vote.approves for vote in request.votes)
        typer.echo(f"Counted: {given} of {_needed(request)}. The request is still open.")
    else:
        typer.echo(f"The request is {request.status.value}.")


def _needed(request: ApprovalRequest) -> str:
    return " and ".join(f"{demand.approvals} of {demand.group}" for demand in request.demands)


def _row(request: ApprovalRequest) -> tuple[str, ...]:
    return (
        request.id,
        _time(request.created_at_s),
        request.status.value,
        one_line(_asker(request)),
        place(request.connection, request.database),
        request.verb,
        ", ".join(demand.group for demand in request.demands),
        str(request.asked),
        str(len(request.votes)),
    )


def _asker(request: ApprovalRequest) -> str:
    return by_actors(request.principal, tuple(map(line_of, request.acting)))


def _show(view: ApprovalView) -> None:
    request = view.request
    show_fields(
        (name, one_line(value))
        for name, value in (
            ("request", request.id),
            ("status", f"{request.status.value} {request.settled_reason}".strip()),
            ("asked by", f"{request.principal_kind} {_asker(request)}"),
            ("owner", request.owner),
            ("on", place(request.connection, request.database)),
            ("from", f"{request.client_address} {request.application}".strip()),
            ("run", request.trace),
            ("does", "; ".join(request.accesses)),
            ("rules", ", ".join(request.rules)),
            ("needs", _needed(request)),
            ("until", _time(request.expires_at_s)),
            ("digest", request.digest),
        )
        if value
    )
    typer.echo(f"\n{view.noun}:\n{printable(view.statement)}")
    for number, value in enumerate(view.parameters, 1):
        typer.echo(f"${number} = {'NULL' if value is None else one_line(value)}")
    for remark in view.remarks:
        typer.echo(f"! {remark}")
    if view.rehearsal is not None:
        _show_rehearsal(view.rehearsal)
    for vote in request.votes:
        word = "approved" if vote.approves else "denied"
        typer.echo(f"{word} by {one_line(vote.reviewer)} at {_time(vote.at_s)}: {one_line(vote.reason)}")


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
