"""Which values a principal must not see, and what it sees in their place.

A *masking* is what policy says about one database's columns for one principal: made by the policy service from a
catalogue, carried out by the protocol. It is immutable; when policy or catalogue change there is a new one.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from interlock.core.catalogue import Catalogue

DETECTOR_CLASSES = ("email", "credit-card", "iban", "ssn", "phone", "secret")
"""What content detection can find, by name."""


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
    tokens of this connection. ``show_notifications`` lets payloads of other sessions' NOTIFY through. ``documents``
    has, by ``schema.relation.column``, the JSON Pointers (RFC 6901) at which a masked JSON column is masked; without
    them it is as a whole. ``fields`` has what is masked in bodies of HTTP, by selector: ``email`` is a key at any
    depth, ``/customer/contacts/*/email`` a path from the root, and ``ANY_NAME`` every value; of several masks on a
    value the strongest counts.
    """

    version: str
    catalogue: Catalogue
    columns: Mapping[int, Mapping[str, ColumnMask]] = MappingProxyType({})
    detectors: Mapping[str, DetectorMask] = MappingProxyType({})
    reviewed: frozenset[str] = frozenset()
    key: bytes = b""
    show_notifications: bool = False
    documents: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    fields: Mapping[str, ColumnMask] = MappingProxyType({})

    def __repr__(self) -> str:
        counts = f"relations={len(self.columns)}, detectors={len(self.detectors)}, fields={len(self.fields)}"
        return f"Masking(version={self.version!r}, {counts})"


class MaskingOptions(msgspec.Struct, frozen=True):
    """What the configuration of a connection adds to what policy says; see ``Masking`` for the names.

    ``detectors`` are those that look at content whatever policy says: policy adds to them and takes none away.
    ``everything`` is a mask that lies on every column of every relation, whatever else does.
    """

    detectors: Mapping[str, DetectorMask] = MappingProxyType({})
    reviewed: frozenset[str] = frozenset()
    key: bytes = b""
    show_notifications: bool = False
    documents: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    everything: ColumnMask | None = None

    def __repr__(self) -> str:
        return f"MaskingOptions(detectors={sorted(self.detectors)}, reviewed={sorted(self.reviewed)})"


NO_OPTIONS = MaskingOptions()

BUILTIN_MASK = ColumnMask(MaskKind.NULL, Predicates.DENY)
"""What lies on the columns of ``BUILTIN_MASKS`` as soon as any column of the database is masked."""

ANY_NAME = "*"

_SAMPLES = "most_common_vals histogram_bounds most_common_elems range_length_histogram range_bounds_histogram"

_SAMPLES = (
    "null_frac avg_width n_distinct most_common_vals most_common_freqs histogram_bounds correlation most_common_elems"
    " most_common_elem_freqs elem_count_histogram range_bounds_histogram range_length_histogram range_empty_frac"
)


def _numbered(names: str) -> str:
    return " ".join(f"{name}{number}" for name in names.split() for number in range(1, 6))


BUILTIN_MASKS: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(
    {
        (schema, relation): frozenset(columns.split())
        for schema, relation, columns in (
            # sampled values of user columns, and figures that depend on them (PostgreSQL 13 to 18)
            ("pg_catalog", "pg_statistic", f"stanullfrac stawidth stadistinct {_numbered('stanumbers stavalues')}"),
            ("pg_catalog", "pg_stats", _SAMPLES),
            ("pg_catalog", "pg_statistic_ext_data", "stxdndistinct stxddependencies stxdmcv stxdexpr"),
            (
                "pg_catalog",
                "pg_stats_ext",
                "n_distinct dependencies most_common_vals most_common_val_nulls most_common_freqs"
                " most_common_base_freqs",
            ),
            ("pg_catalog", "pg_stats_ext_exprs", _SAMPLES),
            # stored values outside of their tables
            ("pg_catalog", "pg_largeobject", "data"),
            ("pg_toast", ANY_NAME, "chunk_data"),
            # statements of other sessions, with their constants
            ("pg_catalog", "pg_stat_activity", "query"),
            (ANY_NAME, "pg_stat_statements", "query"),
            # passwords and connection strings
            ("pg_catalog", "pg_authid", "rolpassword"),
            ("pg_catalog", "pg_shadow", "passwd"),
            ("pg_catalog", "pg_user_mapping", "umoptions"),
            ("pg_catalog", "pg_user_mappings", "umoptions"),
            ("information_schema", "_pg_user_mappings", "umoptions"),
            ("information_schema", "user_mapping_options", "option_value"),
            ("pg_catalog", "pg_subscription", "subconninfo"),
            ("pg_catalog", "pg_stat_wal_receiver", "conninfo"),
            ("pg_catalog", "pg_hba_file_rules", "options"),
            ("pg_catalog", "pg_file_settings", "setting"),
        )
    }
)
"""Columns of the server's own relations that hold other people's values, by schema and relation.

``ANY_NAME`` stands for every schema or relation; ``builtin_columns`` looks them up. A name may be missing on a
server's version.
"""


def builtin_columns(schema: str, relation: str) -> frozenset[str]:
    """The columns of a relation that hold other people's values whatever policy says of them."""
    names = ((schema, relation), (ANY_NAME, relation), (schema, ANY_NAME))
    return frozenset[str]().union(*(BUILTIN_MASKS.get(name, frozenset()) for name in names))
