"""Prepared statements and portals of one connection, by name, as the target may know them.

A name is *proposed* when its definition is forwarded and *confirmed* when the target says so. In between, and after
a definition that failed, the name may still mean what it meant before: ``candidates`` has every meaning that the
target could execute, and all of them are authorised. That way a definition that the target skips after an error can
never stand in front of the one that really runs.

Within one *segment* (up to a Sync, or one simple query) there is no such doubt: when a definition fails, the target
skips the rest of the segment as well.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

MAX_CANDIDATES: Final = 64


class Defined(Protocol):
    """What a name can stand for."""

    @property
    def segment(self) -> int:
        """The segment that defined it."""

    @property
    def size_bytes(self) -> int:
        """What it keeps in memory."""

    def superseded(self) -> None:
        """A newer definition of its name is on its way: let go of what only the newest one needs."""


Value = TypeVar("Value", bound=Defined)


class TooManyNames(Exception):
    """The client keeps more named objects, or larger ones, than the gateway tracks."""


class NameTable(Generic[Value]):
    """One name space. Values are told apart by identity; each is numbered as it is proposed."""

    def __init__(self, max_names: int, max_bytes: int) -> None:
        self._max_names = max_names
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: dict[str, deque[tuple[int, Value]]] = {}
        self.newest = 0
        """The number of the latest definition; a mark for ``forget``."""

    def __len__(self) -> int:
        return len(self._values)

    def candidates(self, name: str, segment: int) -> tuple[Value, ...]:
        """What ``name`` may stand for in ``segment``, the newest last.

        Empty when it was never defined, or may be more things than it is worth to follow.
        """
        known = self._values.get(name)
        if known is None:
            return ()
        newest = known[-1][1]
        if len(known) == 1 or newest.segment == segment:
            return (newest,)
        return tuple(value for _, value in known) if len(known) <= MAX_CANDIDATES else ()

    def propose(self, name: str, value: Value) -> None:
        """A definition goes to the target. Raises ``TooManyNames``."""
        known = self._values.get(name)
        if known is not None:
            older = known[-1][1]
            self._bytes -= older.size_bytes
            older.superseded()
            self._bytes += older.size_bytes
        elif len(self._values) < self._max_names:
            known = self._values[name] = deque()
        else:
            raise TooManyNames
        self.newest += 1
        known.append((self.newest, value))
        self._bytes += value.size_bytes
        if self._bytes > self._max_bytes:
            raise TooManyNames

    def confirm(self, name: str, value: Value) -> None:
        """The target has taken the definition: what was before it is gone."""
        known = self._values.get(name, ())
        self.forget(name, next((number for number, candidate in known if candidate is value), 0) - 1)

    def withdraw(self, name: str, value: Value) -> None:
        """The target has refused or skipped the definition."""
        known = self._values.get(name)
        if known is not None and known[0][1] is value:  # most often, as answers come in order
            self.forget(name, known[0][0])
        elif known is not None:
            self._replace(name, [item for item in known if item[1] is not value])

    def forget(self, name: str, mark: int) -> None:
        """The name has lost the meanings that it had when ``mark`` was the newest definition."""
        known = self._values.get(name)
        if known is None:
            return
        while known and known[0][0] <= mark:
            self._bytes -= known.popleft()[1].size_bytes
        if not known:
            del self._values[name]

    def forget_named(self, mark: int) -> None:
        """All names but the unnamed one have lost the meanings that they had at ``mark``."""
        for name in tuple(self._values):
            if name:
                self.forget(name, mark)

    def keep(self, wanted: Callable[[Value], bool]) -> None:
        """Forget everything that is not wanted."""
        for name, known in tuple(self._values.items()):
            if not all(wanted(value) for _, value in known):
                self._replace(name, [item for item in known if wanted(item[1])])

    def _replace(self, name: str, left: list[tuple[int, Value]]) -> None:
        known = self._values.pop(name)
        self._bytes -= sum(value.size_bytes for _, value in known) - sum(value.size_bytes for _, value in left)
        if left:
            self._values[name] = deque(left)
