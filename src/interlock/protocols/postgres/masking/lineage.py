"""Where the columns of views and generated columns come from, and which routines compute from their arguments only.

Errs on one side: a column counts as made of everything that its expression names; a relation whose query cannot be
followed is opaque; a routine that is not understood is not safe.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from interlock.core.catalogue import Catalogue, ColumnKey, Lineage, Relation, Routine, TypeCode
from interlock.core.masking import builtin_columns
from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.statements.catalogue import CATALOG_SCHEMA, INFORMATION_SCHEMA
from interlock.protocols.postgres.statements.functions import BUILTIN_FUNCTIONS
from interlock.protocols.postgres.statements.nodes import Node, nodes_in, schema_and_name, strings

Sources = frozenset[ColumnKey]
_NOTHING: Final[Sources] = frozenset()


class OutputColumn(NamedTuple):
    """A column of a query. ``copied`` says that its values are those of its one source, unchanged."""

    name: str
    sources: Sources
    copied: bool = False


Output = list[OutputColumn]

PURE_EXTENSIONS: Final = frozenset(
    [
        "btree_gin",
        "btree_gist",
        "citext",
        "cube",
        "earthdistance",
        "fuzzystrmatch",
        "hstore",
        "intarray",
        "isn",
        "ltree",
        "pg_trgm",
        "pgcrypto",
        "postgis",
        "seg",
        "unaccent",
        "uuid-ossp",
        "vector",
    ]
)
"""Extensions whose routines read no tables that their arguments name."""


_FIRST_NORMAL_OID: Final = 16_384
"""Below it are the server's own objects (access/transam.h)."""


class Opaque(Exception):
    """A query that cannot be followed."""


def trace(catalogue: Catalogue) -> Catalogue:
    """The catalogue with its lineage. Takes about as long as parsing all views and routines."""
    safe = _safe_routines(catalogue)
    unsafe = {routine.name for routine in catalogue.routines if routine.oid not in safe}
    unsafe |= {name for name, routine in _codes(catalogue) if routine not in safe}
    tracer = _Tracer(catalogue.relations, frozenset(unsafe))
    derived: dict[ColumnKey, OutputColumn] = {}
    opaque: set[int] = set()
    for relation in catalogue.relations:
        try:
            derived |= {(relation.oid, name): column for name, column in tracer.of(relation)}
        except (Opaque, grammar.GrammarError, RecursionError, LookupError, ValueError, AttributeError, TypeError):
            opaque.add(relation.oid)
    sources = {key: column.sources for key, column in derived.items()}
    copies = frozenset(key for key, column in derived.items() if column.copied)
    return msgspec.structs.replace(catalogue, lineage=Lineage(sources, copies, frozenset(opaque), safe))


# ---------------------------------------------------------------- routines


class _Calls(NamedTuple):
    """What a routine in SQL calls, by name: ``others`` are operators, types and fields, which may call routines."""

    functions: frozenset[str]
    others: frozenset[str]


def names_of_code(code: TypeCode) -> Iterator[str]:
    """A cast to a built-in type is known by where it comes from: everything is cast to text."""
    if code.source:
        yield code.source
    if code.schema != CATALOG_SCHEMA:
        yield code.name


def _codes(catalogue: Catalogue) -> Iterator[tuple[str, int]]:
    """Names of operators and types that users have made, with the oids of the routines behind them."""
    known = {routine.oid for routine in catalogue.routines}
    for operator in catalogue.operators:
        yield from [(operator.name, operator.routine)] if operator.routine in known else ()
    for code in catalogue.type_code:
        yield from ((name, code.routine) for name in names_of_code(code) if code.routine in known)


