"""Who is in FROM: the relations a query can name, and which of their columns it does name.

Scopes follow PostgreSQL's name resolution as far as syntax goes. Where only the catalogue could tell, a
column counts for every relation that might have it, so the answer can be too large and never too small.
"""

from collections.abc import Iterator

MAX_COLUMNS = 256
"""An access names at most this many columns; beyond that it says "*"."""

MAX_STEPS = 500_000
"""Look-ups spent on one statement's columns before it is given up as too complex."""

_WHOLE_ROW_FUNCTIONS = """
    array_agg concat hstore json_agg json_build_array jsonb_agg jsonb_build_array quote_literal quote_nullable
    record_out record_send row_to_json text to_json to_jsonb
"""
WHOLE_ROW_FUNCTIONS = frozenset(_WHOLE_ROW_FUNCTIONS.split())
"""``u.row_to_json`` calls ``row_to_json(u)`` when the table has no such column."""


class TooComplex(Exception):
    """A statement whose columns cannot be attributed within MAX_STEPS."""


class ColumnSet:
    """Column names, collapsed to ``{"*"}`` when there are too many."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def note(self, name: str) -> None:
        """Add one name."""
        self._names.add(name if len(self._names) < MAX_COLUMNS else "*")

    def listed(self) -> tuple[str, ...]:
        """Sorted names, ``("*",)`` alone when there are too many to list."""
        if len(self._names) >= MAX_COLUMNS:
            return ("*",)
        return tuple(sorted(self._names))


class Source:
    """One FROM item. ``path`` is None for what is no relation of the database: a sub-query, a function, a CTE."""

    __slots__ = ("columns", "names", "path", "renamed", "target")

    def __init__(
        self,
        path: tuple[str, str] | None,
        names: tuple[str, ...],
        *,
        renamed: bool = False,
        target: bool = False,
    ) -> None:
        self.path = path
        self.names = names
        self.renamed = renamed
        self.target = target
        self.columns = ColumnSet()

    def read(self, column: str) -> None:
        """``column`` of this source is read; behind an alias list any column may hide."""
        if self.renamed or column in WHOLE_ROW_FUNCTIONS:
            self.columns.note("*")
        self.columns.note(column)


class CommonTables:
    """The names that WITH makes visible at one place: those of one clause up to ``limit``, then the outer ones.

    A place in a long WITH list is a number, not a copy of the list, so that long lists stay cheap.
    """

    __slots__ = ("index", "limit", "outer")

    def __init__(self, index: dict[str, int], limit: int, outer: "CommonTables | None") -> None:
        self.index = index
        self.limit = limit
        self.outer = outer


def is_common_table(name: str, visible: CommonTables | None) -> bool:
    """Does ``name`` mean a CTE here?"""
    while visible is not None:
        if visible.index.get(name, visible.limit) < visible.limit:
            return True
        visible = visible.outer
    return False


class Scope:
    """One query level: its sources, the column names used in it, and the level around it."""

    __slots__ = ("ctes", "fields", "holder", "locked", "parent", "qualified", "sources", "star", "unqualified")

    def __init__(self, parent: "Scope | None" = None, ctes: CommonTables | None = None) -> None:
        self.parent = parent
        self.ctes = ctes
        self.sources: list[Source] = []
        self.unqualified: ColumnSet = ColumnSet()
        self.qualified: set[tuple[str, str]] = set()
        self.fields: set[tuple[str, str]] = set()
        """``(u).email``, where ``u`` is a relation or a column of composite type."""
        self.star = False
        self.locked: set[str] = set()
        """Aliases named by FOR UPDATE and the like; "*" is all of them."""
        self.holder: tuple[Scope, str] | None = None
        """For a sub-query in FROM: the level it stands in, and its alias there."""

    def levels(self) -> Iterator["Scope"]:
        """This level and those around it, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def is_locked(self, names: tuple[str, ...]) -> bool:
        """Does a row-locking clause reach a source with these names? It reaches into sub-queries of FROM."""
        holder: tuple[Scope, str] | None = (self, "")
        while holder is not None:
            scope, alias = holder
            if "*" in scope.locked or alias in scope.locked or not scope.locked.isdisjoint(names):
                return True
            names, holder = (), scope.holder
        return False


def attribute_columns(scopes: list[Scope]) -> None:
    """Give every column name used in ``scopes`` (outer levels before inner ones) to the sources it may belong to.

    Raises TooComplex.
    """
    attribution = _Attribution(scopes)
    for scope in reversed(scopes):
        attribution.attribute(scope)


class _Attribution:
    def __init__(self, scopes: list[Scope]) -> None:
        self._steps = 0
        self._by_name = {scope: _sources_by_name(scope) for scope in scopes if scope.sources}

    def attribute(self, scope: Scope) -> None:
        """Attribute the names used at one level."""
        for qualifier, column in scope.qualified:
            self._qualified(scope, qualifier, column)
        for holder, column in scope.fields:
            self._field(scope, holder, column)
        for column in scope.unqualified:
            self._unqualified(scope, column)
        if scope.star:
            for source in scope.sources:
                source.columns.note("*")

    def _named(self, level: Scope, name: str) -> list[Source]:
        return self._by_name.get(level, _NO_NAMES).get(name, [])

    def _read(self, sources: list[Source], column: str) -> None:
        for source in sources:
            source.read(column)
        self._steps += 1 + len(sources)
        if self._steps > MAX_STEPS:
            raise TooComplex

    def _qualified(self, scope: Scope, qualifier: str, column: str) -> None:
        """``t.a``: of the innermost source with that name, or of any when there is none (``old``, ``new``)."""
        for level in scope.levels():
            found = self._named(level, qualifier)
            self._read(found, column)
            if found:
                return
        for level in scope.levels():
            self._read(level.sources, column)

    def _field(self, scope: Scope, holder: str, column: str) -> None:
        """``(holder).column``: a column of the relation ``holder``, or a field of the composite column ``holder``."""
        if any(self._named(level, holder) for level in scope.levels()):
            self._qualified(scope, holder, column)
        else:
            scope.unqualified.note(holder)

    def _unqualified(self, scope: Scope, column: str) -> None:
        """``a``: a column of some source here or further out, or a whole row when it is a source's name."""
        for level in scope.levels():
            self._read(level.sources, column)
            for source in self._named(level, column):
                source.columns.note("*")


_NO_NAMES: dict[str, list[Source]] = {}


def _sources_by_name(scope: Scope) -> dict[str, list[Source]]:
    by_name: dict[str, list[Source]] = {}
    for source in scope.sources:
        for name in source.names:
            by_name.setdefault(name, []).append(source)
    return by_name
