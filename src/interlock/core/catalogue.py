"""What a target database contains, as the gateway last read it: relations, columns, routines.

Values only. An adapter reads them over a connection of the gateway's own; a protocol traces which columns are derived
from which; policy puts masks on columns. Nothing in here is a row's value.
"""

import enum
import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import msgspec


class RelationKind(enum.Enum):
    """``pg_class.relkind``."""

    TABLE = "r"
    PARTITIONED = "p"
    VIEW = "v"
    MATERIALIZED_VIEW = "m"
    FOREIGN = "f"
    SEQUENCE = "S"
    TOAST = "t"
    COMPOSITE = "c"


class Column(msgspec.Struct, frozen=True):
    """One column. ``number`` is its attnum. A domain's ``type_schema`` and ``type_name`` are those of its base type.

    ``category`` is ``pg_type.typcategory`` of that type. ``tags`` were put on it in the database itself: by its comment
    or by a security label. ``expression`` is the definition of a generated column. ``known_as`` are names that it had
    before, as far as the gateway saw them: what a tag said of it then, still holds.
    """

    number: int
    name: str
    type_schema: str
    type_name: str
    category: str = "S"
    generated: bool = False
    expression: str = ""
    tags: tuple[str, ...] = ()
    known_as: tuple[str, ...] = ()


class ForeignKey(msgspec.Struct, frozen=True):
    """Columns of a relation that refer to columns of the relation ``target`` (an oid), pairwise.

    ``cascades`` says that deleting or updating there writes here.
    """

    columns: tuple[str, ...]
    target: int
    target_columns: tuple[str, ...]
    cascades: bool = False


class Relation(msgspec.Struct, frozen=True, eq=False):
    """One relation. ``key`` are the columns of its primary key.

    ``parents`` are the oids of what it inherits from or is a partition of. ``definition`` is the query of a view, with
    all names qualified. ``runs_code`` says that writing to it runs triggers, rules, or routines of users in defaults,
    checks, indexes or policies. ``rewrites`` says that rules other than a view's own replace or follow what is written
    to it. ``known_as`` are schemas and names that it had before (see ``Column``).
    """

    oid: int
    schema: str
    name: str
    kind: RelationKind
    columns: tuple[Column, ...] = ()
    parents: tuple[int, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    definition: str = ""
    runs_code: bool = False
    rewrites: bool = False
    tags: tuple[str, ...] = ()
    known_as: tuple[tuple[str, str], ...] = ()
    key: tuple[str, ...] = ()

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


class Routine(msgspec.Struct, frozen=True):
    """A function, procedure or aggregate outside of pg_catalog and information_schema.

    ``kind`` is ``pg_proc.prokind``. ``language`` is its language's name, ``extension`` the extension it belongs to.
    ``body`` is the source text of a routine in SQL. ``supports`` are the oids of the routines that an aggregate calls.
    ``arguments`` counts its input arguments.
    """

    oid: int
    schema: str
    name: str
    kind: str
    language: str
    extension: str = ""
    body: str = ""
    arguments: int = 0
    supports: tuple[int, ...] = ()


class Operator(msgspec.Struct, frozen=True):
    """An operator outside of pg_catalog, with the oid of the routine behind it."""

    schema: str
    name: str
    routine: int


class TypeCode(msgspec.Struct, frozen=True):
    """A type whose values cannot be made without running routines: a cast to it, or a domain's check.

    ``source`` is the name of the type that a cast is from, empty for a check.
    """

    schema: str
    name: str
    routine: int
    source: str = ""


ColumnKey = tuple[int, str]
"""A relation's oid and a column's name."""


class Lineage(msgspec.Struct, frozen=True, eq=False):
    """Where the columns of views and generated columns come from.

    ``sources`` are the columns that a derived column is made of, directly; every column of a traced view and every
    generated column has an entry, if an empty one. ``copies`` are the derived columns whose values are those of their
    one source, unchanged. ``opaque`` are the oids of relations whose columns could not be traced: each may be made of
    anything. ``safe_routines`` are the oids of routines that compute from their arguments only.
    """

    sources: Mapping[ColumnKey, frozenset[ColumnKey]] = MappingProxyType({})
    copies: frozenset[ColumnKey] = frozenset()
    opaque: frozenset[int] = frozenset()
    safe_routines: frozenset[int] = frozenset()


class Catalogue(msgspec.Struct, frozen=True, eq=False):
    """One database as it was read. ``version`` differs when anything in it does."""

    version: str
    relations: tuple[Relation, ...] = ()
    routines: tuple[Routine, ...] = ()
    operators: tuple[Operator, ...] = ()
    type_code: tuple[TypeCode, ...] = ()
    lineage: Lineage = Lineage()


def content_version(catalogue: Catalogue) -> str:
    """What ``Catalogue.version`` is: SHA-256, in hexadecimal, of everything in it but its lineage."""
    content = (catalogue.relations, catalogue.routines, catalogue.operators, catalogue.type_code)
    return hashlib.sha256(msgspec.msgpack.encode(content)).hexdigest()
