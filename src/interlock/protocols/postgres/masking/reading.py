"""Reads queries: finds every relation they read, puts masked ones in their masked form, and notes what uses them.

Relations are found wherever the grammar allows one, whether or not the construct is known here; names of columns are
followed only to let permitted comparisons through and to tell people what is masked. So a mistake about a column can
refuse a statement or mask too much, but never show a value.
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from interlock.core.catalogue import Relation, RelationKind
from interlock.core.masking import ColumnMask, MaskedColumn, MaskKind, Predicates
from interlock.protocols.postgres.masking import raw_outputs
from interlock.protocols.postgres.masking.aliases import alias_of, check_aliases, renamed
from interlock.protocols.postgres.masking.changes import Changes
from interlock.protocols.postgres.masking.edits import Edits
from interlock.protocols.postgres.masking.expressions import mask_expression
from interlock.protocols.postgres.masking.grouping import added_columns
from interlock.protocols.postgres.masking.index import MaskedField, MaskingIndex
from interlock.protocols.postgres.masking.levels import (
    SYSTEM_COLUMNS,
    Columns,
    CommonTables,
    Item,
    Joined,
    Level,
    Tree,
    definite,
    hiding,
    is_unknown,
    may_mean,
    visible_fields,
)
from interlock.protocols.postgres.masking.names import Names, Refused, Unknown
from interlock.protocols.postgres.masking.predicates import MAX_COMPARED, Comparison, read_comparison
from interlock.protocols.postgres.masking.quoting import qualified
from interlock.protocols.postgres.masking.raw_outputs import RawOutput
from interlock.protocols.postgres.masking.stars import is_star, output_names
from interlock.protocols.postgres.statements.nodes import Node, strings


class Use(enum.Enum):
    """What a statement does with a masked column."""

    COMPARED = "its real value is compared"
    CONDITION = "a condition, an order or a group depends on its mask"
    OUTPUT = "its mask is part of what a query gives"
    RETURNED = "a write returns it"


class Used(msgspec.Struct, frozen=True):
    """One use of one masked column. ``of_target``: of the relation that is written to."""

    field: MaskedField
    use: Use
    of_target: bool


Handler = Callable[["Reading", Node, Level | None, CommonTables | None], None]


class Reading:
    """The reading of one text: call ``query`` for each query in it, then ``finish``. All methods raise ``Refused``."""

    def __init__(self, index: MaskingIndex, names: Names, edits: Edits, writers: Mapping[str, Handler]) -> None:
        self.index = index
        self.names = names
        self.changes = Changes(edits)
        self.used: dict[Used, None] = {}
        self.context = Use.OUTPUT
        self.keeps_output = False
        """What a query gives is written somewhere."""
        self.returns_masked = False
        """The statement that is read has returned masks from a write, which a further write could take."""
        self.guarded = False
        """It writes where the target's own words could show a masked value."""
        self.compares = False
        """The target compares real values of masked columns."""
        self.array_parameters: set[int] = set()
        """Parameters that are arrays of constants compared with masked columns."""
        self.written_parameters: set[int] = set()
        """Parameters that become values of masked columns."""
        self.kept_parameters: set[int] = set()
        """Those of them that must not be NULL, since NULL is what stands for the value."""
        self.defines = False
        """What is read becomes the definition of something."""
        self.copies_in = False
        """COPY data goes into masked columns."""
        self.unknown = False
        """It names a column that the catalogue does not have, and that may be new."""
        self.takes_all = False
        """It takes all columns of a relation, also such as are new, and no description says which."""
        self.raw_outputs: tuple[RawOutput, ...] = ()
        """What the gateway masks itself; then the answer has ``width`` columns."""
        self.width = -1
        self._writers = writers
        self._compared = 0

    # ------------------------------------------------------------ queries

    def answer(self, tree: Node) -> None:
        """Read a SELECT whose rows go to the client as they come."""
        body = tree["SelectStmt"]
        level = self._select(body, None, None, shown=body.keys().isdisjoint(("larg", "intoClause")))
        outputs = raw_outputs.plan(body, level)
        if outputs is not None:
            self.raw_outputs, self.width = self.changes.show_raw(body["targetList"], outputs)

    def query(self, tree: Node, parent: Level | None = None, common: CommonTables | None = None) -> None:
        """Read a statement that is a query, standing where ``parent`` and ``common`` can be named."""
        kind, body = next(iter(tree.items()))
        if kind == "SelectStmt":
            self._select(body, parent, common)
        elif kind in self._writers:
            self._writers[kind](self, body, parent, common)
        else:
            raise Refused("The statement contains a query that is not known to be safe under a mask.")

    def _select(self, body: Node, parent: Level | None, common: CommonTables | None, *, shown: bool = False) -> Level:
        """``shown``: its columns go to the client as they are, so that a description says where they come from."""
        level = Level(parent, self.with_clause(body, parent, common))
        for branch in ("larg", "rarg"):
            if branch in body:
                self._select(body[branch], parent, level.common)
        self.from_clause(body.get("fromClause", []), level)
        self.keeps_output = self.keeps_output or "intoClause" in body
        targets = body.get("targetList", [])
        level.aliases = frozenset(target.get("ResTarget", {}).get("name", "") for target in targets)
        self.targets(targets, level, shown=shown)
        self.condition(body.get("whereClause"), level)
        for part in ("groupClause", "havingClause", "windowClause", "sortClause", "distinctClause"):
            level.names_outputs = part in _NAMING_OUTPUTS
            self.visit_as(Use.CONDITION, body.get(part), level)
        level.names_outputs = False
        for part in ("valuesLists", "limitOffset", "limitCount"):
            self.visit(body.get(part), level)
        added = added_columns(body, level)
        if added:
            self.changes.group_by(body["groupClause"], added)
        for clause in body.get("lockingClause", []):
            self.changes.lock(clause, level)
        return level

    def with_clause(self, body: Node, parent: Level | None, common: CommonTables | None) -> CommonTables | None:
        """Read the tables of a WITH clause; what is visible behind it."""
        clause = body.get("withClause")
        if not clause:
            return common
        tables = [node["CommonTableExpr"] for node in clause.get("ctes", [])]
        columns = [_common_columns(table) for table in tables]
        whole = CommonTables([table.get("ctename", "") for table in tables], columns, len(tables), common)
        for position, table in enumerate(tables):
            seen = whole if clause.get("recursive") else whole.before(position)
            self.query(table["ctequery"], parent, seen)
            columns[position] = _common_columns(table)
        return whole

    def targets(self, targets: list[Node], level: Level, *, shown: bool) -> None:
        """A target list."""
        for target in list(targets):
            value = target.get("ResTarget", {}).get("val", {})
            self.visit(value, level)
            if is_star(value):
                self.takes_all = self.takes_all or not shown
                self.changes.star(targets, target, level)

    # ------------------------------------------------------------ FROM

    def from_clause(self, nodes: list[Node], level: Level) -> None:
        for node in nodes:
            level.trees.append(self._from_item(node, level))

    def _from_item(self, node: Node, level: Level) -> Tree:
        kind, body = next(iter(node.items()))
        match kind:
            case "RangeVar":
                return self._relation(node, body, level)
            case "RangeTableSample":
                self.visit([body.get("args"), body.get("repeatable")], Level(level.parent, level.common))
                return self._relation(node, body["relation"]["RangeVar"], level)
            case "JoinExpr":
                return self._join(body, level)
            case "RangeSubselect":
                self.query(body["subquery"], level if body.get("lateral") else level.parent, level.common)
                columns = output_names(body["subquery"])
            case _:
                self.visit({key: value for key, value in body.items() if key != "alias"}, level)
                columns = None
        return self._add(level, Item(alias_of(body), renamed(columns, body)))

    def _add(self, level: Level, item: Item) -> Item:
        level.items.append(item)
        return item

    def _relation(self, node: Node, body: Node, level: Level) -> Item:
        common = level.common.find(body["relname"]) if level.common and "schemaname" not in body else None
        if common is not None:
            return self._add(level, Item(alias_of(body) or body["relname"], renamed(common[0], body)))
        relation, must_qualify = self.names.resolve(body)
        if relation is None:
            return self._add(level, Item(alias_of(body) or body["relname"], renamed(None, body)))
        item = self.item_of(relation, body)
        if item.fields and self.defines:
            raise Refused(_misplaced(relation))
        if item.fields:
            self.changes.source(node, item)
            self._refuse_shifted_names(body, item)
        elif must_qualify:
            self.changes.qualify(body, relation)
        return self._add(level, item)

    def item_of(self, relation: Relation, body: Node, *, target: bool = False) -> Item:
        """A relation where the RangeVar with this body names it."""
        if self.index.runs_casts(relation):
            raise Refused(f"{relation.name} has values that run code of this database when they are cast.")
        self._note_view(relation)
        check_aliases(relation, body)
        columns = renamed(tuple(column.name for column in relation.columns), body) or ()
        alias = alias_of(body)
        fields = visible_fields(self.index, relation, columns)
        schema = "" if alias else relation.schema
        return Item(alias or relation.name, columns, fields, schema=schema, relation=relation, target=target)

    def _note_view(self, relation: Relation) -> None:
        """A view may compute with real values, and fail at one."""
        if relation.kind is RelationKind.VIEW and self.index.is_guarded(relation):
            self.compares = True
            self.guarded = self.guarded or self.index.is_opaque(relation)

    def _refuse_shifted_names(self, body: Node, item: Item) -> None:
        forbidden = any(field.mask.kind is MaskKind.FORBID for field in item.fields.values())
        if forbidden and "colnames" in body.get("alias", {}):
            raise Refused(
                f"Leave out the list of column names behind {item.qualifier}: not all its columns may be seen."
            )

    def _join(self, body: Node, level: Level) -> Joined:
        before = len(level.items)
        left = self._from_item(body["larg"], level)
        middle = len(level.items)
        right = self._from_item(body["rarg"], level)
        using = strings(body.get("usingClause"))
        for side in (level.items[before:middle], level.items[middle:]):
            self.named(side, using)
        self._refuse_merged(body, level.items[before:middle], level.items[middle:], using)
        if body.get("isNatural"):
            self.changes.match_by_name(level.items[before:middle], level.items[middle:])
        self.condition(body.get("quals"), _inside(level, before))
        alias = alias_of(body)
        if alias:
            self._cover(level, before, alias)
        if name := body.get("join_using_alias", {}).get("aliasname"):
            self._add(level, Item(name, tuple(using)))
        return Joined(left, right, None if body.get("isNatural") else tuple(using), alias)

    def _cover(self, level: Level, before: int, alias: str) -> None:
        """A join's alias hides the items in it; their masked columns are still the alias's."""
        covered = level.items[before:]
        self.changes.cover(covered)
        fields = {name: field for item in covered for name, field in item.fields.items()}
        level.items[before:] = [Item(alias, None, fields)]

    def _refuse_merged(self, body: Node, left: list[Item], right: list[Item], using: list[str]) -> None:
        """Columns that a join compares without naming them: masks are all alike, so that everything would match."""
        natural = bool(body.get("isNatural"))
        for here, there in ((left, right), (right, left)):
            for item in here:
                for name, field in item.fields.items():
                    shared = natural and any(other.columns is None or name in other.columns for other in there)
                    if name in using or shared:
                        raise Refused(_joined(field, "Name the columns to join on with ON."))

    # ------------------------------------------------------------ conditions

    def condition(self, node: Node | None, level: Level) -> None:
        """WHERE or ON: its comparisons may see real values as far as policy permits."""
        if not node:
            return
        boolean = node.get("BoolExpr")
        if boolean is not None:
            for argument in boolean.get("args", []):
                self.condition(argument, level)
            return
        comparison = read_comparison(node, level)
        if comparison is None:
            self.visit_as(Use.CONDITION, node, level)
        elif comparison.permitted:
            self._compare(comparison, level)
        else:
            self._refuse_comparison(comparison, node)
            self.visit_as(Use.CONDITION, node, level)

    def _compare(self, comparison: Comparison, level: Level) -> None:
        self._compared += comparison.compared
        if self._compared > MAX_COMPARED:
            raise Refused(
                f"A text may compare masked columns with {MAX_COMPARED} constants at most: ask for fewer at a time."
            )
        self.array_parameters.update(comparison.arrays)
        self.compares = True
        for reference in comparison.references:
            self.use(reference.item, reference.field, Use.COMPARED)
            if not reference.item.target:
                self.changes.show_real(reference)
            elif reference.is_null_test:
                names = strings(reference.node["ColumnRef"]["fields"])
                self.changes.edit_column(reference.node, reference.shown(qualified(*names)))

    def _refuse_comparison(self, comparison: Comparison, node: Node) -> None:
        field = comparison.references[0].field
        column = f"{field.relation.name}.{field.column.name}"
        if any(reference.field.mask.predicates is Predicates.DENY for reference in comparison.references):
            raise Refused(f"{column} is masked and may not be compared: leave the condition on it out.")
        equal = strings(node.get("A_Expr", {}).get("name"))[-1:] == ["="]
        if comparison.joins and equal:
            raise Refused(_joined(field, "It may be compared with constants and parameters only."))
        if any(reference.item.target for reference in comparison.references):
            raise Refused(
                f"{column} is masked: which rows are written may depend only on whether it equals a constant."
            )

    # ------------------------------------------------------------ expressions

    def visit_as(self, use: Use, node: Any, level: Level) -> None:
        """As ``visit``, for a part of the statement where columns have another use."""
        before, self.context = self.context, use
        self.visit(node, level)
        self.context = before

    def visit(self, node: Any, level: Level) -> None:
        """Read any part of a tree that can hold expressions."""
        if isinstance(node, list):
            for item in node:
                self.visit(item, level)
        elif isinstance(node, dict):
            if "relname" in node:
                self._stray_relation(node)
                return
            for kind, body in tuple(node.items()):
                self._visit_node(kind, body, node, level)

    def _visit_node(self, kind: str, body: Any, node: Node, level: Level) -> None:
        if kind == "ColumnRef":
            self._column(node, body, level)
        elif kind == "A_Indirection":
            self._field(body, level)
            self.visit(body, level)
        elif kind in _QUERIES:
            self.query({kind: body}, level, level.common)
        elif isinstance(body, dict | list):
            self.visit(body, level)

    def _stray_relation(self, body: Node) -> None:
        try:
            relation, _ = self.names.resolve(body)
        except Unknown:
            return  # it is about to be made
        if relation is not None and self.index.holds_masked(relation):
            raise Refused(_misplaced(relation))

    def _column(self, node: Node, body: Node, level: Level) -> None:
        fields = body.get("fields", [])
        names = ["*" if "A_Star" in field else field["String"].get("sval", "") for field in fields]
        if names[-1] in SYSTEM_COLUMNS:
            self._system_column(node, names, level)
        self.unknown = self.unknown or is_unknown(level, names)
        if len(names) == 1:
            self._write_table(node, names[0], level)
        for item, columns in may_mean(level, names):
            for column in columns:
                self.use(item, item.fields[column], self.context)
            if columns and item.target and self.context is Use.RETURNED:
                self._return_masked(node, names, level)
                return
            if len(names) > 2 and item.schema and not item.target and item.relation and item.fields:
                self.changes.shorten(node, names)

    def _field(self, body: Node, level: Level) -> None:
        """``(t).a``, which is a column where ``t`` is a relation."""
        names = strings(body.get("arg", {}).get("ColumnRef", {}).get("fields"))
        field = strings(body.get("indirection"))[:1]
        if names and field:
            self.unknown = self.unknown or is_unknown(level, [names[-1], *field])

    def named(self, items: list[Item], columns: Iterable[str]) -> None:
        """Columns that the statement names in a list, each of one of the items."""
        if not all(any(item.lists(column) for item in items) for column in columns):
            self.unknown = True

    def _write_table(self, node: Node, name: str, level: Level) -> None:
        """A bare name that would mean a masked column of a write's target, were its own table to lose the column."""
        hidden_by = hiding(level, name)
        if not hidden_by:
            return
        if len(hidden_by) > 1 or not hidden_by[0].qualifier or name in level.aliases:
            raise Refused(f"Write {name} with its table: what is written has a masked column of that name.")
        self.changes.edit_column(node, qualified(hidden_by[0].qualifier, name))

    def _system_column(self, node: Node, names: list[str], level: Level) -> None:
        """``ctid`` and the like, which only the real relation has."""
        items = level.named(names[-2]) if len(names) > 1 else level.items
        if len(items) != 1 or not items[0].fields or items[0].target or items[0].has(names[-1]):
            return
        (item,) = items
        if item.relation is None or item.relation.kind in (RelationKind.VIEW, RelationKind.MATERIALIZED_VIEW):
            return
        self.changes.show_system_column(node, item, names[-1], has_qualifier=len(names) > 1)

    def _return_masked(self, node: Node, names: list[str], level: Level) -> None:
        """A masked column of what was written, inside an expression of RETURNING."""
        found = definite(level, names)
        if found is None:
            raise Refused("Name the columns to return one by one, each with its table: some of them are masked.")
        field = found[1]
        self.changes.edit_column(node, mask_expression(field.column, field.mask.kind, qualified(*names), field.paths))

    def use(self, item: Item, field: MaskedField, use: Use) -> None:
        """Note a use of a masked column."""
        if field.mask.kind is MaskKind.FORBID:
            rules = ", ".join(field.mask.rules)
            raise Refused(
                f"{field.relation.name}.{field.column.name} may not be revealed (rule {rules}): "
                "name the columns you need, without it."
            )
        self.used[Used(field, use, item.target)] = None
        self.returns_masked = self.returns_masked or use is Use.RETURNED

    def arguments(self, node: Any) -> None:
        """Expressions that stand outside of any query; what they read is part of no answer."""
        self.visit(node, Level())

    def copied(self, item: Item, column: str) -> ColumnMask:
        """The mask of a column that COPY gives out."""
        field = item.fields[column]
        self.used[Used(field, Use.OUTPUT, False)] = None
        return field.mask

    # ------------------------------------------------------------ the end

    def finish(self) -> None:
        """Check what belongs to the whole text, and make the changes."""
        if self.keeps_output:
            self._refuse_laundering()
        self.changes.make()

    def _refuse_laundering(self) -> None:
        for used in self.used:
            if used.use is Use.OUTPUT:
                column = f"{used.field.relation.name}.{used.field.column.name}"
                raise Refused(
                    f"{column} is masked and may not be copied to another place: name the columns to copy, without it."
                )

    def columns_judged_by_mask(self) -> tuple[str, ...]:
        """The columns of which a condition, an order or a group sees the mask."""
        fields = dict.fromkeys(used.field for used in self.used if used.use is Use.CONDITION)
        return tuple(f"{field.relation.name}.{field.column.name}" for field in fields)

    def outputs(self) -> int:
        """How many masked columns the text gives out."""
        shown = {used.field for used in self.used if used.use in (Use.OUTPUT, Use.RETURNED)}
        return max(0, len(shown) - len(self.raw_outputs))

    def masked_columns(self) -> tuple[MaskedColumn, ...]:
        """For the record: the masked columns that the text uses."""
        fields = dict.fromkeys(used.field for used in self.used)
        return tuple(
            MaskedColumn(
                field.relation.schema, field.relation.name, field.column.name, field.mask.kind.word, field.mask.rules
            )
            for field in fields
        )


_QUERIES: Final = frozenset(("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"))
_NAMING_OUTPUTS: Final = frozenset(("groupClause", "sortClause", "distinctClause"))


def _inside(level: Level, first: int) -> Level:
    """What ON can name: the items of its own join, and what is around the query."""
    inside = Level(level.parent, level.common)
    inside.items = level.items[first:]
    return inside


def _joined(field: MaskedField, advice: str) -> str:
    return f"{field.relation.name}.{field.column.name} is masked and cannot be joined on. {advice}"


def _misplaced(relation: Relation) -> str:
    return f"{relation.name} has masked columns and cannot be used in this kind of statement under a mask."


def _common_columns(table: Node) -> Columns:
    names = strings(table.get("aliascolnames"))
    columns = output_names(table.get("ctequery", {}))
    return None if columns is None else (*names, *columns[len(names) :])
