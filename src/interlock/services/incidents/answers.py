"""What is counted of answers as they come by: rows, and of each column which values were clear.

No value is kept: different ones are told apart by fingerprints, keyed so that nobody without the gateway's key can try
values out. Whether a value was masked is judged by what the ledger says of the statement, what the target declared of
the column, and what its values look like; where that leaves it open, it is counted as unclear and never as masked.
"""

import re
from collections.abc import Callable
from typing import Final

from interlock.core.incident import ColumnExposure, RelationExposure
from interlock.core.ledger import OperationCompleted
from interlock.core.masking import MaskKind
from interlock.core.recording import TranscriptLine
from interlock.services.incidents.documents import DocumentFields

MAX_COLUMNS: Final = 1000
"""Columns and fields that are told apart in answers from the same place."""
OTHER_COLUMNS: Final = "(others, too many to tell apart)"
MAX_FINGERPRINTS: Final = 1_000_000
"""Different values that are told apart, in all columns of a report together."""
_HASH, _TOKENISE, _PARTIAL = MaskKind.HASH.word, MaskKind.TOKENISE.word, MaskKind.PARTIAL.word
_HASHED: Final = re.compile("hash:[0-9a-f]{24}")
_REDACTED: Final = frozenset(("***", '"***"'))
"""In text, and in JSON."""

Fingerprint = Callable[[bytes], bytes]


class Budget:
    """How many fingerprints may still be kept."""

    def __init__(self, left: int = MAX_FINGERPRINTS) -> None:
        self.left = left


class _Cells:
    """The values of one column in one answer, and whether all of them look like a mask of some kind."""

    def __init__(self, name: str, stored: bool) -> None:
        self.name = name
        self.stored = stored
        self.values = self.nulls = 0
        self.hashes = self.redacted = self.starred = True
        self.prints: set[bytes] = set()

    def add(self, value: str | None, fingerprint: Fingerprint) -> None:
        if value is None:
            self.nulls += 1
            return
        self.values += 1
        self.hashes = self.hashes and _HASHED.fullmatch(value) is not None
        self.redacted = self.redacted and value in _REDACTED
        self.starred = self.starred and "*" in value
        self.prints.add(fingerprint(value.encode(errors="surrogatepass")))


class Answer:
    """The answer to one operation. ``masks`` are its masked columns as the ledger has them."""

    def __init__(self, number: int, group: "Answers", masks: tuple[str, ...]) -> None:
        self.number = number
        self.group = group
        self.completed: OperationCompleted | None = None
        self._masks = frozenset(map(mask_words, masks))
        self._kinds = frozenset(kind for _, kind in self._masks)
        self._rows = 0
        self._cells: dict[tuple[int, str], _Cells] = {}
        self._documents = DocumentFields(masks)
        self._other_data = False

    def data(self, fields: tuple[tuple[str, str | None], ...], fingerprint: Fingerprint) -> None:
        """Data went to the client that are no rows: documents with fields, or something else."""
        self._other_data = self._other_data or not fields
        for path, value in fields:
            self._documents.add(path, value, fingerprint((value or "").encode(errors="surrogatepass")))

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
            state = self._state(cells)
            count = cells.values + (cells.nulls if state == "masked" else 0)
            self.group.column(cells.name).add(state, count, cells.prints, budget)
        self._settle_documents(rows, budget)

    def _settle_documents(self, rows: int, budget: Budget) -> None:
        fields = self._documents
        self.group.unread += self._other_data and not rows and not fields.counts
        fields.settle(self.completed.masked_values if self.completed else 0)
        for path, counts in fields.counts.items():
            column = self.group.column(path)
            column.add("masked", counts.masked, set(), budget)
            column.add("unclear", counts.unclear, set(), budget)
            column.add("clear", counts.clear, counts.prints, budget)

    def _state(self, cells: _Cells) -> str:
        """``clear``, ``masked`` or ``unclear``."""
        if not self._masks:
            return "clear"
        if cells not in self._candidates():
            return "unclear" if (cells.name, _TOKENISE) in self._masks else "clear"
        return "masked" if self._all_are_masked() and self._looks_masked(cells) else "unclear"

    def _candidates(self) -> list[_Cells]:
        """The columns that can be masked: those that the target has computed, and the gateway's own hashes."""
        return [cells for cells in self._cells.values() if not cells.stored or self._is_hashed(cells)]

    def _is_hashed(self, cells: _Cells) -> bool:
        return _HASH in self._kinds and cells.stored and cells.hashes and cells.values > 0

    def _all_are_masked(self) -> bool:
        """Whether as many columns were masked as can have been."""
        completed = self.completed
        if completed is None or not completed.rows or completed.found or _TOKENISE in self._kinds:
            return False
        if _HASH in self._kinds and any(cells.stored and not cells.values for cells in self._cells.values()):
            return False
        return completed.masked_values == completed.rows * len(self._candidates())

    def _looks_masked(self, cells: _Cells) -> bool:
        """Whether all values look like a mask. A partial one has a name, too: values with stars are not rare."""
        return cells.redacted or self._is_hashed(cells) or (cells.starred and (cells.name, _PARTIAL) in self._masks)


class _Column:
    def __init__(self) -> None:
        self.counts = {"clear": 0, "masked": 0, "unclear": 0}
        self.prints: set[bytes] = set()
        self.at_least = False

    def add(self, state: str, count: int, prints: set[bytes], budget: Budget) -> None:
        self.counts[state] += count
        if state == "masked":
            return
        new = prints - self.prints
        if len(new) > budget.left:
            self.at_least = True
            return
        budget.left -= len(new)
        self.prints |= new


class Answers:
    """All answers that were read from the same relations, or at the same endpoints.

    ``unread`` counts those that held neither rows nor documents.
    """

    def __init__(self, database: str, relations: tuple[str, ...]) -> None:
        self.database = database
        self.relations = relations
        self.statements = self.rows = self.unseen = self.unread = self.bytes_sent = 0
        self.masks: set[str] = set()
        self._columns: dict[str, _Column] = {}

    @property
    def told(self) -> bool:
        """Whether anything was delivered that the report has to tell of."""
        return bool(self.rows or self.unread or self._columns)

    def column(self, name: str) -> _Column:
        known = name in self._columns or len(self._columns) < MAX_COLUMNS
        return self._columns.setdefault(name if known else OTHER_COLUMNS, _Column())

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
