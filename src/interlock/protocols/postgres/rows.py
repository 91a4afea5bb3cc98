"""Rewrites the rows in one statement's answer: transforms by column, and redaction of what content detection finds.

``RowMasker`` takes the target's messages in any cut and gives the same messages with values replaced and lengths put
right. A row is held until it is whole, so no part of a value goes out before the value was looked at. Other messages
pass as they came; ``redact_message`` is for the texts in them.

It knows nothing of SQL, types or policy, and it never guesses: a row that does not add up is an error. The module is
plain typed Python that mypyc compiles where a C compiler is at hand.
"""

import struct
from collections import Counter
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64

from interlock.core.detection import scanner
from interlock.protocols.postgres.held import HeldTail

_ROW: Final = 0x44
_COPY_DATA: Final = 0x64
_COPY_DONE: Final = 0x63
_ERROR: Final = 0x45
_NOTICE: Final = 0x4E
_NOTIFICATION: Final = 0x41

MAX_ROW_BYTES: Final = 64 << 20
"""The longest row that is held to be looked at, length included."""

_INT32: Final = struct.Struct(">I")
_LENGTHS: Final = [struct.pack(">I", length) for length in range(4096)]
_BINARY_COPY: Final = b"PGCOPY\n\xff\r\n\0"
_BINARY_COPY_HEADER_BYTES: Final = 19
_NULL: Final = 0xFFFFFFFF
_END_OF_COPY: Final = 0xFFFF

Transform = Callable[[bytes], bytes]


class RowError(Exception):
    """An answer whose values cannot be masked. Nothing of the row that caused it went out."""


class RowTooLarge(RowError):
    """A row is longer than ``MAX_ROW_BYTES``."""


class MalformedRow(RowError):
    """A row does not add up, is not as wide as was described, or is cut off."""


class ContentMask:
    """Which detector classes are replaced and which are only counted."""

    def __init__(self, mask_classes: frozenset[str], report_classes: frozenset[str] = frozenset()) -> None:
        self._masking = scanner(mask_classes)
        self._only_reported = report_classes - mask_classes
        self._reporting = scanner(self._only_reported)
        self._both = scanner(mask_classes | report_classes)

    def candidates(self, block: bytes) -> list[int]:
        """Starts and ends, in turn, of all places in ``block`` where something may be found. A superset."""
        found: list[int] = self._both.candidates(block)
        return found

    def apply(self, value: bytes, found: dict[str, int]) -> bytes:
        """The value without what must not be seen. Adds what was found to ``found``, by class."""
        redacted, counts = self._masking.redact(value)
        _add(counts, found)
        if self._only_reported:
            _add(Counter(finding.detector for finding in self._reporting.find(redacted)), found)
        return redacted


