"""What the target still owes answers for, oldest first.

Each forwarded message that will be answered has an entry; everything owed to a statement hangs on its entry, never on
"the current statement". A denial is an entry as well: a harmless message that must fail went to the target in its
stead, and the error that comes back in its turn is replaced by the denial.
"""

import enum
from collections import deque
from typing import Final

from interlock.protocols.postgres.masking.raw_outputs import RawOutput
from interlock.protocols.postgres.metering import Meter
from interlock.protocols.postgres.rows import RowMasker


class Awaited(enum.IntEnum):
    """Which answer ends an entry (PostgreSQL manual, "Message Flow")."""

    READY_AFTER_QUERY = 1
    READY_AFTER_SYNC = 2
    PARSE_COMPLETE = 3
    BIND_COMPLETE = 4
    CLOSE_COMPLETE = 5
    DESCRIPTION = 6
    EXECUTION = 7


GIVE_ROWS: Final = (Awaited.READY_AFTER_QUERY, Awaited.EXECUTION)
"""Entries whose answer may have rows."""


class Change:
    """A change to what the session's names mean, in force when the target agrees.

    Exactly one of ``taken``, ``perhaps_taken`` and ``refused`` is called, once. ``idle`` says that the target was in
    no transaction afterwards.
    """

    def taken(self, idle: bool) -> None:
        raise NotImplementedError

    def perhaps_taken(self) -> None:
        """What ran was this change's statement or another."""

    def refused(self) -> None:
        """The statement failed or was not run."""


class PossibleChange(Change):
    """The change of one of several statements of which one runs: it may only add to what names mean."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def taken(self, idle: bool) -> None:
        self._change.perhaps_taken()

    def refused(self) -> None:
        self._change.refused()


class ParameterTypes:
    """The types of a prepared statement's parameters: as Parse declares them, then as the target describes them."""

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded
        """A count of 16 bits and so many oids of 32 bits, as in ParameterDescription."""


class Entry:
    """One answer that is owed.

    ``number`` is the operation it belongs to, 0 for none. ``denial`` is the ErrorResponse to send in place of the
    target's. ``changes`` are pairs of a statement's index in the text and what its success changes. ``copy_in`` says
    that the target may ask for COPY data. ``reports`` is false
    when the end of another entry ends the operation.
    """

    def __init__(self, awaited: Awaited, number: int = 0, denial: bytes = b"", copy_in: bool = False) -> None:
        self.awaited = awaited
        self.number = number
        self.denial = denial
        self.copy_in = copy_in
        self.reports = True
        self.rewritten = False
        """What the target says about places in its text does not fit the client's."""
        self.guarded = False
        """It writes where the target's errors and notices could show a masked value."""
        self.compares = False
        """The target compares real values of masked columns."""
        self.failure = b""
        """The ErrorResponse to send in place of the target's, for what the gateway made fail under way."""
        self.notice = b""
        """A NoticeResponse to send when it completes."""
        self.copies_masked = False
        """COPY data goes into masked columns."""
        self.raw_outputs: tuple[RawOutput, ...] = ()
        """Columns that are masked as its rows pass, which then have ``width`` columns."""
        self.width = -1
        self.types: ParameterTypes | None = None
        """What a ParameterDescription in the answer is about."""
        self.gives_nothing = False
        """It describes what will not be run."""
        self.rows_masker: RowMasker | None = None
        self.meter: Meter | None = None
        """What stops its answer, where that is limited."""
        self.untold = False
        """Something was carried out of which the client sees no completion."""
        self.masked_outputs = 0
        """Masked columns in each row."""
        self.masked_values = 0
        self.found: dict[str, int] = {}
        """What content detection masked and found in the answer."""
        self.changes: list[tuple[int, Change]] = []
        self.completions = 0
        self.rows = 0
        self.bytes_sent = 0
        self.tag = ""
        self.code = ""

    def again(self) -> "Entry":
        """The same owed once more, with nothing answered yet and without its changes."""
        entry = Entry(self.awaited, self.number, self.denial, self.copy_in)
        entry.reports = self.reports
        entry.rewritten = self.rewritten
        entry.guarded = self.guarded
        entry.compares = self.compares
        entry.failure = self.failure
        entry.notice = self.notice
        entry.copies_masked = self.copies_masked
        entry.raw_outputs = self.raw_outputs
        entry.width = self.width
        entry.types = self.types
        entry.gives_nothing = self.gives_nothing
        entry.masked_outputs = self.masked_outputs
        return entry

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more of its answer goes to the client."""
        return self.meter is not None and self.meter.stopped

    def settle(self, idle: bool = False) -> None:
        """The answer is complete: the first ``completions`` statements have happened, the others have not."""
        for index, change in self.changes:
            if index < self.completions:
                change.taken(idle)
            else:
                change.refused()
        self.changes = []


class Outstanding:
    """The queue of entries."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def head(self) -> Entry | None:
        return self._entries[0] if self._entries else None

    def following(self) -> Entry | None:
        """The entry behind the head, None when there is none."""
        return self._entries[1] if len(self._entries) > 1 else None

    def holds(self, entry: Entry) -> bool:
        return entry in self._entries

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def pop(self) -> Entry:
        return self._entries.popleft()

    def skip_to_sync(self) -> list[Entry]:
        """Remove what the target skips after an error: all entries before the next Sync. The removed ones."""
        skipped: list[Entry] = []
        while self._entries and self._entries[0].awaited is not Awaited.READY_AFTER_SYNC:
            skipped.append(self._entries.popleft())
        return skipped

    def drain(self) -> list[Entry]:
        """Remove everything, when the session ends."""
        left = list(self._entries)
        self._entries.clear()
        return left