def _safe_routines(catalogue: Catalogue) -> frozenset[int]:
    """Those of pure extensions, and those in SQL that read no relation and call nothing but safe ones."""
    listed = catalogue.routines
    safe = {routine.oid for routine in listed if routine.extension in PURE_EXTENSIONS}
    safe |= {oid for routine in listed for oid in routine.supports if oid < _FIRST_NORMAL_OID}
    calls = {routine.oid: _calls(routine) for routine in listed if routine.oid not in safe}
    functions: dict[str, list[int]] = {}
    others: dict[str, list[int]] = {}
    for routine in listed:
        functions.setdefault(routine.name, []).append(routine.oid)
        if routine.arguments == 1:
            others.setdefault(routine.name, []).append(routine.oid)
    for name, oid in _codes(catalogue):
        others.setdefault(name, []).append(oid)
    grown = True
    while grown:
        found = {
            oid
            for oid, called in calls.items()
            if called is not None
            and _all_safe(called.functions, functions, safe)
            and all(safe.issuperset(others.get(name, ())) for name in called.others)
        }
        found |= {routine.oid for routine in listed if routine.supports and safe.issuperset(routine.supports)}
        grown = not found <= safe
        safe |= found
    return frozenset(safe)


def _all_safe(names: frozenset[str], by_name: dict[str, list[int]], safe: set[int]) -> bool:
    return all(
        safe.issuperset(by_name.get(name, ())) and (name in by_name or name in BUILTIN_FUNCTIONS) for name in names
    )


def _calls(routine: Routine) -> _Calls | None:
    """What a routine in SQL calls; None when it does anything else, or is in another language."""
    if routine.language != "sql" or not routine.body or routine.kind != "f":
        return None
    body = routine.body.strip()
    try:
        trees = grammar.parse(_plain_body(body).encode())
    except grammar.GrammarError:
        return None
    functions: set[str] = set()
    others: set[str] = set()
    for node in nodes_in(trees):
        if "relname" in node or "withClause" in node or not _QUERIES.isdisjoint(node):
            return None
        if "funcname" in node:
            functions.add(schema_and_name(strings(node["funcname"]))[1])
        others.update(_other_names(node))
    return _Calls(frozenset(functions), frozenset(others)) if all("SelectStmt" in tree for tree in trees) else None


def _other_names(node: Node) -> Iterator[str]:
    for key in ("name", "operName", "useOp", "names", "fields", "indirection"):
        if isinstance(node.get(key), list):
            yield from strings(node[key])


