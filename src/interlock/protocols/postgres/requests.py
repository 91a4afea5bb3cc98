"""What the client asks, as operations: one group of messages up to a Sync, a Flush or a simple query.

A group is decided as a whole before any of it is forwarded. Each message of a group brings the entry that will wait
for its answer, and each operation the place in the group where a denial would cut it off.
"""

from typing import Final, Generic

from interlock.core.operation import Meaning, Operation, Phase
from interlock.protocols.postgres.names import NameTable, Value
from interlock.protocols.postgres.outstanding import Awaited, Change, Entry, PossibleChange
from interlock.protocols.postgres.scope import UNKNOWN_NAME, SchemaScope, combine, resolve
from interlock.protocols.postgres.statements.interpretation import Definition as SqlDefinition
from interlock.protocols.postgres.statements.interpretation import Interpretation, Name, NameSpace, SearchPath

MAX_NAMES: Final = 20_000
MAX_NAMED_BYTES: Final = 1 << 26
"""Texts of prepared statements, and parameters of portals, that a session keeps."""
_MAX_FOLLOWED: Final = 64


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

    @property
    def size_bytes(self) -> int:
        return len(self.text)

    def superseded(self) -> None:
        """Keeps its text: it may be the one that stays."""


class Portal:
    """A portal, from Bind or from SQL's DECLARE: a statement with its parameters.

    ``declared`` portals live until they are closed; the others end with the transaction at the latest.
    """

    def __init__(self, prepared: tuple[Prepared, ...], parameters: bytes, segment: int, declared: bool) -> None:
        self.prepared = prepared
        self.parameters = parameters
        self.segment = segment
        self.declared = declared

    @property
    def size_bytes(self) -> int:
        return len(self.parameters)

    def superseded(self) -> None:
        """Parameters are shown of the newest portal only, and may be large."""
        self.parameters = b""


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


class Forgetting(Change, Generic[Value]):
    """A name, or every one but the unnamed, loses the meanings that it has now.

    PostgreSQL keeps the unnamed statement apart: DEALLOCATE ALL and DISCARD ALL leave it alone.
    """

    def __init__(self, table: NameTable[Value], name: str | None) -> None:
        self._table = table
        self._name = name
        self._mark = table.newest

    def taken(self, idle: bool) -> None:
        if self._name is None:
            self._table.forget_named(self._mark)
        else:
            self._table.forget(self._name, self._mark)


class PathChange(Change):
    """The search path changes. Only of a statement that was ``alone`` it is known that nothing rolled it back."""

    def __init__(self, scope: SchemaScope, path: SearchPath, alone: bool) -> None:
        self._scope = scope
        self._path = path
        self._alone = alone
        scope.may_become(path)

    def taken(self, idle: bool) -> None:
        if idle and self._alone and not self._path.local:
            self._scope.became(self._path)
        else:
            self._scope.changed(self._path)

    def perhaps_taken(self) -> None:
        self._scope.changed(self._path)


