"""Shows what happened at a session's terminals on the reader's own.

Texts are filtered here once more, whatever they came through: nothing but text, colours, cursor movement and erasing
reaches the terminal, and it is left as it was found.
"""

import os
from collections.abc import Callable
from typing import Final

from interlock.core.printable import one_line
from interlock.core.terminal import TerminalText
from interlock.core.terminal_event import TerminalEvent, TerminalEventKind

_DIM: Final = "\x1b[0;2m"
_PLAIN: Final = "\x1b[0m"


class TerminalView:
    """Takes events in order and gives text for the terminal to ``write``. Close it at the end."""

    def __init__(self, write: Callable[[str], object], size: os.terminal_size) -> None:
        """``size`` is the reader's own."""
        self._write = write
        self._size = size
        self._text = TerminalText()
        self._used = False
        self._number = 0
        self._line_begun = False

    def show(self, event: TerminalEvent) -> None:
        """Show one event. What was typed is not shown: the terminal's echo is among its output."""
        if event.kind is TerminalEventKind.OUTPUT:
            self._output(event)
        elif event.kind is TerminalEventKind.RESIZED:
            self._resized(event)
        elif event.kind is not TerminalEventKind.INPUT:
            self._head(event, event.words)

    def note(self, text: str) -> None:
        """A line of the reader's own program."""
        self._end_output()
        self._write(f"{_DIM}── {one_line(text)} ──{_PLAIN}\r\n")

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self._end_output()

    def _output(self, event: TerminalEvent) -> None:
        if event.number != self._number and self._number:
            self._head(event, "goes on")
        self._number = event.number
        text = self._text.feed(event.text.encode(errors="replace"))
        if text:
            self._used = True
            self._line_begun = not text.endswith("\n")
            self._write(text)

    def _resized(self, event: TerminalEvent) -> None:
        columns, _, rows = event.text.partition("x")
        if (columns, rows) != (str(self._size.columns), str(self._size.lines)):
            self._head(event, f"the terminal has {columns} columns and {rows} rows")

    def _head(self, event: TerminalEvent, words: str) -> None:
        self.note(f"{event.at_us / 1e6:.3f}" + (f"  #{event.number}" if event.number else "") + f"  {words}")
        self._number = event.number

    def _end_output(self) -> None:
        """What comes next begins on a line of its own, on a terminal in its usual state."""
        if self._used:
            self._write(self._text.restore() + ("\r\n" if self._line_begun else ""))
            self._text = TerminalText()
        self._used = self._line_begun = False