_QUERIES: Final = frozenset(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"))


def _plain_body(body: str) -> str:
    """``RETURN expression`` of SQL-standard bodies as a query."""
    return f"SELECT {body[7:]}" if body[:7].lower() == "return " else body


# ---------------------------------------------------------------- relations


class _Scope:
    """The FROM items of one level by name, each with its columns, and the level around it."""

    def __init__(self, parent: "_Scope | None", common: dict[str, Output]) -> None:
        self.parent = parent
        self.common = common
        self.items: list[tuple[str, Output]] = []


class _Tracer:
    def __init__(self, relations: Iterable[Relation], unsafe: frozenset[str]) -> None:
        self._relations = {(relation.schema, relation.name): relation for relation in relations}
        self._unsafe = unsafe

    def of(self, relation: Relation) -> list[tuple[str, OutputColumn]]:
        """A relation's derived columns by name. Raises ``Opaque`` and what a strange tree can cause."""
        if relation.schema == CATALOG_SCHEMA:  # what of the server's own is masked, is so by name
            return [(column.name, OutputColumn(column.name, _NOTHING)) for column in relation.columns]
        if relation.definition:
            (tree,) = grammar.parse(relation.definition.strip().rstrip(";").encode())
            output = self._query(tree, _Scope(None, {}))
            if len(output) != len(relation.columns):
                raise Opaque
            return [(column.name, found) for column, found in zip(relation.columns, output, strict=True)]
        return [
            (column.name, self._generated(relation, column.expression))
            for column in relation.columns
            if column.expression
        ]

    def _generated(self, relation: Relation, expression: str) -> OutputColumn:
        (tree,) = grammar.parse(f"SELECT {expression}".encode())
        scope = _Scope(None, {})
        scope.items.append((relation.name, _own_columns(relation)))
        return OutputColumn("", self._expression(tree["SelectStmt"]["targetList"], scope))

    def _query(self, tree: Node, outer: _Scope) -> Output:
        body = tree.get("SelectStmt")
        if body is None:
            raise Opaque
        return self._select(body, outer)

    def _select(self, body: Node, outer: _Scope) -> Output:
        scope = _Scope(outer.parent, self._with(body, outer))
        if "larg" in body:
            return _united(self._select(body["larg"], scope), self._select(body["rarg"], scope))
        if "valuesLists" in body:
            rows = [row["List"]["items"] for row in body["valuesLists"]]
            found = [self._expression(list(column), scope) for column in zip(*rows, strict=True)]
            return [OutputColumn(f"column{number}", sources) for number, sources in enumerate(found, 1)]
        for item in body.get("fromClause", ()):
            self._from(item, scope)
        output: Output = []
        for target in body.get("targetList", ()):
            output += self._target(target["ResTarget"], scope)
        return output

    def _with(self, body: Node, outer: _Scope) -> dict[str, Output]:
        clause = body.get("withClause")
        if not clause:
            return outer.common
        common = dict(outer.common)
        for node in clause["ctes"]:
            table = node["CommonTableExpr"]
            query, names = table["ctequery"], strings(table.get("aliascolnames"))
            if clause.get("recursive"):
                common[table["ctename"]] = self._recursive(query, names, outer, common, table)
            else:
                common[table["ctename"]] = _renamed(self._query(query, _Scope(outer.parent, common)), names)
        return common

    def _recursive(
        self, query: Node, names: list[str], outer: _Scope, common: dict[str, Output], table: Node
    ) -> Output:
        """Every column of a recursive table counts as made of all that the table is made of."""
        if "search_clause" in table or "cycle_clause" in table:
            raise Opaque
        first = query["SelectStmt"].get("larg", query["SelectStmt"])
        base = _renamed(self._select(first, _Scope(outer.parent, common)), names)
        inner = dict(common)
        inner[table["ctename"]] = base
        whole = self._query(query, _Scope(outer.parent, inner))
        everything = _all_sources([*base, *whole])
        return [OutputColumn(column.name, everything) for column in base]

    def _target(self, target: Node, scope: _Scope) -> Output:
        value = target["val"]
        fields = value.get("ColumnRef", {}).get("fields", [])
        if fields and "A_Star" in fields[-1]:
            return self._star(strings(fields), scope)
        name = target.get("name") or (strings(fields)[-1] if fields else "")
        sources = self._expression(value, scope)
        return [OutputColumn(name, sources, len(sources) == 1 and _is_copy(strings(fields), scope))]

    def _star(self, qualifiers: list[str], scope: _Scope) -> Output:
        wanted = [columns for name, columns in scope.items if not qualifiers or name == qualifiers[-1]]
        return [column for columns in wanted for column in columns]

    # ------------------------------------------------------------ FROM

    def _from(self, node: Node, scope: _Scope) -> None:
        kind, body = next(iter(node.items()))
        alias = body.get("alias", {})
        name, renamed = alias.get("aliasname", ""), strings(alias.get("colnames"))
        match kind:
            case "JoinExpr":
                self._join(body, name, renamed, scope)
            case "RangeVar":
                scope.items.append((name or body["relname"], _renamed(self._relation(body, scope), renamed)))
            case "RangeTableSample":
                self._from({"RangeVar": body["relation"]["RangeVar"]}, scope)
            case "RangeSubselect":
                inner = _Scope(scope, scope.common)
                scope.items.append((name, _renamed(self._query(body["subquery"], inner), renamed)))
            case _:
                self._function(body, name, renamed, scope)

    def _join(self, body: Node, name: str, renamed: list[str], scope: _Scope) -> None:
        before = len(scope.items)
        self._from(body["larg"], scope)
        self._from(body["rarg"], scope)
        if name:
            columns = [column for _, found in scope.items[before:] for column in found]
            if renamed:
                everything = _all_sources(columns)
                columns = [OutputColumn(column, everything) for column in renamed]
            scope.items[before:] = [(name, columns)]

    def _function(self, body: Node, name: str, renamed: list[str], scope: _Scope) -> None:
        """A function in FROM: whatever its columns are called, they are made of its arguments."""
        sources = self._expression([value for key, value in body.items() if key != "alias"], scope)
        names = {*renamed, name, _ANY}
        scope.items.append((name, [OutputColumn(column, sources) for column in names]))

    def _relation(self, body: Node, scope: _Scope) -> Output:
        schema, name = body.get("schemaname", ""), body["relname"]
        if not schema and name in scope.common:
            return scope.common[name]
        relation = self._relations.get((schema or CATALOG_SCHEMA, name))
        if relation is not None:
            return _own_columns(relation)
        if builtin_columns(schema or CATALOG_SCHEMA, name):
            raise Opaque
        if schema in ("", CATALOG_SCHEMA, INFORMATION_SCHEMA):
            return [OutputColumn(_ANY, _NOTHING)]
        raise Opaque

    # ------------------------------------------------------------ expressions

    def _expression(self, node: Any, scope: _Scope) -> Sources:
        """Everything that an expression is made of."""
        found: set[ColumnKey] = set()
        pending: list[Any] = [node]
        while pending:
            part = pending.pop()
            if isinstance(part, list):
                pending.extend(part)
            elif isinstance(part, dict):
                pending.extend(self._inside(part, scope, found))
        return frozenset(found)

    def _inside(self, node: Node, scope: _Scope, found: set[ColumnKey]) -> Iterator[Any]:
        for key in ("funcname", "name", "names"):
            if isinstance(node.get(key), list) and not self._unsafe.isdisjoint(strings(node[key])[-1:]):
                raise Opaque
        for kind, body in node.items():
            if kind == "ColumnRef":
                found |= _referred(body["fields"], scope)
            elif kind == "SelectStmt":
                inner = _Scope(scope, scope.common)
                found |= _all_sources(self._select(body, inner))
            elif isinstance(body, dict | list):
                yield body


_ANY: Final = ""
"""Stands for columns whose names are not known."""


def _all_sources(output: Iterable[OutputColumn]) -> Sources:
    return _NOTHING.union(*(column.sources for column in output))


def _own_columns(relation: Relation) -> Output:
    return [OutputColumn(column.name, frozenset({(relation.oid, column.name)}), True) for column in relation.columns]


def _renamed(output: Output, names: list[str]) -> Output:
    return [column._replace(name=names[place]) if place < len(names) else column for place, column in enumerate(output)]


def _united(left: Output, right: Output) -> Output:
    return [
        OutputColumn(
            here.name, here.sources | there.sources, here.copied and there.copied and here.sources == there.sources
        )
        for here, there in zip(left, right, strict=True)
    ]


def _referred(fields: list[Node], scope: _Scope) -> Sources:
    """What a reference is made of. Raises ``Opaque`` when nothing known has that name."""
    names = strings(fields)
    at_level = _rows_at_level if "A_Star" in fields[-1] else _at_level
    level: _Scope | None = scope
    while level is not None:
        found = at_level(names, level)
        if found is not None:
            return _all_sources(found)
        level = level.parent
    raise Opaque


def _is_copy(names: list[str], scope: _Scope) -> bool:
    """Whether a reference is one column, itself unchanged. Not when it is found further out, which is rare."""
    found = _at_level(names, scope) if names else None
    return found is not None and len(found) == 1 and found[0].copied and found[0].name == names[-1]


def _at_level(names: list[str], level: _Scope) -> Output | None:
    column = names[-1] if names else ""
    if len(names) > 1:
        items = [columns for name, columns in level.items if name == names[-2]]
    else:
        items = [columns for _, columns in level.items]
    matching = [found for columns in items for found in columns if found.name in (column, _ANY)]
    if any(found.name != _ANY for found in matching):
        return matching
    return [*matching, *(_rows_at_level(names, level) or ())] or None


def _rows_at_level(names: list[str], level: _Scope) -> Output | None:
    """The whole rows of the items that a name may mean, all without one."""
    rows = [columns for name, columns in level.items if not names or name in names]
    return [column for columns in rows for column in columns] if rows else None
