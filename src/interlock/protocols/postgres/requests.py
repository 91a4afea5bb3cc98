"""What the client asks, as operations: one group of messages up to a Sync, a Flush or a simple query.

A group is decided as a whole before any of it is forwarded. Each message of a group brings the entry that will wait
for its answer, and each operation the place in the group where a denial would cut it off.
"""

from typing import Final, Generic

from interlock.core.operation import Meaning, Operation, Phase
from interlock.protocols.postgres.names import NameTable, Value
from interlock.protocols.postgres.outstanding import Awaited, Change, Entry
from interlock.protocols.postgres.scope import UNKNOWN_NAME, SchemaScope, combine, resolve
from interlock.protocols.postgres.statements.interpretation import Definition as SqlDefinition
from interlock.protocols.postgres.statements.interpretation import Interpretation, NameSpace, SearchPath

MAX_NAMES: Final = 20_000


class Prepared:
    """A prepared statement, from Parse or from SQL's PREPARE."""

    def __init__(self, interpretation: Interpretation, text: bytes, segment: int) -> None:
        self.interpretation = interpretation
        self.text = text
        self.segment = segment
        self.asked_in: Group | None = None
        """The group whose operation ``asked_at`` asks for its Parse, until an Execute takes that over."""
        self.asked_at = 0
        self.asked_by: Entry | None = None


class Portal:
    """A portal, from Bind or from SQL's DECLARE: a statement with its parameters.

    ``declared`` portals live until they are closed; the others end with the transaction at the latest.
    """

    def __init__(self, prepared: tuple[Prepared, ...], parameters: bytes, segment: int, declared: bool) -> None:
        self.prepared = prepared
        self.parameters = parameters
        self.segment = segment
        self.declared = declared


class Naming(Change, Generic[Value]):
    """A name gets a new meaning in a table."""

    def __init__(self, table: NameTable[Value], name: str, value: Value) -> None:
        self._table = table
        self._name = name
        self._value = value
        table.propose(name, value)

    def taken(self, idle: bool) -> None:
        self._table.confirm(self._name, self._value)

    def refused(self) -> None:
        self._table.withdraw(self._name, self._value)


class Forgetting(Change):
    """Names lose the meanings that they have now."""

    def __init__(self, names: "SessionNames", space: NameSpace, name: str) -> None:
        self._names = names
        self._space = space
        self._name = name
        self._prepared = names.prepared.known(name) if space is NameSpace.PREPARED else ()
        self._portals = names.portals.known(name) if space is NameSpace.PORTAL else ()

    def taken(self, idle: bool) -> None:
        for prepared in self._prepared:
            self._names.prepared.withdraw(self._name, prepared)
        for portal in self._portals:
            self._names.portals.withdraw(self._name, portal)

    def refused(self) -> None:
        return


class PathChange(Change):
    """The search path changes; for good once the change is committed."""

    def __init__(self, scope: SchemaScope, path: SearchPath) -> None:
        self._scope = scope
        self._path = path
        scope.may_become(path)

    def taken(self, idle: bool) -> None:
        if idle and not self._path.local:
            self._scope.became(self._path)

    def refused(self) -> None:
        return


class SessionNames:
    """Both name spaces of a session."""

    def __init__(self) -> None:
        self.prepared: NameTable[Prepared] = NameTable(MAX_NAMES)
        self.portals: NameTable[Portal] = NameTable(MAX_NAMES)

    def end_transaction(self) -> None:
        """The target is idle and nothing is on its way: portals made by Bind are gone."""
        if len(self.portals) <= 1:
            return  # most often the unnamed portal, which the next Bind replaces
        for name in self.portals.names():
            for portal in self.portals.known(name):
                if not portal.declared:
                    self.portals.withdraw(name, portal)


