"""``interlock sessions live`` and ``kill``: what is open on the running gateway."""

import datetime
from typing import Annotated

import typer

from interlock.core.administration import KillSession, ListLiveSessions, LiveSession
from interlock.core.identity import by_actors
from interlock.core.session import place
from interlock.surfaces.cli.answers import JsonOption, ask, show_json, show_table
from interlock.surfaces.cli.lock import ReasonOption
from interlock.surfaces.cli.receipts import show_sessions

app = typer.Typer()

_COLUMNS = ("SESSION", "SINCE", "STATE", "DOING", "PRINCIPAL", "OWNER", "CONNECTION", "CLIENT", "OPS", "DENIED", "ROWS")


@app.command("live")
def list_live(
    context: typer.Context,
    principal: Annotated[str, typer.Option(help="Only of this agent or user, or in which it acts for somebody.")] = "",
    connection: Annotated[str, typer.Option(help="Only on this connection.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the sessions that are open now, the newest first."""
    sessions: list[LiveSession] = []
    after = ""
    while True:
        page = ask(context, ListLiveSessions(principal, connection, 1000, after))
        sessions += page.items
        if not (after := page.next):
            break
    if as_json:
        show_json(sessions)
    else:
        show_table(_COLUMNS, map(_row, sessions), "No session is open.")


@app.command("kill")
def kill_session(
    context: typer.Context,
    session: Annotated[str, typer.Argument(metavar="ID", help="The session's id.")],
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """Cut one session; what it runs is cancelled at the target."""
    receipt = ask(context, KillSession(session, reason))
    if as_json:
        show_json(receipt)
    else:
        show_sessions((receipt,))


def _row(session: LiveSession) -> tuple[str, ...]:
    since = datetime.datetime.fromtimestamp(session.opened_at_s, datetime.UTC)
    return (
        session.id,
        since.isoformat(timespec="seconds"),
        session.state,
        session.doing or "-",
        by_actors(session.principal, session.acting),
        session.owner or "-",
        place(session.connection, session.database),
        session.client_address,
        str(session.operations),
        str(session.denied),
        str(session.rows),
    )
