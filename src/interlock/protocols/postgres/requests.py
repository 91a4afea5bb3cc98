"""What the client asks, as operations: one group of messages up to a Sync, a Flush or a simple query.

A group is decided as a whole before any of it is forwarded. Each message of a group brings the entry that will wait
for its answer, and each operation the place in the group where a denial would cut it off.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from interlock.core.operation import Meaning, Operation, Phase
from interlock.protocols.postgres.groups import Group
from interlock.protocols.postgres.masking.rewriting import Rewriting
from interlock.protocols.postgres.masks import (
    DEFINING,
    STALE,
    UNDOING,
    Definition,
    SessionMasks,
    masked_condition_notice,
    refused_meaning,
)
from interlock.protocols.postgres.outstanding import Awaited, Change, Entry, PossibleChange
from interlock.protocols.postgres.parameters import parameter_problem
from interlock.protocols.postgres.scope import UNKNOWN_NAME, SchemaScope, combine, resolve
from interlock.protocols.postgres.scope_changes import PathChange, TransactionStep
from interlock.protocols.postgres.session_names import LongParameters, Naming, Portal, Prepared, SessionNames
from interlock.protocols.postgres.statements.interpretation import Definition as SqlDefinition
from interlock.protocols.postgres.statements.interpretation import (
    Interpretation,
    Name,
    NameSpace,
)

_MAX_FOLLOWED: Final = 64


class Requests:
    """Turns messages into entries and operations, keeping track of names and of the search path."""

    def __init__(self, names: SessionNames, scope: SchemaScope, masks: SessionMasks) -> None:
        self._names = names
        self._scope = scope
        self._masks = masks
        self._numbers = 0
        self.segment = 1

    def query(
        self, group: Group, interpretation: Interpretation, text: bytes, rewriting: Rewriting | None = None
    ) -> Entry:
        """A simple query: the operation and the entry for it."""
        paths = self._path_changes(interpretation)
        used = self._used(interpretation)
        problem = self._problem(rewriting, used)
        meaning = self._meaning(interpretation, used, problem)
        operation = self._operation(meaning, text, b"", Phase.EXECUTE, rewriting, used=used)
        group.ask(operation)
        entry = Entry(Awaited.READY_AFTER_QUERY, operation.number, copy_in=_copies_in(interpretation))
        _mark(entry, (rewriting, *(prepared.rewriting for prepared in used.known)))
        entry.changes = paths + self._name_changes(interpretation, text, rewriting)
        return entry

    def parse(
        self,
        group: Group,
        name: str,
        interpretation: Interpretation,
        text: bytes,
        rewriting: Rewriting | None = None,
        types: bytes = b"",
    ) -> Entry:
        """A Parse: asks for permission on its own unless an Execute of the same group takes that over."""
        prepared = Prepared(interpretation, text, self.segment, rewriting, types)
        used = self._used(interpretation)
        meaning = self._meaning(interpretation, used, rewriting)
        operation = self._operation(meaning, text, b"", Phase.PREPARE, rewriting)
        entry = Entry(Awaited.PARSE_COMPLETE, operation.number)
        entry.rewritten = rewriting is not None and rewriting.text != text
        group.names_statement = group.names_statement or bool(name)
        prepared.asked_in = group
        prepared.asked_at = group.ask(operation)
        prepared.asked_by = entry
        entry.changes = [(0, Naming(self._names.prepared, name, prepared))]
        return entry

    def bind(
        self, portal_name: str, statement_name: str, parameters: bytes, long: LongParameters | None = None
    ) -> Entry:
        """A Bind: executes nothing. Of ``long`` values, ``parameters`` is the beginning."""
        prepared = self._names.prepared.candidates(statement_name, self.segment)
        portal = Portal(prepared, parameters, self.segment, declared=False, long=long)
        entry = Entry(Awaited.BIND_COMPLETE)
        entry.changes = [(0, Naming(self._names.portals, portal_name, portal))]
        return entry

    def describe(self, space: NameSpace, name: str) -> Entry:
        """A Describe of a prepared statement or portal."""
        entry = Entry(Awaited.DESCRIPTION)
        found = self._standing_for(Name(space, name))
        if space is NameSpace.PREPARED and len(found) == 1:
            entry.types = found[0].types
        for prepared in found:
            now = self._masks.still_holds(prepared.rewriting, prepared.text, prepared.interpretation)
            if now is not None:
                entry.raw_outputs += now.raw_outputs
                entry.gives_nothing = entry.gives_nothing or bool(now.refusal)
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
        long = portals[-1].long if portals else None
        forgotten = len(portals) != 1 or portals[0].forgotten
        rewritings = [self._bound(one, parameters, alone=len(prepared) == 1) for one in prepared]
        if len(prepared) == 1:
            operation = self._execution_of(group, prepared[0], parameters, rewritings[0], long, forgotten)
        else:
            meanings = tuple(map(self._meaning_of, prepared, rewritings)) or (UNKNOWN_NAME,)
            text = b"\n-- or --\n".join(one.text for one in prepared)
            used = _Used((), unknown=False, uncertain=True)
            operation = self._operation(combine(meanings), text, parameters, Phase.EXECUTE, long=long, used=used)
            group.ask(operation)
        copies = any(_copies_in(one.interpretation) for one in prepared)
        entry = Entry(Awaited.EXECUTION, operation.number, copy_in=copies)
        others = [other.rewriting for one in prepared for other in self._used(one.interpretation).known]
        _mark(entry, (*rewritings, *others))
        for one in prepared:
            changes = self._path_changes(one.interpretation)
            changes += self._name_changes(one.interpretation, one.text, one.rewriting, parameters, long)
            if len(prepared) > 1:
                changes = [(index, PossibleChange(change)) for index, change in changes]
            entry.changes += changes
        return entry

    def _bound(self, prepared: Prepared, parameters: bytes, *, alone: bool) -> Rewriting | None:
        """What masks say of a prepared statement now, with the parameters that are bound to it."""
        rewriting = self._masks.still_holds(prepared.rewriting, prepared.text, prepared.interpretation)
        if rewriting is None or rewriting.refusal:
            return rewriting
        if rewriting.raw_outputs and not alone:
            return STALE
        problem = parameter_problem(rewriting, parameters, complete=alone)
        return msgspec.structs.replace(rewriting, refusal=problem) if problem else rewriting

    def _meaning_of(self, prepared: Prepared, rewriting: Rewriting | None) -> Meaning:
        used = self._used(prepared.interpretation)
        return self._meaning(prepared.interpretation, used, self._problem(rewriting, used))

    def _execution_of(
        self,
        group: Group,
        prepared: Prepared,
        parameters: bytes,
        rewriting: Rewriting | None,
        long: LongParameters | None,
        forgotten: bool,
    ) -> Operation:
        meaning = self._meaning_of(prepared, rewriting)
        used = self._used(prepared.interpretation)
        if forgotten:
            used = _Used(used.known, used.unknown, used.runs, uncertain=True)
        if prepared.asked_in is group:
            number = group.operations[prepared.asked_at].number
            operation = self._operation(
                meaning, prepared.text, parameters, Phase.EXECUTE, rewriting, number, long, prepared, used
            )
            group.operations[prepared.asked_at] = operation
            prepared.asked_in = None
            if prepared.asked_by is not None:
                prepared.asked_by.reports = False
            return operation
        operation = self._operation(
            meaning, prepared.text, parameters, Phase.EXECUTE, rewriting, long=long, prepared=prepared, used=used
        )
        group.ask(operation)
        return operation

    def refused(self, group: Group, meaning: Meaning, text: bytes) -> Operation:
        """An operation that the gateway itself will not carry; asked all the same, so that it is recorded."""
        operation = self._operation(meaning, text, b"", Phase.EXECUTE)
        group.ask(operation)
        return operation

    def _operation(
        self,
        meaning: Meaning,
        text: bytes,
        parameters: bytes,
        phase: Phase,
        rewriting: Rewriting | None = None,
        number: int = 0,
        long: LongParameters | None = None,
        prepared: Prepared | None = None,
        used: "_Used | None" = None,
    ) -> Operation:
        if not number:
            self._numbers += 1
        forwarded = rewriting.text if rewriting is not None and rewriting.text != text else b""
        return Operation(
            number or self._numbers,
            meaning,
            text,
            parameters,
            phase,
            forwarded,
            rewriting.masked if rewriting is not None else (),
            self._masks.version,
            long.size_bytes if long is not None else 0,
            long.digest() if long is not None else b"",
            prepared.types.encoded if prepared is not None else b"",
            used.runs if used is not None else (),
            used is not None and used.uncertain,
        )

    def _meaning(self, interpretation: Interpretation, used: "_Used", rewriting: Rewriting | None) -> Meaning:
        """The text's meaning with those of what it uses, refused when masks refuse it."""
        meaning = interpretation.meaning
        others = [prepared.interpretation.meaning for prepared in used.known]
        if used.unknown:
            others.append(UNKNOWN_NAME)
        if others:
            meaning = combine((meaning, *others))
        meaning = resolve(meaning, self._scope.schemas)
        if rewriting is not None and rewriting.refusal:
            return refused_meaning(meaning, rewriting.refusal, rewriting.code, rewriting.position)
        return meaning

    def _problem(self, rewriting: Rewriting | None, used: "_Used") -> Rewriting | None:
        """``rewriting``, or one that refuses when masks do not allow what the text uses by name."""
        if rewriting is None or rewriting.refusal:
            return rewriting
        if used.unknown:
            return _UNKNOWN
        for prepared in used.known:
            now = self._masks.still_holds(prepared.rewriting, prepared.text, prepared.interpretation)
            if now is not None and now.refusal:
                return now
            if now is not None and now.raw_outputs:
                return _EXECUTE_INSTEAD
            if now is not None and (now.array_parameters or (now.written_parameters and rewriting.gives_mask)):
                return _BIND_INSTEAD
        return rewriting

    def _used(self, interpretation: Interpretation) -> "_Used":
        """Everything that runs when the text does, through names that stand for uses of names."""
        if not any(statement.uses for statement in interpretation.statements):
            return _NOTHING_USED
        followed: dict[Prepared, None] = {}
        runs: list[tuple[bytes, bytes]] = []
        unknown = uncertain = False
        pending = [interpretation]
        while pending:
            for name in _names_used(pending.pop()):
                found = self._standing_for(name)
                if not found or len(followed) > _MAX_FOLLOWED:
                    unknown = True
                    continue
                uncertain = uncertain or len(found) > 1 or self._has_forgotten(name)
                runs += [(prepared.text, self._bound_to(name)) for prepared in found]
                new = [prepared for prepared in found if prepared not in followed]
                followed.update(dict.fromkeys(new))
                pending += [prepared.interpretation for prepared in new]
        return _Used(tuple(followed), unknown, tuple(runs), unknown or uncertain)

    def _standing_for(self, name: Name) -> tuple[Prepared, ...]:
        if name.space is NameSpace.PREPARED:
            return self._names.prepared.candidates(name.name, self.segment)
        return tuple(one for portal in self._portals(name) for one in portal.prepared)

    def _portals(self, name: Name) -> tuple[Portal, ...]:
        """The portals that a name stands for; none for a prepared statement."""
        if name.space is NameSpace.PREPARED:
            return ()
        return self._names.portals.candidates(name.name, self.segment)

    def _has_forgotten(self, name: Name) -> bool:
        return any(portal.forgotten for portal in self._portals(name))

    def _bound_to(self, name: Name) -> bytes:
        """The values of a portal; the digest stands for those that are too long to hold."""
        portals = self._portals(name)
        if not portals:
            return b""
        long = portals[-1].long
        return portals[-1].parameters + (long.digest() if long is not None else b"")

    def _path_changes(self, interpretation: Interpretation) -> list[tuple[int, Change]]:
        """To be made before the text's own meaning is resolved: a change counts for the rest of its text."""
        changes: list[tuple[int, Change]] = []
        for index, statement in enumerate(interpretation.statements):
            if statement.search_path is not None:
                changes.append((index, PathChange(self._scope, statement.search_path)))
            if statement.transaction in UNDOING:
                changes.append((index, TransactionStep(self._scope, statement.transaction)))
        return changes

    def _name_changes(
        self,
        interpretation: Interpretation,
        text: bytes,
        rewriting: Rewriting | None,
        parameters: bytes = b"",
        long: LongParameters | None = None,
    ) -> list[tuple[int, Change]]:
        """To be made after the text's own meaning was found: it may use a name and then give it another meaning."""
        changes: list[tuple[int, Change]] = []
        for index, statement in enumerate(interpretation.statements):
            if statement.defines is not None:
                definition = self._sql_definition(statement.defines, text, rewriting, parameters, long)
                changes.append((index, definition))
            accesses = statement.meaning.accesses
            if rewriting is not None and any(access.action in DEFINING for access in accesses):
                changes.append((index, Definition(self._masks, accesses)))
            changes += [(index, self._names.forgetting(name.space, name.name)) for name in statement.forgets]
            changes += [(index, self._names.forgetting(space, None)) for space in statement.forgets_all]
        return changes

    def _sql_definition(
        self,
        definition: SqlDefinition,
        text: bytes,
        rewriting: Rewriting | None,
        parameters: bytes,
        long: LongParameters | None,
    ) -> Change:
        statement, name = definition.statement, definition.name.name
        if definition.name.space is NameSpace.PREPARED:
            prepared = Prepared(Interpretation(statement.meaning, (statement,)), text, self.segment, rewriting)
            return Naming(self._names.prepared, name, prepared)
        # A cursor goes on reading the tables it was declared on, whatever the search path is when it is fetched from.
        body = Interpretation(resolve(statement.meaning, self._scope.schemas), (statement,))
        prepared = Prepared(body, text, self.segment, rewriting)
        portal = Portal((prepared,), parameters, self.segment, declared=True, long=long)
        return Naming(self._names.portals, name, portal)


