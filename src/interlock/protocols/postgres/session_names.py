"""What names mean in a session: prepared statements and portals, from messages and from SQL."""

import hashlib
from typing import Final, Generic

from interlock.protocols.postgres.groups import Group
from interlock.protocols.postgres.masking.rewriting import Rewriting
from interlock.protocols.postgres.names import NameTable, Value
from interlock.protocols.postgres.outstanding import Change, Entry, ParameterTypes
from interlock.protocols.postgres.statements.interpretation import Interpretation, NameSpace

MAX_NAMES: Final = 20_000
KEPT_PARAMETER_BYTES: Final = 1 << 16
MAX_NAMED_BYTES: Final = 1 << 26
"""Texts of prepared statements, and parameters of portals, that a session keeps."""


class Prepared:
    """A prepared statement, from Parse or from SQL's PREPARE."""

    def __init__(
        self,
        interpretation: Interpretation,
        text: bytes,
        segment: int,
        rewriting: Rewriting | None = None,
        types: bytes = b"",
    ) -> None:
        self.interpretation = interpretation
        self.types = ParameterTypes(types)
        self.text = text
        self.rewriting = rewriting
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

    def __init__(
        self,
        prepared: tuple[Prepared, ...],
        parameters: bytes,
        segment: int,
        declared: bool,
        long: "LongParameters | None" = None,
    ) -> None:
        self.prepared = prepared
        self.parameters = parameters
        self.long = long
        self.segment = segment
        self.declared = declared
        self.forgotten = False
        """Whether its values are not known any more."""

    @property
    def size_bytes(self) -> int:
        return len(self.parameters)

    def superseded(self) -> None:
        """Parameters are shown of the newest portal only, and may be large."""
        self.forgotten = self.forgotten or bool(self.parameters)
        self.parameters = b""


class LongParameters:
    """Values of a Bind that is too long to hold: the beginning is kept, all of it is digested as it passes."""

    def __init__(self, begun: bytes, size_bytes: int) -> None:
        self.kept = begun[:KEPT_PARAMETER_BYTES]
        self.size_bytes = size_bytes
        self._hasher = hashlib.sha256(begun)

    def add(self, part: bytes) -> None:
        self._hasher.update(part)

    def digest(self) -> bytes:
        """SHA-256 over what has passed; all of it once the message has ended."""
        return self._hasher.digest()


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
