"""How it is shown what became of sessions: a table for people, with what could not be verified below it."""

from collections.abc import Sequence

import typer

from interlock.core.administration import Done
from interlock.core.lock import LockReceipt, SessionReceipt
from interlock.surfaces.cli.answers import show_table

_COLUMNS = ("SESSION", "PRINCIPAL", "CONNECTION", "ACTION", "STOPPED", "IN FLIGHT", "GONE AT TARGET", "ROWS", "BYTES")


def show_sessions(sessions: Sequence[SessionReceipt], warnings: Sequence[str] = (), voided: int = 0) -> None:
    """Print what became of sessions; warnings go to standard error."""
    show_table(_COLUMNS, map(_row, sessions), "No open session was concerned.")
    if voided:
        typer.echo(f"Approvals made void: {voided}")
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def show_lock_receipt(receipt: LockReceipt) -> None:
    """Print what a lock did."""
    lock = receipt.lock
    subject = f"{lock.subject_kind.value} {lock.subject}".rstrip()
    typer.echo(f"Lock {lock.id} ({lock.mode.value}) on {subject} is in force.")
    show_sessions(receipt.sessions, receipt.warnings, receipt.voided_approvals)


def show_done(done: Done) -> None:
    """Print that it was done, and what became of sessions by it."""
    typer.echo(done.text)
    if done.sessions or done.warnings or done.voided_approvals:
        show_sessions(done.sessions, done.warnings, done.voided_approvals)


def _row(receipt: SessionReceipt) -> tuple[str, ...]:
    gone = receipt.gone_after_ms
    return (
        receipt.session,
        receipt.principal,
        receipt.connection,
        receipt.action,
        f"{receipt.stopped_after_ms:.1f} ms",
        receipt.in_flight or "-",
        "not verified" if gone is None and receipt.action == "cut" else "-" if gone is None else f"{gone:.1f} ms",
        str(receipt.rows),
        str(receipt.bytes_sent),
    )
