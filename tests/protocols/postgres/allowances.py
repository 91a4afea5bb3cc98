"""Allowances for dialogues: so many rows, so many bytes, shared by everything that is permitted."""

from interlock.core.budget import Allowance, Book, Purse, Window
from interlock.core.decision import Decision, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Operation
from tests.protocols.postgres import wire

SENTENCE = "the budget is spent"
STOPPED = wire.message("E", b"SERROR\0VERROR\0C53400\0M" + wire.text(SENTENCE) + b"\0")
DONE_ALL_THE_SAME = wire.message(
    "E",
    b"SERROR\0VERROR\0C53400\0M" + wire.text(f"{SENTENCE} It had been carried out before it could be stopped.") + b"\0",
)


class Limited:
    """A policy that permits everything within ``rows`` and ``size_bytes``.

    ``at_s`` is the time, None for a clock that is broken.
    """

    def __init__(self, rows: int | None = None, size_bytes: int | None = None) -> None:
        self.at_s: float | None = 1000.0
        self._book = Book(10)
        self.rows = self._window("rows") if rows is not None else None
        self.size = self._window("bytes") if size_bytes is not None else None
        self._limits = (rows or 0, size_bytes or 0)

    def _window(self, name: str) -> Window:
        return self._book.window(name, 3600.0)

    def now_s(self) -> float:
        if self.at_s is None:
            raise OSError("no clock")
        return self.at_s

    def allowance(self) -> Allowance:
        rows = Purse([self.rows], [self._limits[0]], 1024) if self.rows is not None else None
        size = Purse([self.size], [self._limits[1]], 1 << 20) if self.size is not None else None
        return Allowance(rows, size, self.now_s, self.refusal)

    def refusal(self) -> Denial:
        return Denial(DenialReason.BUDGET_SPENT, SENTENCE)

    def __call__(self, operation: Operation) -> Decision:
        if operation.meaning.refusal is not None or b"DROP" in operation.text:
            return Denial(DenialReason.FORBIDDEN, f"denied: {operation.text.decode()[:60]}")
        return Permit(("tests",), "0" * 64, self.allowance())