_BIND_INSTEAD: Final = Rewriting(
    b"",
    refusal="EXECUTE cannot be checked here, since a parameter is compared with or written to a masked column: send "
    "the statement itself, or bind the parameters in the extended protocol.",
)


class _Used:
    """What a text runs by name; ``unknown`` says that there is more.

    ``runs`` has the texts with their values; ``uncertain`` says that it may be one of several.
    """

    def __init__(
        self,
        known: tuple[Prepared, ...],
        unknown: bool,
        runs: tuple[tuple[bytes, bytes], ...] = (),
        uncertain: bool = False,
    ) -> None:
        self.known = known
        self.unknown = unknown
        self.runs = runs
        self.uncertain = uncertain


_NOTHING_USED: Final = _Used((), False)
_EXECUTE_INSTEAD: Final = Rewriting(
    b"", refusal="What was prepared or bound in the extended protocol shows masked columns, so it cannot be run by SQL."
)
_UNKNOWN: Final = Rewriting(b"", refusal="What the statement runs by name was not prepared in this session.")


def _mark(entry: Entry, rewritings: Iterable[Rewriting | None]) -> None:
    """What masks mean for the answer to a text."""
    for rewriting in rewritings:
        if rewriting is not None:
            entry.rewritten = entry.rewritten or rewriting.changed
            entry.raw_outputs = entry.raw_outputs or rewriting.raw_outputs
            entry.width = rewriting.width if rewriting.raw_outputs else entry.width
            entry.guarded = entry.guarded or rewriting.guarded
            entry.compares = entry.compares or rewriting.compares
            if rewriting.judged_by_mask:
                entry.notice = masked_condition_notice(rewriting.judged_by_mask)
            entry.copies_masked = entry.copies_masked or rewriting.copies_in
            entry.masked_outputs = max(entry.masked_outputs, rewriting.outputs)


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