class Group:
    """Messages that are decided together."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.entries: list[Entry | None] = []
        self.operations: list[Operation] = []
        self.cuts: list[int] = []
        self.size_bytes = 0
        self.copy_in: Entry | None = None

    def add(self, message: bytes, entry: Entry | None) -> None:
        self.messages.append(message)
        self.entries.append(entry)
        self.size_bytes += len(message)
        if entry is not None and entry.copy_in:
            self.copy_in = entry

    def ask(self, operation: Operation) -> int:
        """Add an operation that a denial cuts off at the next message. Its index."""
        self.operations.append(operation)
        self.cuts.append(len(self.messages))
        return len(self.operations) - 1


class Requests:
    """Turns messages into entries and operations, keeping track of names and of the search path."""

    def __init__(self, names: SessionNames, scope: SchemaScope) -> None:
        self._names = names
        self._scope = scope
        self._numbers = 0
        self.segment = 1

    def query(self, group: Group, interpretation: Interpretation, text: bytes) -> Entry:
        """A simple query: the operation and the entry for it."""
        operation = self._operation(self._meaning(interpretation), text, b"", Phase.EXECUTE)
        group.ask(operation)
        entry = Entry(Awaited.READY_AFTER_QUERY, operation.number, copy_in=_copies_in(interpretation))
        entry.changes = self._changes(interpretation)
        return entry

    def parse(self, group: Group, name: str, interpretation: Interpretation, text: bytes) -> Entry:
        """A Parse: asks for permission on its own unless an Execute of the same group takes that over."""
        prepared = Prepared(interpretation, text, self.segment)
        operation = self._operation(self._meaning(interpretation), text, b"", Phase.PREPARE)
        entry = Entry(Awaited.PARSE_COMPLETE, operation.number)
        prepared.asked_in = group
        prepared.asked_at = group.ask(operation)
        prepared.asked_by = entry
        entry.changes = [(0, Naming(self._names.prepared, name, prepared))]
        return entry

    def bind(self, portal_name: str, statement_name: str, parameters: bytes) -> Entry:
        """A Bind: executes nothing."""
        prepared = self._names.prepared.candidates(statement_name, self.segment)
        portal = Portal(prepared, parameters, self.segment, declared=False)
        entry = Entry(Awaited.BIND_COMPLETE)
        entry.changes = [(0, Naming(self._names.portals, portal_name, portal))]
        return entry

    def close(self, space: NameSpace, name: str) -> Entry:
        entry = Entry(Awaited.CLOSE_COMPLETE)
        entry.changes = [(0, Forgetting(self._names, space, name))]
        return entry

    def execute(self, group: Group, portal_name: str) -> Entry:
        """An Execute of everything that the portal may be."""
        portals = self._names.portals.candidates(portal_name, self.segment)
        prepared = tuple(statement for portal in portals for statement in portal.prepared)
        parameters = portals[-1].parameters if portals else b""
        if len(prepared) == 1:
            operation = self._execution_of(group, prepared[0], parameters)
        else:
            meanings = tuple(self._meaning(one.interpretation) for one in prepared) or (UNKNOWN_NAME,)
            text = b"\n-- or --\n".join(one.text for one in prepared)
            operation = self._operation(combine(meanings), text, parameters, Phase.EXECUTE)
            group.ask(operation)
        copies = any(_copies_in(one.interpretation) for one in prepared)
        entry = Entry(Awaited.EXECUTION, operation.number, copy_in=copies)
        entry.changes = [change for one in prepared for change in self._changes(one.interpretation)]
        return entry

    def _execution_of(self, group: Group, prepared: Prepared, parameters: bytes) -> Operation:
        meaning = self._meaning(prepared.interpretation)
        if prepared.asked_in is group:
            number = group.operations[prepared.asked_at].number
            operation = Operation(number, meaning, prepared.text, parameters, Phase.EXECUTE)
            group.operations[prepared.asked_at] = operation
            prepared.asked_in = None
            if prepared.asked_by is not None:
                prepared.asked_by.reports = False
            return operation
        operation = self._operation(meaning, prepared.text, parameters, Phase.EXECUTE)
        group.ask(operation)
        return operation

    def refused(self, group: Group, meaning: Meaning, text: bytes) -> Operation:
        """An operation that the gateway itself will not carry; asked all the same, so that it is recorded."""
        operation = self._operation(meaning, text, b"", Phase.EXECUTE)
        group.ask(operation)
        return operation

    def _operation(self, meaning: Meaning, text: bytes, parameters: bytes, phase: Phase) -> Operation:
        self._numbers += 1
        return Operation(self._numbers, meaning, text, parameters, phase)

    def _meaning(self, interpretation: Interpretation) -> Meaning:
        used = [name for statement in interpretation.statements for name in statement.uses]
        meaning = interpretation.meaning
        if used:
            parts = [meaning]
            for name in used:
                parts += self._used_meanings(name.space, name.name)
            meaning = combine(tuple(parts))
        return resolve(meaning, self._scope.schemas)

    def _used_meanings(self, space: NameSpace, name: str) -> list[Meaning]:
        if space is NameSpace.PREPARED:
            prepared = self._names.prepared.candidates(name, self.segment)
        else:
            portals = self._names.portals.candidates(name, self.segment)
            prepared = tuple(one for portal in portals for one in portal.prepared)
        return [one.interpretation.meaning for one in prepared] or [UNKNOWN_NAME]

    def _changes(self, interpretation: Interpretation) -> list[tuple[int, Change]]:
        changes: list[tuple[int, Change]] = []
        for index, statement in enumerate(interpretation.statements):
            if statement.defines is not None:
                changes.append((index, self._sql_definition(statement.defines)))
            changes += [(index, Forgetting(self._names, name.space, name.name)) for name in statement.forgets]
            changes += [(index, change) for space in statement.forgets_all for change in self._forget_all(space)]
            if statement.search_path is not None:
                changes.append((index, PathChange(self._scope, statement.search_path)))
        return changes

    def _sql_definition(self, definition: SqlDefinition) -> Change:
        body = Interpretation(definition.statement.meaning, (definition.statement,))
        prepared = Prepared(body, b"", self.segment)
        if definition.name.space is NameSpace.PREPARED:
            return Naming(self._names.prepared, definition.name.name, prepared)
        portal = Portal((prepared,), b"", self.segment, declared=True)
        return Naming(self._names.portals, definition.name.name, portal)

    def _forget_all(self, space: NameSpace) -> list[Change]:
        names = self._names.prepared.names() if space is NameSpace.PREPARED else self._names.portals.names()
        return [Forgetting(self._names, space, name) for name in names]


def _copies_in(interpretation: Interpretation) -> bool:
    return any(statement.copy_in for statement in interpretation.statements)
