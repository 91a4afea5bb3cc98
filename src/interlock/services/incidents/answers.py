"""What is counted of answers as they come by: rows, and of each column which values were clear.

No value is kept: different ones are told apart by fingerprints, keyed so that nobody without the gateway's key can try
values out. Whether a value was masked is judged by what the ledger says of the statement and what the target declared
of the column; where that leaves it open, it is counted as unclear and never as masked.
"""

from collections.abc import Callable
from typing import Final

from interlock.core.incident import ColumnExposure, RelationExposure
from interlock.core.ledger import OperationCompleted
from interlock.core.recording import TranscriptLine

MAX_FINGERPRINTS: Final = 1_000_000
"""Different values that are told apart, in all columns of a report together."""
_HASH: Final = "hash:"
_KEYED: Final = frozenset({"hash", "tokenise"})
"""Masks that the gateway puts on rows as they pass; columns keep what the target declares of them."""

Fingerprint = Callable[[bytes], bytes]


class Budget:
    """How many fingerprints may still be kept."""

    def __init__(self, left: int = MAX_FINGERPRINTS) -> None:
        self.left = left


class _Cells:
    """The values of one column in one answer."""

    def __init__(self, name: str, stored: bool) -> None:
        self.name = name
        self.stored = stored
        self.values = self.nulls = 0
        self.hashes = True
        self.prints: set[bytes] = set()

    def add(self, value: str | None, fingerprint: Fingerprint) -> None:
        if value is None:
            self.nulls += 1
            return
        self.values += 1
        self.hashes = self.hashes and value.startswith(_HASH)
        self.prints.add(fingerprint(value.encode(errors="surrogatepass")))


class Answer:
    """The answer to one operation. ``masks`` are its masked columns as the ledger has them."""

    def __init__(self, number: int, group: "Answers", masks: tuple[str, ...]) -> None:
        self.number = number
        self.group = group
        self.completed: OperationCompleted | None = None
        self._masks = [mask_words(line) for line in masks]
        self._rows = 0
        self._cells: dict[tuple[int, str], _Cells] = {}

    def row(self, columns: TranscriptLine, values: tuple[str | None, ...], fingerprint: Fingerprint) -> None:
        """A row went to the client."""
        self._rows += 1
        known = len(columns.values) == len(values)
        for place, value in enumerate(values):
            name = str(columns.values[place]) if known else f"column {place + 1}"
            cells = self._cells.get((place, name))
            if cells is None:
                stored = known and len(columns.stored) == len(values) and columns.stored[place]
                cells = self._cells[place, name] = _Cells(name, stored)
            cells.add(value, fingerprint)

    def settle(self, budget: Budget) -> None:
        """The answer is over: count it where it belongs."""
        rows = max(self._rows, self.completed.rows if self.completed else 0)
        self.group.rows += rows
        self.group.unseen += rows - self._rows
        for cells in self._cells.values():
            self.group.column(cells.name).add(cells, self._state(cells), budget)

    def _state(self, cells: _Cells) -> str:
        """``clear``, ``masked`` or ``unclear``."""
        kinds = {kind for _, kind in self._masks}
        if not kinds:
            return "clear"
        if "hash" in kinds and cells.values and cells.hashes:
            return "masked"
        if not cells.stored:
            return "masked" if self._masks_all_computed() else "unclear"
        keyed = {name for name, kind in self._masks if kind in _KEYED}
        return "unclear" if cells.name in keyed else "clear"

    def _masks_all_computed(self) -> bool:
        """Whether there are as many masked columns in the answer as there are that the target has computed."""
        completed = self.completed
        if completed is None or not completed.rows or completed.found or not {k for _, k in self._masks} - _KEYED:
            return False
        computed = sum(not cells.stored for cells in self._cells.values())
        return completed.masked_values == completed.rows * computed


class _Column:
    def __init__(self) -> None:
        self.counts = {"clear": 0, "masked": 0, "unclear": 0}
        self.prints: set[bytes] = set()
        self.at_least = False

    def add(self, cells: _Cells, state: str, budget: Budget) -> None:
        self.counts[state] += cells.values + (cells.nulls if state == "masked" else 0)
        if state == "masked":
            return
        new = cells.prints - self.prints
        if len(new) > budget.left:
            self.at_least = True
            return
        budget.left -= len(new)
        self.prints |= new


class Answers:
    """All answers that were read from the same relations."""

    def __init__(self, database: str, relations: tuple[str, ...]) -> None:
        self.database = database
        self.relations = relations
        self.statements = self.rows = self.unseen = self.bytes_sent = 0
        self.masks: set[str] = set()
        self._columns: dict[str, _Column] = {}

    def column(self, name: str) -> _Column:
        return self._columns.setdefault(name, _Column())

    def exposure(self) -> RelationExposure:
        """What is known by now."""
        columns = tuple(
            ColumnExposure(name, **column.counts, distinct=len(column.prints), at_least=column.at_least)
            for name, column in sorted(self._columns.items())
        )
        return RelationExposure(
            self.database,
            self.relations,
            self.statements,
            self.rows,
            self.unseen,
            self.bytes_sent,
            tuple(sorted(self.masks)),
            columns,
        )


def mask_words(line: str) -> tuple[str, str]:
    """A masked column's name and its mask, from ``schema.relation.column mask (rules)``."""
    path, _, kind = line.rpartition(" (")[0].rpartition(" ")
    return path.rpartition(".")[2], kind
