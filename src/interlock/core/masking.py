"""Which values a principal must not see, and what it sees in their place.

A *masking* is what policy says about one database's columns for one principal: made by the policy service from a
catalogue, carried out by the protocol. It is immutable; when policy or catalogue change there is a new one.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from interlock.core.catalogue import Catalogue


class MaskKind(enum.IntEnum):
    """What stands in the place of a value. Of two, the greater one is the stronger and wins.

    ``FORBID`` is a ``forbid`` on ``reveal`` without ``@mask``: a statement that could show the column is refused.
    """

    PARTIAL = 1
    TOKENISE = 2
    HASH = 3
    REDACT = 4
    NULL = 5
    FORBID = 6

    @property
    def word(self) -> str:
        """As ``@mask`` has it."""
        return self.name.lower()


class Predicates(enum.IntEnum):
    """How far a masked column's real value may be compared. The greater one is the stricter and wins."""

    ALLOW = 1
    EQUALITY = 2
    DENY = 3

    @property
    def word(self) -> str:
        """As ``@predicates`` has it."""
        return self.name.lower()


class ColumnMask(msgspec.Struct, frozen=True):
    """What one column's values become, how it may be compared, and by which rules."""

    kind: MaskKind
    predicates: Predicates = Predicates.EQUALITY
    rules: tuple[str, ...] = ()

    def stronger(self, other: "ColumnMask") -> "ColumnMask":
        """The mask that satisfies both."""
        return ColumnMask(
            max(self.kind, other.kind),
            max(self.predicates, other.predicates),
            tuple(sorted({*self.rules, *other.rules})),
        )


class MaskedColumn(msgspec.Struct, frozen=True):
    """For records: a column that an operation touches and that was masked in it."""

    schema: str
    relation: str
    column: str
    mask: str
    rules: tuple[str, ...]


class DetectorMask(msgspec.Struct, frozen=True):
    """What becomes of content that a detector class finds: ``masked`` or only counted."""

    masked: bool
    rules: tuple[str, ...] = ()


class Masking(msgspec.Struct, frozen=True, eq=False):
    """What is masked for one principal in one database.

    ``columns`` has, by relation oid and column name, every column that is masked: those that rules name and those that
    are derived from them. ``detectors`` are the content detectors that look at everything else, by class.
    ``reviewed`` are routines (``schema.name``) that the operator vouches for. ``key`` is secret: it keys hashes and
    tokens of this connection. ``show_notifications`` lets payloads of other sessions' NOTIFY through.
    """

    version: str
    catalogue: Catalogue
    columns: Mapping[int, Mapping[str, ColumnMask]] = MappingProxyType({})
    detectors: Mapping[str, DetectorMask] = MappingProxyType({})
    reviewed: frozenset[str] = frozenset()
    key: bytes = b""
    show_notifications: bool = False

    def __repr__(self) -> str:
        return f"Masking(version={self.version!r}, relations={len(self.columns)}, detectors={len(self.detectors)})"
