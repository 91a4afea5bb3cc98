"""How administrative commands are given and their answers shown: a table for people, JSON for programs.

Exit status 1: the gateway said no; 2: it could not be asked.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.core.administration import AnswerT, Command
from interlock.core.errors import AdministrationRefused, InterlockError
from interlock.core.printable import one_line
from interlock.surfaces.cli.workbench import Workbench

REFUSED = 1
UNAVAILABLE = 2
_MAX_SECRET_BYTES = 65_536
_UNBROKEN = ("ID", "SESSION", "FINGERPRINT")

JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def ask(context: typer.Context, command: Command[AnswerT], token: str = "") -> AnswerT:
    """Have a command executed, for the holder of ``token`` if given; an error is shown and ends the program."""
    workbench: Workbench = context.obj
    try:
        return workbench.administer(command, token)
    except AdministrationRefused as error:
        stop(str(error), REFUSED)
    except InterlockError as error:
        stop(str(error), UNAVAILABLE)


def stop(text: str, status: int) -> NoReturn:
    """Show an error and end the program with this exit status."""
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(status)


def show_json(answer: object) -> None:
    """Print an answer as indented JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], nothing: str) -> None:
    """Print rows under column heads, or the sentence ``nothing`` when there are none. What names a row is unbroken."""
    rows = list(rows)
    if not rows:
        typer.echo(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in _UNBROKEN)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    Console().print(table)


def show_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print one thing's properties, a line each."""
    for name, value in fields:
        typer.echo(f"{name + ':':<16} {value}")


def read_secret(prompt: str, file: Path | None, *, twice: bool = True) -> str:
    """A secret from a file, from standard input when that is not a terminal, or asked for without echo.

    It is never taken from the command line, where every process on the machine could read it. Asked for ``twice``, it
    has to be the same both times.
    """
    if file is not None:
        try:
            with file.open("rb") as stream:
                return _clean(stream.read(_MAX_SECRET_BYTES + 1))
        except OSError as error:
            stop(f"{file}: {error.strerror}", UNAVAILABLE)
    if not sys.stdin.isatty():
        return _clean(sys.stdin.buffer.read(_MAX_SECRET_BYTES + 1))
    secret: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=twice)
    return secret


def read_token(file: Path | None) -> str:
    """The token for the API: from the environment, or from a file, read anew each time; empty without either."""
    if token := os.environ.get("INTERLOCK_TOKEN", ""):
        return token.strip()
    return read_secret("Token", file).strip() if file is not None else ""


def _clean(content: bytes) -> str:
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if not content or len(content) > _MAX_SECRET_BYTES:
        stop(f"the secret must have 1 to {_MAX_SECRET_BYTES} bytes", REFUSED)
    try:
        return content.decode()
    except UnicodeDecodeError:
        stop("the secret must be UTF-8", REFUSED)