class SessionNames:
    """Both name spaces of a session."""

    def __init__(self) -> None:
        self.prepared: NameTable[Prepared] = NameTable(MAX_NAMES, MAX_NAMED_BYTES)
        self.portals: NameTable[Portal] = NameTable(MAX_NAMES, MAX_NAMED_BYTES)

    def end_transaction(self) -> None:
        """The target is idle and nothing is on its way: portals made by Bind are gone."""
        if len(self.portals):
            self.portals.keep(lambda portal: portal.declared)

    def forgetting(self, space: NameSpace, name: str | None) -> Change:
        """The change that makes a name, or all that have one, mean nothing."""
        if space is NameSpace.PREPARED:
            return Forgetting(self.prepared, name)
        return Forgetting(self.portals, name)


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
        paths = self._path_changes(interpretation, alone=len(interpretation.statements) == 1)
        operation = self._operation(self._meaning(interpretation), text, b"", Phase.EXECUTE)
        group.ask(operation)
        entry = Entry(Awaited.READY_AFTER_QUERY, operation.number, copy_in=_copies_in(interpretation))
        entry.changes = paths + self._name_changes(interpretation, text)
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
        entry.changes = [(0, self._names.forgetting(space, name))]
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
        for one in prepared:
            changes = self._path_changes(one.interpretation, alone=False)
            changes += self._name_changes(one.interpretation, one.text)
            if len(prepared) > 1:
                changes = [(index, PossibleChange(change)) for index, change in changes]
            entry.changes += changes
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
        meaning = interpretation.meaning
        if any(statement.uses for statement in interpretation.statements):
            meaning = combine((meaning, *self._used_meanings(interpretation)))
        return resolve(meaning, self._scope.schemas)

    def _used_meanings(self, interpretation: Interpretation) -> list[Meaning]:
        """The meanings of everything that runs when the text does, through names that stand for uses of names."""
        followed: dict[Prepared, None] = {}
        meanings: list[Meaning] = []
        pending = [interpretation]
        while pending:
            for name in _names_used(pending.pop()):
                found = self._standing_for(name)
                if not found or len(followed) > _MAX_FOLLOWED:
                    meanings.append(UNKNOWN_NAME)
                    continue
                new = [prepared for prepared in found if prepared not in followed]
                followed.update(dict.fromkeys(new))
                meanings += [prepared.interpretation.meaning for prepared in new]
                pending += [prepared.interpretation for prepared in new]
        return meanings

    def _standing_for(self, name: Name) -> tuple[Prepared, ...]:
        if name.space is NameSpace.PREPARED:
            return self._names.prepared.candidates(name.name, self.segment)
        portals = self._names.portals.candidates(name.name, self.segment)
        return tuple(one for portal in portals for one in portal.prepared)

    def _path_changes(self, interpretation: Interpretation, alone: bool) -> list[tuple[int, Change]]:
        """To be made before the text's own meaning is resolved: a change counts for the rest of its text."""
        return [
            (index, PathChange(self._scope, statement.search_path, alone))
            for index, statement in enumerate(interpretation.statements)
            if statement.search_path is not None
        ]

    def _name_changes(self, interpretation: Interpretation, text: bytes) -> list[tuple[int, Change]]:
        """To be made after the text's own meaning was found: it may use a name and then give it another meaning."""
        changes: list[tuple[int, Change]] = []
        for index, statement in enumerate(interpretation.statements):
            if statement.defines is not None:
                changes.append((index, self._sql_definition(statement.defines, text)))
            changes += [(index, self._names.forgetting(name.space, name.name)) for name in statement.forgets]
            changes += [(index, self._names.forgetting(space, None)) for space in statement.forgets_all]
        return changes

    def _sql_definition(self, definition: SqlDefinition, text: bytes) -> Change:
        statement, name = definition.statement, definition.name.name
        if definition.name.space is NameSpace.PREPARED:
            prepared = Prepared(Interpretation(statement.meaning, (statement,)), text, self.segment)
            return Naming(self._names.prepared, name, prepared)
        # A cursor goes on reading the tables it was declared on, whatever the search path is when it is fetched from.
        body = Interpretation(resolve(statement.meaning, self._scope.schemas), (statement,))
        portal = Portal((Prepared(body, text, self.segment),), b"", self.segment, declared=True)
        return Naming(self._names.portals, name, portal)


def _names_used(interpretation: Interpretation) -> list[Name]:
    """Names that the text uses and has not itself defined before: if that fails, so does the rest of the text."""
    used: list[Name] = []
    defined: set[Name] = set()
    for statement in interpretation.statements:
        used += [name for name in statement.uses if name not in defined]
        if statement.defines is not None:
            defined.add(statement.defines.name)
    return used


def _copies_in(interpretation: Interpretation) -> bool:
    return any(statement.copy_in for statement in interpretation.statements)
