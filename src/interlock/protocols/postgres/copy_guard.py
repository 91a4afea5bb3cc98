"""Looks at COPY data on its way into masked columns: what stands for a masked value must not be written over it."""

from typing import Final

from interlock.protocols.postgres.masking.writes import STANDS_FOR_VALUE

_OVERLAP_BYTES: Final = 32
"""Longer than anything that is looked for, so that a cut between two messages hides nothing."""
_HEAD_BYTES: Final = 5


class CopyGuard:
    """The data of one COPY at a time."""

    def __init__(self) -> None:
        self._number = 0
        self._tail = b""

    def passes(self, number: int, part: bytes) -> bool:
        """Whether a message (or a further part of one) of operation ``number`` may go on."""
        if number != self._number:
            self._number, self._tail = number, b""
        joined = self._tail + (part[_HEAD_BYTES:] if part[:1] == b"d" else part)
        self._tail = joined[-_OVERLAP_BYTES:]
        return STANDS_FOR_VALUE.search(joined) is None
