"""How the evidence commands speak: tables for people, JSON for programs, and exit codes for scripts.

Exit status 0: fine; 1: the evidence is not as it should be, or is not there; 2: used or configured wrongly.
"""

import contextlib
import datetime
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.core.errors import ConfigurationError, CredentialUnavailable, EvidenceError, InterlockError
from interlock.core.printable import one_line

WRONG, UNUSABLE = 1, 2
_UNBROKEN = frozenset(("session", "opened", "at", "#", "entry", "kind"))

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")]
SinceOption = Annotated[str, typer.Option("--since", help="Only from this time on (ISO 8601, UTC unless it says).")]
UntilOption = Annotated[str, typer.Option("--until", help="Only before this time (ISO 8601, UTC unless it says).")]


@contextlib.contextmanager
def telling_errors() -> Iterator[None]:
    """Turn errors into one line on standard error and an exit status."""
    try:
        yield
    except (ConfigurationError, CredentialUnavailable) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    except EvidenceError as error:
        typer.echo(f"error: {one_line(str(error))}", err=True)
        raise typer.Exit(WRONG) from None
    except (InterlockError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None


def parse_time_ns(text: str, default: int) -> int:
    """An ISO 8601 time as Unix nanoseconds. Raises ``ConfigurationError``."""
    if not text:
        return default
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is not an ISO 8601 time such as 2031-05-04T10:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp() * 1_000_000) * 1000


def print_json(value: object) -> None:
    """One JSON value on a line of its own."""
    typer.echo(msgspec.json.encode(value).decode())


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table; cells are made safe for the terminal. What names a row, and times, are never broken over lines."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in _UNBROKEN)
    for row in rows:
        table.add_row(*(Text(one_line(str(cell))) for cell in row))
    Console(soft_wrap=False).print(table)


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many}"
