"""Prepared statements and portals of one connection, by name, as the target may know them.

A name is *proposed* when its definition is forwarded and *confirmed* when the target says so. In between, and after
a definition that failed, the name may still mean what it meant before: ``candidates`` has every meaning that the
target could execute, and all of them are authorised. That way a definition that the target skips after an error can
never stand in front of the one that really runs.

Within one *segment* (up to a Sync, or one simple query) there is no such doubt: when a definition fails, the target
skips the rest of the segment as well.
"""

from collections import deque
from typing import Generic, Protocol, TypeVar


class Defined(Protocol):
    """What a name can stand for."""

    @property
    def segment(self) -> int:
        """The segment that defined it."""


Value = TypeVar("Value", bound=Defined)


class TooManyNames(Exception):
    """The client keeps more named objects than the gateway tracks."""


class NameTable(Generic[Value]):
    """One name space. Values are told apart by identity."""

    def __init__(self, max_names: int) -> None:
        self._max_names = max_names
        self._values: dict[str, deque[Value]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def candidates(self, name: str, segment: int) -> tuple[Value, ...]:
        """What ``name`` may stand for in ``segment``, the newest last; empty when it was never defined."""
        known = self._values.get(name)
        if known is None:
            return ()
        newest = known[-1]
        if len(known) == 1 or newest.segment == segment:
            return (newest,)
        return tuple(known)

    def propose(self, name: str, value: Value) -> None:
        """A definition goes to the target. Raises ``TooManyNames``."""
        known = self._values.get(name)
        if known is not None:
            known.append(value)
        elif len(self._values) < self._max_names:
            self._values[name] = deque((value,))
        else:
            raise TooManyNames

    def confirm(self, name: str, value: Value) -> None:
        """The target has taken the definition: what was before it is gone."""
        known = self._values.get(name)
        if known is not None and any(candidate is value for candidate in known):
            while known[0] is not value:
                known.popleft()

    def withdraw(self, name: str, value: Value) -> None:
        """The target has refused, skipped or closed the definition."""
        known = self._values.get(name)
        if known is None:
            return
        left = deque(candidate for candidate in known if candidate is not value)
        if left:
            self._values[name] = left
        else:
            del self._values[name]

    def known(self, name: str) -> tuple[Value, ...]:
        """Everything ``name`` may stand for, whatever the segment."""
        return tuple(self._values.get(name, ()))

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)
