"""Looks at COPY data on its way into masked columns: what stands for a masked value must not be written over it."""

from typing import Final

from interlock.protocols.postgres.masking.writes import STANDS_FOR_VALUE

_OVERLAP_BYTES: Final = 32
"""Longer than anything that is looked for, so that a cut between two messages hides nothing."""


class CopyGuard:
    """The data of one COPY at a time."""

    def __init__(self) -> None:
        self._number = 0
        self._tail = b""

    def passes(self, number: int, data: bytes) -> bool:
        """Whether what operation ``number`` copies may go on with ``data``, which are no message's head."""
        if number != self._number:
            self._number, self._tail = number, b""
        joined = self._tail + data
        self._tail = joined[-_OVERLAP_BYTES:]
        return STANDS_FOR_VALUE.search(joined) is None