class RowMasker:
    """The rows of one entry of the outstanding queue. Call ``feed`` with what comes, ``finish`` at the end.

    ``transforms`` are applied to the values of these columns, counted from 0, in DataRow; NULL stays NULL, and what a
    transform gives is not searched for content. ``content`` looks at all other values and at COPY data.
    ``stand_ins`` are what a whole value of a column becomes when something in it has to be replaced, for columns whose
    type does not take stars. ``expected_columns`` is the width that every row must have, -1 for any.

    ``masked_values`` counts the values that were changed, ``found`` the findings of content detection by class.
    Whatever a transform raises passes through. After an error the object must not be used again.
    """

    def __init__(
        self,
        transforms: dict[int, Transform] | None = None,
        content: ContentMask | None = None,
        expected_columns: int = -1,
        stand_ins: dict[int, bytes] | None = None,
    ) -> None:
        given: dict[int, Transform] = transforms or {}
        self._width: i64 = max(given, default=-1) + 1
        self._transforms: list[Transform | None] = [given.get(column) for column in range(self._width)]
        self._content = content
        self._expected: i64 = expected_columns
        self._stand_ins: dict[int, bytes] = stand_ins or {}
        self._held = HeldTail()
        self._passing: i64 = 0
        self._copying = False
        self._binary_copy = False
        self._candidates: list[int] = []
        self._next: i64 = 0
        self.masked_values: int = 0
        self.found: dict[str, int] = {}

    @property
    def pending(self) -> int:
        """How many bytes are held because their message is not whole."""
        return self._held.size

    def finish(self) -> None:
        """The answer is over. Raises ``MalformedRow`` when a message is not."""
        if self._held.size > 0 or self._passing > 0:
            raise MalformedRow("the answer ended within a message")

    def feed(self, data: bytes) -> bytes:
        """What may go to the client now. Raises ``RowTooLarge`` and ``MalformedRow``."""
        if self._held.size > 0:
            data = self._held.join(data)
        if self._content is not None:
            self._candidates = self._content.candidates(data)
            self._next = 0
        size: i64 = len(data)
        position: i64 = min(self._passing, size)
        copied: i64 = 0
        self._passing -= position
        wanted: i64 = 5
        parts: list[bytes] = []
        while position + 5 <= size:
            kind: i64 = data[position]
            end: i64 = position + 1 + _length(data, position + 1)
            if end < position + 5:
                raise MalformedRow("impossible message length")
            if kind == _ROW or kind == _COPY_DATA:  # noqa: SIM109 - compiled to two comparisons of machine integers
                if end - position > MAX_ROW_BYTES:
                    raise RowTooLarge(f"a row of {int(end - position)} bytes; at most {MAX_ROW_BYTES} can be masked")
                if end > size:
                    wanted = end - position
                    break
                body = self._data_row(data, position, end) if kind == _ROW else self._copy_data(data, position, end)
                if body is not None:
                    parts += (data[copied : position + 1], _packed(len(body) + 4), body)
                    copied = end
            elif end > size:
                self._passing = end - size
                end = size
            elif kind == _COPY_DONE:
                self._copying = False
            position = end
        self._held.keep(data, position, wanted)
        if copied == 0:
            return data if position == size else data[:position]
        parts.append(data[copied:position])
        return b"".join(parts)

    def _data_row(self, data: bytes, start: i64, end: i64) -> bytes | None:
        """The new body of a DataRow; None when it stays as it is."""
        if self._width == 0 and self._expected < 0 and self._content is None:
            return None
        if end < start + 7:
            raise MalformedRow("a row without a number of columns")
        count: i64 = _short(data, start + 5)
        if count < self._width or (self._expected >= 0 and count != self._expected):
            raise MalformedRow(f"a row of {int(count)} columns does not fit its description")
        return self._cells(data, start + 5, start + 7, end, count, self._width)

    def _copy_data(self, data: bytes, start: i64, end: i64) -> bytes | None:
        """The new body of a CopyData; None when it stays as it is."""
        begins = not self._copying
        if begins:
            self._copying = True
            self._binary_copy = data.startswith(_BINARY_COPY, start + 5, end)
        if self._content is None:
            return None
        if self._binary_copy:
            return self._binary_tuple(data, start + 5, end, begins)
        return self._searched(data, start + 5, end)

    def _binary_tuple(self, data: bytes, body: i64, end: i64, begins: bool) -> bytes | None:
        """The same for binary COPY: what a DataRow has, behind a header in the first message (manual, "COPY")."""
        start = body
        if begins:
            if end < body + _BINARY_COPY_HEADER_BYTES:
                raise MalformedRow("a binary COPY with half a header")
            start += _BINARY_COPY_HEADER_BYTES + _length(data, body + _BINARY_COPY_HEADER_BYTES - 4)
        if start == end:
            return None
        if end < start + 2:
            raise MalformedRow("a row without a number of columns")
        count: i64 = _short(data, start)
        if count == _END_OF_COPY:
            count = 0
        return self._cells(data, body, start + 2, end, count, 0)

    def _cells(self, data: bytes, body: i64, position: i64, end: i64, count: i64, transformed: i64) -> bytes | None:
        """The bytes from ``body`` to ``end`` with the ``count`` values from ``position`` on replaced; None for none."""
        parts: list[bytes] = []
        copied: i64 = body
        column: i64 = 0
        while column < count:
            value: i64 = position + 4
            if value > end:
                raise MalformedRow("a row ends within a value")
            size: i64 = _length(data, position)
            if size == _NULL:
                size = 0
            elif value + size > end:
                raise MalformedRow("a value is longer than its row")
            else:
                new = self._value(data, value, value + size, column, transformed)
                if new is not None:
                    parts += (data[copied:position], _packed(len(new)), new)
                    copied = value + size
            position = value + size
            column += 1
        if position != end:
            raise MalformedRow("a row is longer than its values")
        if not parts:
            return None
        parts.append(data[copied:end])
        return b"".join(parts)

    def _value(self, data: bytes, start: i64, end: i64, column: i64, transformed: i64) -> bytes | None:
        """What a value becomes; None when it stays as it is."""
        if column < transformed:
            transform = self._transforms[column]
            if transform is not None:
                self.masked_values += 1
                return transform(data[start:end])
        clean = self._searched(data, start, end)
        return None if clean is None else self._stand_ins.get(int(column), clean)

    def _searched(self, data: bytes, start: i64, end: i64) -> bytes | None:
        """These bytes without what content detection finds in them; None when there is nothing."""
        content = self._content
        if content is None or not self._suspicious(start, end):
            return None
        value = data[start:end]
        clean = content.apply(value, self.found)
        if clean == value:
            return None
        self.masked_values += 1
        return clean

    def _suspicious(self, start: i64, end: i64) -> bool:
        """Whether a candidate touches these bytes. To be asked from left to right."""
        candidates = self._candidates
        while self._next < len(candidates) and candidates[self._next + 1] <= start:
            self._next += 2
        return self._next < len(candidates) and candidates[self._next] < end


def redact_message(kind: int, body: bytes, classes: frozenset[str]) -> tuple[bytes, dict[str, int]]:
    """The body of a NoticeResponse, ErrorResponse or NotificationResponse with findings in its texts replaced.

    Also counts them by class. Other kinds come back as they are. Raises ``MalformedRow``.
    """
    if kind not in (_ERROR, _NOTICE, _NOTIFICATION):
        return body, {}
    # In front of the texts are a process id or, in each of them, the letter that says which field it is.
    start, letters = (4, 0) if kind == _NOTIFICATION else (0, 1)
    if len(body) < start or not body.endswith(b"\0"):
        raise MalformedRow("a message whose text does not end")
    finder = scanner(classes)
    found: dict[str, int] = {}
    texts: list[bytes] = []
    for text in body[start:].split(b"\0"):
        clean, counts = finder.redact(text[letters:])
        texts.append(text[:letters] + clean)
        _add(counts, found)
    return body[:start] + b"\0".join(texts), found


def _add(counts: dict[str, int], total: dict[str, int]) -> None:
    for name, count in counts.items():
        total[name] = total.get(name, 0) + count


def _length(data: bytes, at: i64) -> i64:
    return (i64(data[at]) << 24) | (i64(data[at + 1]) << 16) | (i64(data[at + 2]) << 8) | i64(data[at + 3])


def _short(data: bytes, at: i64) -> i64:
    return (i64(data[at]) << 8) | i64(data[at + 1])


def _packed(length: int) -> bytes:
    return _LENGTHS[length] if length < 4096 else _INT32.pack(length)
