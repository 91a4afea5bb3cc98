"""What could be read on a terminal, as lines: for search, transcripts and alerts.

An aid for whoever audits a session, not a boundary: what a program writes in place and overwrites at once is not read,
and nothing here says what a person has seen. The screen is emulated by a library; it is fed only what
``core.terminal`` lets through, so that neither its strings nor its stacks can grow.
"""

import re
import unicodedata
from typing import Any, Final

import pyte
from wcwidth import wcwidth

MAX_COLUMNS: Final = 500
MAX_ROWS: Final = 200
MIN_COLUMNS: Final = 2
MAX_LINE: Final = 8192
"""Characters of a line that was wrapped over several rows; what is longer comes in parts."""
MAX_GAIN: Final = 8
"""A screen may give so many times the letters that it was fed, and a few more; a program that makes it give more, or
repeat more, is read as it wrote."""
_FREE: Final = 100_000
_ALTERNATE: Final = frozenset((47, 1047, 1049))
_REPEATED: Final = re.compile(r"([^\x00-\x1f])\x1b\[([0-9]*)b")
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[@-~]|[()]?[0-Z])")


class Screen:
    """One terminal. Takes text of ``core.terminal.TerminalText``; never raises for what it is fed.

    A row is read once it is complete: when the cursor goes on to the next, when it is erased or scrolls away, and when
    the screen is asked for what is left.
    """

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._emulator = _Emulator(*_bounded(columns, rows))
        self._stream = pyte.Stream(self._emulator)
        self._room = _FREE

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self._emulator.columns, self._emulator.lines

    def feed(self, text: str) -> list[str]:
        """The lines that this text completes."""
        self._room += MAX_GAIN * len(text)
        if self._room < 0:
            return [line for line in _SEQUENCE.sub("", text).splitlines() if line]
        try:
            self._stream.feed(_REPEATED.sub(self._repeat, text))
        except Exception:  # noqa: BLE001 - what the library cannot take is read as it stands
            self._emulator.reading.append(text)
        return self._taken()

    def _repeat(self, found: re.Match[str]) -> str:
        """A letter and its repetitions, which the library does not know."""
        count = min(int(found[2] or 1), self._emulator.columns)
        self._room -= count
        return found[1] * (1 + count) if self._room >= 0 else found[1]

    def _taken(self) -> list[str]:
        taken, self._emulator.reading = self._emulator.reading, []
        self._room -= sum(map(len, taken))
        return taken

    def resize(self, columns: int, rows: int) -> list[str]:
        """The terminal has another size; what was on it is read first."""
        self._emulator.read_all()
        columns, rows = _bounded(columns, rows)
        self._emulator.resize(rows, columns)
        return self._taken()

    def settle(self) -> list[str]:
        """Nothing has been written for a while: what is new, but for the row that the cursor is in."""
        self._emulator.read_all(but=self._emulator.cursor.y)
        return self._taken()

    def finish(self) -> list[str]:
        """What is left."""
        self._emulator.read_all()
        return self._taken()

    def shown(self) -> list[str]:
        """What is on the screen now, a line for each row."""
        return [self._emulator.text(row) for row in range(self._emulator.lines)]


def _bounded(columns: int, rows: int) -> tuple[int, int]:
    return min(max(columns, MIN_COLUMNS), MAX_COLUMNS), min(max(rows, 1), MAX_ROWS)


class _Emulator(pyte.Screen):
    """Notes which rows were written, and reads them before they are gone."""

    def __init__(self, columns: int, rows: int) -> None:
        self.reading: list[str] = []
        self._written: set[int] = set()
        self._begun = ""
        self._continues = -1
        """The row that goes on with the line that has ``_begun``."""
        self._wrapping = False
        self._left = 0, 0
        """Where the cursor was when the alternate screen came; of the other one only what was read is kept."""
        super().__init__(columns, rows)

    def text(self, row: int) -> str:
        """What stands in a row."""
        cells = self.buffer.get(row)
        if not cells:
            return ""
        return "".join(cells[column].data for column in range(min(max(cells) + 1, self.columns))).rstrip()

    def read_all(self, but: int = -1) -> None:
        """Read all rows that were written, from the top."""
        for row in sorted(self._written - {but}):
            self._read(row)
        if self._continues not in self._written:
            self._say_begun()

    def _read(self, row: int) -> None:
        if row not in self._written:
            return
        self._written.discard(row)
        if row != self._continues:
            self._say_begun()
        text, self._begun, self._continues = self._begun + self.text(row), "", -1
        if text:
            self.reading.append(text)

    def _say_begun(self) -> None:
        if self._begun:
            self.reading.append(self._begun)
        self._begun, self._continues = "", -1

    def _wrap(self, row: int) -> None:
        """A row is full, and its line goes on in the next one."""
        self._written.discard(row)
        if row != self._continues or len(self._begun) > MAX_LINE:
            self._say_begun()
        self._begun += self.text(row)
        self._continues = row + 1

    # ------------------------------------------------------------ what the library calls

    def draw(self, data: str) -> None:
        drawn = data if data.isascii() else _drawable(data)
        if not drawn:
            return
        self._written.add(self.cursor.y)
        self._wrapping = True
        super().draw(drawn)
        self._wrapping = False
        self._written.add(self.cursor.y)

    def index(self) -> None:
        row = self.cursor.y
        if self._wrapping:
            self._written.add(row)
            self._wrap(row)
        else:
            self._read(row)
        top, bottom = self.margins or (0, self.lines - 1)
        if row == bottom:
            self._read(top)
            self._written = {each - (top < each <= bottom) for each in self._written}
            self._continues -= self._continues > 0
        super().index()

    def reverse_index(self) -> None:
        self.read_all()
        super().reverse_index()

    def insert_lines(self, count: int | None = None) -> None:
        self.read_all()
        super().insert_lines(count)

    def delete_lines(self, count: int | None = None) -> None:
        self.read_all()
        super().delete_lines(count)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        cells, cursor = self.buffer.get(self.cursor.y), self.cursor.x
        if not cells:
            return
        erased = [column for column in cells if how >= 2 or (column >= cursor if how == 0 else column <= cursor)]
        if any(cells[column].data.strip() for column in erased):
            self._read(self.cursor.y)
        for column in erased:
            del cells[column]

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        self.read_all()
        below, above = range(self.cursor.y + 1, self.lines), range(self.cursor.y)
        for row in [row for row in self.buffer if how >= 2 or row in (above if how == 1 else below)]:
            del self.buffer[row]
        if how < 2:
            self.erase_in_line(how)

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        if not _ALTERNATE.isdisjoint(modes):
            self._left = self.cursor.x, self.cursor.y
            self.erase_in_display(2)
        super().set_mode(*modes, **kwargs)

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        if not _ALTERNATE.isdisjoint(modes):
            self.erase_in_display(2)
            self.cursor.x, self.cursor.y = self._left
            self.ensure_hbounds()
            self.ensure_vbounds()
        super().reset_mode(*modes, **kwargs)

    def save_cursor(self) -> None:
        self.savepoints.clear()
        super().save_cursor()


def _drawable(text: str) -> str:
    """Without what takes no room, but for the first mark on a letter: the library stops at the one, and collects the
    other."""
    drawn: list[str] = []
    for letter in text:
        is_mark = bool(drawn) and unicodedata.combining(letter) and not unicodedata.combining(drawn[-1])
        if wcwidth(letter) > 0 or is_mark:
            drawn.append(letter)
    return "".join(drawn)
