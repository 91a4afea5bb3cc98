"""``interlock trust``: which check or condition a token fails, told to administrators only."""

import datetime
from pathlib import Path
from typing import Annotated

import typer

from interlock.core.administration import CheckResult, TestToken, TokenExamination
from interlock.core.printable import one_line
from interlock.surfaces.cli.answers import REFUSED, JsonOption, ask, read_secret, show_json, stop

app = typer.Typer(name="trust", help="Who is believed.", no_args_is_help=True)


@app.callback()
def _noun() -> None:
    """Keeps ``test`` a command of its own."""


@app.command("test")
def try_token(
    context: typer.Context,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token. Absent: it is read from standard input, or asked for.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="File with keys (a JWK set) to use in place of the issuer's, which is then not asked."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each check and each identity rule makes of a token. Exit status 1: it would not be let in."""
    token = read_secret("Token", token_file, twice=False).strip()
    examination = ask(context, TestToken(token, _read_keys(keys)))
    if as_json:
        show_json(examination)
    else:
        _show(examination)
    if not examination.accepted:
        raise typer.Exit(REFUSED)


def _read_keys(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        stop(f"{file}: {error}", REFUSED)


def _show(examination: TokenExamination) -> None:
    for check in examination.checks:
        _show_check(check, "")
    for rule in examination.rules:
        typer.echo(f"\nrule {rule.number}, {rule.identity}: {'applies' if rule.applies else 'does not apply'}")
        for condition in rule.conditions:
            _show_check(condition, "  ")
    typer.echo("")
    if not examination.accepted:
        typer.echo(f"Not let in: {examination.reason}. The caller reads: {examination.message}")
        return
    groups = ", ".join(examination.groups) or "none"
    typer.echo(f"{examination.kind} {examination.identity}, groups: {groups}, owner: {examination.owner or 'none'}")
    if examination.expires_at_s is not None:
        end = datetime.datetime.fromtimestamp(examination.expires_at_s, datetime.UTC)
        typer.echo(f"until {end.isoformat(timespec='seconds')}")


def _show_check(check: CheckResult, margin: str) -> None:
    mark = "ok  " if check.holds else "FAIL"
    problem = f" ({check.problem})" if check.problem else ""
    typer.echo(
        one_line(f"{margin}{mark} {check.name}: expected {check.expected}; found {check.found}{problem}"), color=False
    )
