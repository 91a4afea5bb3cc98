"""What masks mean for answers: the second net behind rewritten statements.

A description that shows a masked column's origin ends the session before a row goes out, one with a column that the
catalogue does not have lets no row out; the target's own words about
statements that touch real values are replaced; other sessions' notifications lose their payload; what content
detection finds is masked.
"""

import struct
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from interlock.core.budget import Allowance
from interlock.core.denial import Denial, DenialReason
from interlock.core.keyed_masks import hasher, tokeniser
from interlock.core.masking import ColumnMask, DetectorMask, MaskKind
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.masking.index import MaskingIndex
from interlock.protocols.postgres.masks import SessionMasks
from interlock.protocols.postgres.metering import Meter
from interlock.protocols.postgres.outstanding import Entry
from interlock.protocols.postgres.rows import ContentMask, RowMasker, Transform, redact_message

_KEYED: Final[Mapping[MaskKind, Callable[[bytes], Transform]]] = {MaskKind.HASH: hasher, MaskKind.TOKENISE: tokeniser}
_WITHHELD: Final = "the statement failed; the server's words are withheld because they could show masked values"
_HINT: Final = "The SQLSTATE tells the kind of error. Whoever may see the masked columns is told more."
_NUMBERS: Final = frozenset((20, 21, 23, 26, 700, 701, 790, 1700))
"""int8, int2, int4, oid, float4, float8, money, numeric."""
_PLACES: Final = frozenset("PpqW")
"""Fields that speak of places in the text, which is not the one that the client sent."""
_OF_THE_TEXT: Final = "42"
"""Class of errors that are found in a text before any value is looked at."""
_CHANGED_MEANWHILE: Final = Denial(
    DenialReason.UNSUPPORTED,
    "the answer has columns that were added or made anew just now, and whether they are masked has to be looked up",
    hint="Send the statement again.",
    code="55000",
)
_MAX_COLUMNS: Final = 1_600
"""The last column of a relation (MaxHeapAttributeNumber); greater numbers are those of system columns."""
_MAX_CHECKED: Final = 64
_MAX_CHECKED_BYTES: Final = 2048
_HIDDEN_PAYLOAD: Final = b"\0"


class DescribedColumn(NamedTuple):
    """What a RowDescription says of a column: the column of a relation that it is, both 0 for none, and its type."""

    relation_oid: int
    number: int
    type_oid: int


def described_columns(body: bytes) -> list[DescribedColumn]:
    """The columns of a RowDescription (manual, "Message Formats"). Raises ``ValueError`` and ``struct.error``."""
    (count,) = struct.unpack_from(">H", body, 0)
    position = 2
    columns = []
    for _ in range(count):
        position = body.index(0, position) + 1
        columns.append(DescribedColumn._make(struct.unpack_from(">IHI", body, position)))
        position += 18
    return columns


class MaskedColumnShown(Exception):
    """The target is about to send a masked column as it is."""


class ColumnUnknown(Exception):
    """The target is about to send a column that the catalogue does not have: nobody knows whether it is masked."""


def withholding() -> Meter:
    """Lets nothing pass of an answer with columns that the catalogue does not have."""
    meter = Meter(Allowance(None, None, lambda: 0.0, lambda: _CHANGED_MEANWHILE))
    meter.stopped = True
    return meter


