"""What must change in a text, noted while it is read and made when all of it is known.

A relation's form depends on what the rest of its query does with it: only at the end it is clear where the real one has
to stand hidden beside the masked one, and what must not show it then.
"""

from interlock.core.catalogue import Relation
from interlock.protocols.postgres.masking import raw_outputs
from interlock.protocols.postgres.masking.edits import Edits, parse_expression, parse_from_item, replace
from interlock.protocols.postgres.masking.levels import HIDDEN_PREFIX, Item, Level
from interlock.protocols.postgres.masking.names import Refused
from interlock.protocols.postgres.masking.predicates import Reference
from interlock.protocols.postgres.masking.quoting import identifier, qualified
from interlock.protocols.postgres.masking.raw_outputs import Output, RawOutput
from interlock.protocols.postgres.masking.sources import MaskedSource, hidden_reference, name_extent
from interlock.protocols.postgres.masking.stars import expanded, is_star
from interlock.protocols.postgres.statements.nodes import Node


class Changes:
    """The changes to one text. Methods raise ``Refused``."""

    def __init__(self, edits: Edits) -> None:
        self.edits = edits
        self._hidden = 0
        self._sources: list[MaskedSource] = []
        self._references: list[Reference] = []
        self._system: list[tuple[Node, Item, str]] = []
        self._stars: list[tuple[list[Node], Node, Level]] = []
        self._locks: list[tuple[Node, Level]] = []
        self._shortened: dict[int, tuple[Node, list[str]]] = {}
        self._qualified: list[tuple[Node, Relation]] = []
        self._covered: list[Item] = []
        self._matched: list[tuple[list[Item], list[Item]]] = []

    # ------------------------------------------------------------ noted

    def source(self, node: Node, item: Item) -> None:
        """A masked relation in a FROM list."""
        self._sources.append(MaskedSource(node, item))

    def qualify(self, body: Node, relation: Relation) -> None:
        """Write a relation's schema, so that it means what was decided about."""
        self._qualified.append((body, relation))

    def shorten(self, node: Node, names: list[str]) -> None:
        """A ColumnRef with a schema, which a subquery's columns do not have."""
        self._shortened[id(node)] = (node, names)

    def star(self, targets: list[Node], target: Node, level: Level) -> None:
        """A star in a target list."""
        self._stars.append((targets, target, level))

    def lock(self, clause: Node, level: Level) -> None:
        """A LockingClause."""
        self._locks.append((clause["LockingClause"], level))

    def cover(self, items: list[Item]) -> None:
        """Items whose names a join's alias hides, and all of whose columns are the alias's."""
        self._covered += items

    def match_by_name(self, left: list[Item], right: list[Item]) -> None:
        """The sides of a NATURAL JOIN, which matches what stands hidden as well."""
        self._matched.append((left, right))

    def show_real(self, reference: Reference) -> None:
        """A reference that may see the real value."""
        self.stand_beside(reference.item)
        self._references.append(reference)

    def show_system_column(self, node: Node, item: Item, name: str, *, has_qualifier: bool) -> None:
        """A reference to a column that only the real relation has."""
        self.stand_beside(item)
        item.system_columns.add(name)
        if has_qualifier:
            self._system.append((node, item, name))

    def stand_beside(self, item: Item) -> None:
        """Have the real relation stand hidden beside its masked form."""
        if not item.hidden:
            self._hidden += 1
            item.hidden = f"{HIDDEN_PREFIX}_{self._hidden}"

    # ------------------------------------------------------------ made at once

    def edit_column(self, node: Node, text: str, alias: str = "") -> None:
        """Put an expression in the place of a ColumnRef; as a target of its own it may need an alias."""
        self._shortened.pop(id(node), None)
        tokens = self.edits.tokens
        body = node["ColumnRef"]
        first = tokens.at(body["location"])
        behind = tokens.behind_name(first, len(body["fields"]))
        self.edits.splice(first, behind, text)
        if alias:
            while tokens.word(first - 1) == "(" and tokens.word(behind) == ")":
                first, behind = first - 1, behind + 1
            self.edits.append(behind, f"AS {identifier(alias)}")
        replace(node, parse_expression(text))

    def edit_targets(self, targets: list[Node], target: Node, text: str, nodes: list[Node]) -> None:
        """Put several targets in the place of a star."""
        tokens, star = self.edits.tokens, target["ResTarget"]["val"]["ColumnRef"]
        self._shortened.pop(id(target["ResTarget"]["val"]), None)
        self._stars = [other for other in self._stars if other[1] is not target]
        first = tokens.at(star["location"])
        self.edits.splice(first, tokens.behind_name(first, len(star["fields"])), text)
        position = next(place for place, node in enumerate(targets) if node is target)
        targets[position : position + 1] = nodes

    def show_raw(self, targets: list[Node], outputs: list[list[Output]]) -> tuple[tuple[RawOutput, ...], int]:
        """Give out columns as they are that the gateway masks; where they are, and how many columns there are."""
        found: list[RawOutput] = []
        width = 0
        for target, columns in zip(list(targets), outputs, strict=True):
            hidden: dict[int, str] = {}
            for place, column in enumerate(columns):
                if column.item is not None and column.field is not None:
                    self.stand_beside(column.item)
                    hidden[place] = hidden_reference(column.item, column.field)
                    found.append(RawOutput(width + place, column.field.mask.kind))
            if hidden or is_star(target["ResTarget"]["val"]):  # how many columns a star gives must not change
                self._show_target(targets, target, columns, hidden)
            width += len(columns)
        return tuple(found), width

    def _show_target(self, targets: list[Node], target: Node, columns: list[Output], hidden: dict[int, str]) -> None:
        body = target["ResTarget"]
        if is_star(body["val"]):
            self.edit_targets(targets, target, *raw_outputs.replacement(columns, hidden))
            return
        named = "name" in body
        self.edit_column(body["val"], hidden[0], "" if named else columns[0].name)
        if not named:
            body["name"] = columns[0].name

    def group_by(self, groups: list[Node], columns: list[str]) -> None:
        """Put columns in front of a GROUP BY list that begins with a column or a number."""
        tokens = self.edits.tokens
        body = next(iter(groups[0].values()))
        first = tokens.at(body.get("location", -1))
        if tokens.word(first - 1) not in ("by", "distinct", "all"):
            raise Refused("Begin the GROUP BY with a column: the table's other columns have to be added to it.")
        self.edits.splice(first, first, ", ".join(columns) + ",")
        groups[0:0] = [parse_expression(column) for column in columns]

    # ------------------------------------------------------------ made at the end

    def make(self) -> None:
        """Make what was noted."""
        if any(item.hidden for item in self._covered):
            raise Refused("Leave out the alias of the join: a comparison in it needs a masked column.")
        if any(all(any(item.hidden for item in side) for side in sides) for sides in self._matched):
            raise Refused("Name the columns to join on with ON: both sides of the join need masked columns.")
        for targets, target, level in list(self._stars):
            self._edit_star(targets, target, level)
        for clause, level in self._locks:
            self._edit_lock(clause, level)
        for reference in self._references:
            self.edit_column(reference.node, reference.shown(hidden_reference(reference.item, reference.field)))
        for node, item, name in self._system:
            self.edit_column(node, qualified(item.hidden, name))
        for node, names in list(self._shortened.values()):
            column = "*" if names[-1] == "*" else identifier(names[-1])
            self.edit_column(node, f"{identifier(names[-2])}.{column}")
        for source in self._sources:
            source.edit(self.edits)
        for body, relation in self._qualified:
            self._edit_name(body, relation)

    def _edit_star(self, targets: list[Node], target: Node, level: Level) -> None:
        """A bare star must not show what stands hidden."""
        fields = target["ResTarget"]["val"]["ColumnRef"]["fields"]
        if len(fields) == 1 and any(item.hidden for item in level.items):
            self.edit_targets(targets, target, *expanded(level))

    def _edit_lock(self, clause: Node, level: Level) -> None:
        """FOR UPDATE OF a masked relation that has the real one beside it."""
        for locked in clause.get("lockedRels", []):
            body = locked["RangeVar"]
            item = next((item for item in level.items if item.qualifier == body["relname"]), None)
            if item is None or not item.hidden:
                continue
            first = self.edits.tokens.at(body["location"])
            self.edits.splice(first, self.edits.tokens.behind_identifier(first), identifier(item.hidden))
            replace(locked, parse_from_item(identifier(item.hidden)))

    def _edit_name(self, body: Node, relation: Relation) -> None:
        first, behind = name_extent(body, self.edits.tokens)
        only = "" if body.get("inh") else "ONLY "
        self.edits.splice(first, behind, only + qualified(relation.schema, relation.name))
        body["schemaname"] = relation.schema
