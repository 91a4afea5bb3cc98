"""What is said about a rehearsal: a held operation run in a transaction that only an approval commits."""

import msgspec

from interlock.core.approval import RowSample


class SampledColumn(msgspec.Struct, frozen=True):
    """A column of a sample, and whether whoever looks may see its values."""

    name: str
    masked: bool


class SampledTable(msgspec.Struct, frozen=True):
    """A table whose changed rows are to be looked at. Without ``columns`` all are shown as they are."""

    schema: str
    name: str
    columns: tuple[SampledColumn, ...] = ()


class RehearsalOutcome(msgspec.Struct, frozen=True):
    """What the target answered. With a ``problem`` nothing is open any more.

    ``tag`` is its completion word with the count of rows; ``transaction`` the transaction's 64-bit number, empty when
    nothing was written; ``after`` are samples of the rows as they are now.
    """

    tag: str = ""
    problem: str = ""
    transaction: str = ""
    after: tuple[RowSample, ...] = ()


SAMPLE_ROWS = 5
SAMPLE_VALUE_CHARS = 200
MASKED = "***"
