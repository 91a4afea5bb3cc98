"""What a recording is made of, independent of where it is kept.

A session's recording is a sequence of *frames*: bytes as one side said them (after masking), with the time and the
operation they belong to. Requests themselves are in the ledger (``OperationDecided.sealed``); frames hold what came
back, and what streamed to the target (COPY data).
"""

import enum

import msgspec


class Direction(enum.Enum):
    """Who said it."""

    ANSWER = "answer"
    REQUEST = "request"


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Bytes said at one moment. ``at_us`` counts microseconds from the session's start."""

    at_us: int
    direction: Direction
    number: int
    data: bytes


class SealedRequest(msgspec.Struct, frozen=True, array_like=True):
    """The clear form of ``OperationDecided.sealed``. ``text_bytes`` and ``parameter_bytes`` are the full lengths:
    when they exceed what is kept, the digest still covers everything. ``forwarded`` is what went to the target in the
    place of the text, empty when that was the text itself; ``parameter_types`` are the values' types as far as they
    were known, in the protocol's own encoding."""

    text: bytes
    parameters: bytes
    text_bytes: int
    parameter_bytes: int
    forwarded: bytes = b""
    parameter_types: bytes = b""


class TranscriptKind(enum.Enum):
    """What a line of a transcript is."""

    REQUEST = "request"
    COLUMNS = "columns"
    ROW = "row"
    DATA = "data"
    NOTICE = "notice"
    ERROR = "error"
    DONE = "done"
    GAP = "gap"


class TranscriptLine(msgspec.Struct, frozen=True):
    """One thing that a person sees in a replay. ``values`` are the cells of a row or the names of columns.

    Of columns, ``stored`` says which ones the target has declared to be a relation's own, and not computed.
    """

    at_us: int
    number: int
    kind: TranscriptKind
    text: str = ""
    values: tuple[str | None, ...] = ()
    stored: tuple[bool, ...] = ()

    def says(self, text: str) -> bool:
        """Whether the line has this text in it, whatever its case."""
        needle = text.casefold()
        return needle in self.text.casefold() or any(value and needle in value.casefold() for value in self.values)


class DocumentLine(TranscriptLine, frozen=True):
    """A line with a document that was delivered, or a part of it, for whoever counts or looks for values.

    ``fields`` are its plain values, each with its path (``/customer/contacts/*/email``); None is a null. People see
    ``plain``, as the text has them all.
    """

    fields: tuple[tuple[str, str | None], ...] = ()

    @property
    def plain(self) -> TranscriptLine:
        """The same without the fields."""
        return TranscriptLine(self.at_us, self.number, self.kind, self.text)
