"""``interlock audit``: verify evidence, search the ledger, export it.

Reads evidence and changes nothing. Exit status 0: fine; 1: a finding, or damage; 2: used or configured wrongly.
"""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from interlock.core.chain import decode_entry
from interlock.core.checkpoint import VerifierKey, split_notes
from interlock.core.errors import ConfigurationError, EvidenceError
from interlock.core.printable import one_line
from interlock.services.evidence import AuditQuery, VerificationReport
from interlock.services.evidence.formats import entry_fields
from interlock.surfaces.cli.evidence_output import (
    WRONG,
    JsonOption,
    SinceOption,
    UntilOption,
    counted,
    parse_time_ns,
    print_json,
    print_table,
    telling_errors,
)
from interlock.surfaces.cli.workbench import Workbench

app = typer.Typer(name="audit", help="Verify, search and export the ledger.", no_args_is_help=True)

_END_OF_TIME_NS = 1 << 63
_SHOWN_APART = ("entry", "at", "kind", "prev", "hash")


@app.command("verify")
def verify(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(help="An evidence package or a data directory; the configured one if not given.")
    ] = None,
    key: Annotated[
        str, typer.Option(help="The gateway's public key, or a file with it; else trust on first use.")
    ] = "",
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A signed checkpoint kept elsewhere, which must still hold; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every hash, signature and recording. Needs no gateway and no network."""
    with telling_errors():
        workbench = _workbench(context)
        public_key = _key(key)
        pinned = [note for file in checkpoint or () for note in _notes(file)]
        if path is None:
            report = workbench.reading.verify(public_key, pinned)
        else:
            report = workbench.verifier.verify(path, public_key, pinned)
    if as_json:
        print_json(msgspec.to_builtins(report) | {"ok": report.ok})
    else:
        _print_report(report)
    raise typer.Exit(0 if report.ok else WRONG)


@app.command("search")
def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Looked for in the entries' fields.")] = "",
    kind: Annotated[str, typer.Option(help="Only this kind: session.opened, or session for all of its kinds.")] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    limit: Annotated[int, typer.Option(min=1, help="Stop after so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Find ledger entries. Exit status 1 when there is none."""
    with telling_errors():
        query = AuditQuery(kind, text, parse_time_ns(since, 0), parse_time_ns(until, _END_OF_TIME_NS))
        found = zip(range(limit), _workbench(context).reading.audit(query), strict=False)
        rows = [entry_fields(entry) for _, entry in found]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(("entry", "at", "kind", "what"), ((r["entry"], r["at"], r["kind"], _rest(r)) for r in rows))
    if not rows:
        raise typer.Exit(WRONG)


@app.command("export")
def export(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A new file; standard output when not given.")] = None,
) -> None:
    """Write all entries of the ledger as JSON Lines, each with its hash. Requests stay sealed."""
    with telling_errors():
        entries = _workbench(context).evidence.archive.entries()
        lines = (msgspec.json.encode(entry_fields(decode_entry(data), data)) + b"\n" for data in entries)
        if out is None:
            sys.stdout.buffer.writelines(lines)
        else:
            with out.open("xb") as file:
                file.writelines(lines)


def _workbench(context: typer.Context) -> Workbench:
    workbench: Workbench = context.obj
    return workbench


def _key(text: str) -> VerifierKey | None:
    """A key given as itself or as a file. Raises ``ConfigurationError``."""
    if not text:
        return None
    try:
        return VerifierKey.parse(Path(text).read_text(encoding="utf-8") if Path(text).is_file() else text)
    except (EvidenceError, UnicodeDecodeError):
        raise ConfigurationError("--key is neither a public key (name+hash+base64) nor a file with one") from None


def _notes(file: Path) -> list[str]:
    """The checkpoints in a file: one, or a log of them."""
    return list(split_notes(file.read_text(encoding="utf-8").splitlines(keepends=True)))


def _print_report(report: VerificationReport) -> None:
    typer.echo("the evidence is as it was recorded" if report.ok else "THE EVIDENCE IS NOT AS IT WAS RECORDED")
    for finding in report.findings:
        where = f"entry {finding.sequence}: " if finding.sequence is not None else ""
        typer.echo(f"  {where}{one_line(finding.problem)}")
    counts = (
        counted(report.entries, "entry", "entries"),
        f"{report.covered:,} under {counted(report.checkpoints, 'signed checkpoint', 'signed checkpoints')}",
        counted(report.sessions, "session", "sessions"),
        counted(report.chunks, "recording chunk", "recording chunks"),
        f"{report.gap_bytes:,} bytes counted but not kept",
    )
    typer.echo("; ".join(counts))
    typer.echo(f"key: {one_line(report.key)}")
    for remark in report.remarks:
        typer.echo(f"note: {one_line(remark)}")


def _rest(row: dict[str, object]) -> str:
    shown = (
        f"{name}={value}" for name, value in row.items() if name not in _SHOWN_APART and value not in ("", [], b"")
    )
    return " ".join(part if len(part) <= 120 else part[:120] + "..." for part in shown)
