"""``interlock lock``: stop somebody or something, now and until the lock is lifted.

Without a running gateway a lock is kept and takes effect at the next start.
"""

import datetime
from typing import Annotated

import typer

from interlock.core.administration import AddLock, Done, EndExemption, ExemptFromLock, ListLocks, RemoveLock
from interlock.core.lock import MAX_EXEMPTION_S, Exemption, Lock, LockMode, LockSubject, is_routine
from interlock.surfaces.cli.answers import UNAVAILABLE, JsonOption, ask, show_json, show_table, stop
from interlock.surfaces.cli.duration import seconds
from interlock.surfaces.cli.receipts import show_done, show_lock_receipt

app = typer.Typer(name="lock", help="Stop agents, people, connections, tokens or runs.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The lock's id.")]
ExemptKind = Annotated[LockSubject, typer.Argument(metavar="KIND", help="user, agent, owner or group.")]
ExemptName = Annotated[str, typer.Argument(metavar="NAME", help="Its name.")]
EarlierProofsOption = Annotated[
    bool,
    typer.Option("--earlier-proofs", help="Only what was proved until now: whoever logs in again comes in."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the ledger and for whoever is stopped.")]


@app.command("add")
def add_lock(
    context: typer.Context,
    kind: Annotated[LockSubject, typer.Argument(metavar="KIND", help="What the lock is on.")],
    reason: ReasonOption,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name; none for everything.")] = "",
    mode: Annotated[LockMode, typer.Option(help="What becomes of it.")] = LockMode.REFUSE,
    expires: Annotated[
        str, typer.Option("--for", help="How long, such as 10m, 8h or 2d; until it is removed when not given.")
    ] = "",
    earlier_proofs: EarlierProofsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Lock somebody or something, and show what became of open sessions."""
    receipt = ask(context, AddLock(kind, reason, name, mode, seconds(expires) if expires else None, earlier_proofs))
    if as_json:
        show_json(receipt)
    else:
        show_lock_receipt(receipt)


@app.command("list")
def list_locks(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that follow from people's logging out.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the locks in force, the newest first."""
    locks: list[Lock] = []
    after = ""
    while True:
        page = ask(context, ListLocks(limit=1000, after=after))
        locks += page.items
        if not (after := page.next):
            break
    shown = [lock for lock in locks if everything or not is_routine(lock)]
    if as_json:
        show_json(shown)
        return
    if len(shown) < len(locks):
        typer.echo(f"Not shown: {len(locks) - len(shown)} on what people have logged out of (--all).", err=True)
    columns = ("ID", "ON", "MODE", "REASON", "BY", "SINCE", "UNTIL", "CAUSE", "EXEMPT")
    show_table(columns, map(_row, shown), "There is no lock in force.")


@app.command("remove")
def remove_lock(
    context: typer.Context,
    lock_id: IdArgument,
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """Lift a lock. Whoever is locked cannot, under any name."""
    _show(ask(context, RemoveLock(lock_id, reason)), as_json)


@app.command("exempt")
def exempt(
    context: typer.Context,
    lock_id: IdArgument,
    kind: ExemptKind,
    name: ExemptName,
    reason: ReasonOption,
    lasting: Annotated[str, typer.Option("--for", help="How long, such as 10m; 24h at most.")],
    as_json: JsonOption = False,
) -> None:
    """Have a lock not concern somebody for a while. Nobody can exempt himself, under any name."""
    lasting_s = seconds(lasting)
    if lasting_s > MAX_EXEMPTION_S:
        stop(f"--for is {MAX_EXEMPTION_S // 3600}h at most, not {lasting!r}", UNAVAILABLE)
    _show(ask(context, ExemptFromLock(lock_id, kind, name, lasting_s, reason)), as_json)


@app.command("unexempt")
def end_exemption(
    context: typer.Context,
    lock_id: IdArgument,
    kind: ExemptKind,
    name: ExemptName,
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """End an exemption before its time, and show what became of open sessions."""
    _show(ask(context, EndExemption(lock_id, kind, name, reason)), as_json)


def _show(done: Done, as_json: bool) -> None:
    if as_json:
        show_json(done)
    else:
        show_done(done)


def _row(lock: Lock) -> tuple[str, ...]:
    subject = f"{lock.subject_kind.value} {lock.subject}".rstrip()
    until = _time(lock.expires_at_s) if lock.expires_at_s is not None else "removed"
    exempt = "; ".join(map(_exempt, lock.exemptions)) or "-"
    subject += f" (proofs until {_time(lock.issued_before_s)})" if lock.issued_before_s is not None else ""
    return lock.id, subject, lock.mode.value, lock.reason, lock.by, _time(lock.created_at_s), until, lock.cause, exempt


def _exempt(exemption: Exemption) -> str:
    whom = f"{exemption.subject_kind.value} {exemption.subject}"
    return f"{whom} until {_time(exemption.ends_at_s)} by {exemption.by} ({exemption.reason})"


def _time(at_s: float) -> str:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat(timespec="seconds")
