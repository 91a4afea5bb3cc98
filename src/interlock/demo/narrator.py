"""Tells in the terminal what happens. Colours on a terminal only; nothing is decided in here."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

_SHOWN_ROWS: Final = 4


class Narrator:
    """Writes to standard output."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def heading(self, text: str) -> None:
        self._line("")
        self._line(text, "bold")

    def say(self, text: str) -> None:
        self._line(text)

    def fact(self, name: str, text: str) -> None:
        """One property of what was set up."""
        self._labelled(f"  {name:<11}", text, "dim")

    def sent(self, statement: str, parameters: Sequence[object]) -> None:
        """What the agent sends."""
        bound = f"   {list(parameters)}" if parameters else ""
        self._labelled("  agent >  ", statement + bound, "cyan")

    def rows(self, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """What came back: columns and the first few rows."""
        cells = [tuple(map(str, row)) for row in rows[:_SHOWN_ROWS]]
        widths = [max(len(row[column]) for row in [tuple(names), *cells]) for column in range(len(names))]
        for row in [tuple(names), *cells]:
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._labelled("        <  ", text.rstrip(), "green")
        self._rest(len(rows), "rows")

    def lines(self, lines: Sequence[str]) -> None:
        """What came back of a COPY."""
        for line in lines[:_SHOWN_ROWS]:
            self._labelled("        <  ", line.replace("\t", "  "), "green")
        self._rest(len(lines), "lines")

    def refusal(self, fields: Iterable[tuple[str, str]]) -> None:
        """The fields of an error, as a client sees them."""
        for name, text in fields:
            self._labelled("        <  ", f"{name + ':':<7} {text}", "red")

    def why(self, text: str) -> None:
        self._labelled("           ", text, "dim")

    def notice(self, text: str) -> None:
        """What a client is told while it waits."""
        self._labelled("        <  ", f"NOTICE:  {text}", "yellow")

    def completed(self, text: str) -> None:
        """How a statement ended."""
        self._labelled("        <  ", text, "green")

    def command(self, words: Sequence[str], output: str, person: str = "") -> None:
        """A command, of a person or of whoever runs the demo, and what it printed."""
        self._labelled(f"  {person} $ " if person else "  $ ", " ".join(words), "cyan")
        for line in output.rstrip().splitlines():
            self._line(f"    {line}")

    def problem(self, text: str) -> None:
        """Something is not as it has to be."""
        self._line(f"  NOT AS EXPECTED: {text}", "bold red")

    def _rest(self, count: int, noun: str) -> None:
        more = f" ({count - _SHOWN_ROWS} more)" if count > _SHOWN_ROWS else ""
        self._labelled("        <  ", f"{count} {noun}{more}", "green")

    def _labelled(self, label: str, text: str, style: str) -> None:
        self._console.print(Text.assemble((label, "dim"), (text, style)))

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style))
