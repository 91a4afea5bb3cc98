"""``interlock lock``: stop somebody or something, now and until the lock is lifted.

Without a running gateway a lock is kept and takes effect at the next start.
"""

import datetime
import re
from typing import Annotated

import typer

from interlock.core.administration import AddLock, ListLocks, RemoveLock
from interlock.core.lock import Lock, LockMode, LockSubject
from interlock.surfaces.cli.answers import UNAVAILABLE, JsonOption, ask, show_json, show_table, stop
from interlock.surfaces.cli.receipts import show_done, show_lock_receipt

app = typer.Typer(name="lock", help="Stop agents, people, connections, tokens or runs.", no_args_is_help=True)

_DURATION = re.compile(r"([1-9][0-9]*)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

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
    as_json: JsonOption = False,
) -> None:
    """Lock somebody or something, and show what became of open sessions."""
    receipt = ask(context, AddLock(kind, reason, name, mode, _seconds(expires)))
    if as_json:
        show_json(receipt)
    else:
        show_lock_receipt(receipt)


@app.command("list")
def list_locks(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the locks in force, the newest first."""
    locks: list[Lock] = []
    after = ""
    while True:
        page = ask(context, ListLocks(limit=1000, after=after))
        locks += page.items
        if not (after := page.next):
            break
    if as_json:
        show_json(locks)
        return
    columns = ("ID", "ON", "MODE", "REASON", "BY", "SINCE", "UNTIL", "CAUSE")
    show_table(columns, map(_row, locks), "There is no lock in force.")


@app.command("remove")
def remove_lock(
    context: typer.Context,
    lock_id: Annotated[str, typer.Argument(metavar="ID", help="The lock's id.")],
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """Lift a lock. Whoever is locked cannot, under any name."""
    done = ask(context, RemoveLock(lock_id, reason))
    if as_json:
        show_json(done)
    else:
        show_done(done)


def _seconds(duration: str) -> int | None:
    if not duration:
        return None
    found = _DURATION.fullmatch(duration)
    if found is None:
        stop(f"--for is a number and one of s, m, h, d, such as 10m; not {duration!r}", UNAVAILABLE)
    return int(found[1]) * _SECONDS[found[2]]


def _row(lock: Lock) -> tuple[str, ...]:
    subject = f"{lock.subject_kind.value} {lock.subject}".rstrip()
    until = _time(lock.expires_at_s) if lock.expires_at_s is not None else "removed"
    return lock.id, subject, lock.mode.value, lock.reason, lock.by, _time(lock.created_at_s), until, lock.cause


def _time(at_s: float) -> str:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat(timespec="seconds")