class AnswerMasks:
    """The masks of one session's answers. ``process_id`` is the session's own at the target."""

    def __init__(self, masks: SessionMasks, process_id: int) -> None:
        self._masks = masks
        self._process_id = process_id
        self._content: ContentMask | None = None
        self._redacted: frozenset[str] = frozenset()
        self._checked: set[bytes] = set()
        """Descriptions that show no masked column."""
        self.changed()

    @property
    def in_force(self) -> bool:
        return self._masks.masking is not None

    def changed(self) -> None:
        """Another masking is in force."""
        masking = self._masks.masking
        detectors: Mapping[str, DetectorMask] = masking.detectors if masking is not None else {}
        self._checked.clear()
        self._redacted = frozenset(name for name, detector in detectors.items() if detector.masked)
        reported = frozenset(detectors) - self._redacted
        self._content = ContentMask(self._redacted, reported) if detectors else None

    def content_masker(self, description: bytes = b"") -> RowMasker | None:
        """What all rows go through, None when they pass as they are.

        ``description`` is the RowDescription that came last: in its columns of numbers, a number stands for what is
        found. Should the rows be another's, the wrong thing stands there, and nothing is shown.
        """
        if self._content is None:
            return None
        columns = described_columns(description) if description else ()
        numbers = {place: b"0" for place, column in enumerate(columns) if column.type_oid in _NUMBERS}
        return RowMasker(content=self._content, stand_ins=numbers)

    def rows_masker(self, entry: Entry) -> RowMasker:
        """What the rows of an entry with raw outputs go through."""
        masking = self._masks.masking
        if masking is None:
            raise MaskedColumnShown
        transforms: dict[int, Transform] = {
            output.position: _KEYED[output.kind](masking.key) for output in entry.raw_outputs
        }
        return RowMasker(transforms, self._content, entry.width)

    def check_description(self, body: bytes, raw: Collection[int]) -> None:
        """A RowDescription in which columns at the places ``raw`` are masked later.

        Raises ``MaskedColumnShown``, ``ColumnUnknown``, ``ValueError`` and ``struct.error``.
        """
        index = self._masks.index
        if index is None or body in self._checked:
            return
        for place, column in enumerate(described_columns(body)):
            masks = index.masking.columns.get(column.relation_oid)
            if masks and place not in raw and self._is_masked(masks, column.relation_oid, column.number):
                raise MaskedColumnShown
            if self._is_unknown(index, column):
                self._masks.is_behind = True
                raise ColumnUnknown
        if not raw and len(body) <= _MAX_CHECKED_BYTES:
            if len(self._checked) >= _MAX_CHECKED:
                self._checked.clear()
            self._checked.add(body)

    def _is_unknown(self, index: MaskingIndex, column: DescribedColumn) -> bool:
        """Whether others have added it to a relation since the catalogue was read.

        A whole relation that is not known is none: it could be a temporary one, or one that a client's own tools have
        just made again, of which the columns are masked by their names.
        """
        relation = index.by_oid.get(column.relation_oid)
        if relation is None:
            return False
        is_its_own = 0 < column.number <= _MAX_COLUMNS
        return is_its_own and not self._masks.has_defined and not index.has_column(relation, column.number)

    def _is_masked(self, masks: Mapping[str, ColumnMask], oid: int, number: int) -> bool:
        """``number`` 0 is the whole row."""
        index = self._masks.index
        relation = index.by_oid.get(oid) if index is not None else None
        if relation is None or number == 0:
            return True
        return any(column.number == number and column.name in masks for column in relation.columns)

    def error(self, entry: Entry, kind: int, body: bytes) -> bytes | None:
        """The ErrorResponse to send instead of the target's; None when its own may go on."""
        fields = messages.error_fields(body)
        severity, code = fields.get("V", "ERROR"), fields.get("C", "XX000")
        if entry.guarded or (entry.compares and not code.startswith(_OF_THE_TEXT)):
            return messages.error_response(severity, code, f"{_WITHHELD} (SQLSTATE {code})", hint=_HINT)
        if entry.rewritten:
            parts = [part for part in body.split(b"\0") if part and chr(part[0]) not in _PLACES]
            body = b"\0".join(parts) + b"\0\0"
            return messages.message(kind, self._redact(kind, body))
        return self.text(kind, body)

    def notice(self, entry: Entry | None, body: bytes) -> bytes | None:
        """The NoticeResponse to send instead, empty for none at all; None when the target's own may go on."""
        if entry is not None and (entry.guarded or entry.compares):
            return b""
        return self.text(messages.NOTICE_RESPONSE, body)

    def notification(self, body: bytes) -> bytes | None:
        """The NotificationResponse to send instead; None when the target's own may go on."""
        index = self._masks.index
        if index is None:
            return self.text(messages.NOTIFICATION_RESPONSE, body)
        own = int.from_bytes(body[:4], "big") == self._process_id
        if own or index.masking.show_notifications:
            return self.text(messages.NOTIFICATION_RESPONSE, body)
        end = body.index(0, 4) + 1
        return messages.message(messages.NOTIFICATION_RESPONSE, body[:end] + _HIDDEN_PAYLOAD)

    def text(self, kind: int, body: bytes) -> bytes | None:
        """The message with what content detection masks in its texts; None when nothing is."""
        redacted = self._redact(kind, body)
        return messages.message(kind, redacted) if redacted != body else None

    def _redact(self, kind: int, body: bytes) -> bytes:
        return redact_message(kind, body, self._redacted)[0] if self._redacted else body
