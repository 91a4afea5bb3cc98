"""Stops an answer where its allowance ends: rows go out one by one until there is no room, then nothing more does.

A meter takes the messages of one answer as they would go to the client, in any cut that does not part a message's
first five bytes, and gives what may go. It ends an answer between two messages and never within one. The module is
plain typed Python that mypyc compiles where a C compiler is at hand.
"""

from typing import Final

from mypy_extensions import i64

from interlock.core.budget import Allowance

_ROW: Final = 0x44
_COPY_DATA: Final = 0x64
_NOTICE: Final = 0x4E
_NOT_OF_THE_ANSWER: Final = frozenset(b"AS")
"""NotificationResponse and ParameterStatus."""


class CutHeader(Exception):
    """What came ends within the first five bytes of a message."""


class Meter:
    """The meter of one answer. ``rows`` and ``size_bytes`` count what it let pass.

    Once ``stopped``, only what is not part of the answer passes: notifications, and parameters of the session.
    """

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.stopped = False
        self.rows: i64 = 0
        self.size_bytes: i64 = 0
        self._remaining: i64 = 0
        """Bytes of the message that began last which are still to come."""
        self._passes = True

    @property
    def mid_message(self) -> bool:
        """Whether the client has a part of a message whose end is still to come."""
        return self._passes and self._remaining > 0

    def feed(self, data: bytes) -> bytes:
        """What may go to the client now. Raises ``CutHeader``."""
        self.allowance.begin()
        size: i64 = len(data)
        position: i64 = min(self._remaining, size)
        self._remaining -= position
        kept: list[bytes] = []
        begin: i64 = 0
        passes = self._passes
        while position < size:
            if position + 5 > size:
                raise CutHeader
            end: i64 = (
                position
                + 1
                + (
                    (i64(data[position + 1]) << 24)
                    | (i64(data[position + 2]) << 16)
                    | (i64(data[position + 3]) << 8)
                    | i64(data[position + 4])
                )
            )
            if self._may_pass(data[position], end - position) is not passes:
                if passes:
                    kept.append(data[begin:position])
                begin = position
                passes = not passes
            if end > size:
                self._remaining = end - size
                end = size
            position = end
        self._passes = passes
        if passes and begin == 0:
            return data
        if passes:
            kept.append(data[begin:])
        return b"".join(kept)

    def _may_pass(self, kind: i64, size: i64) -> bool:
        if self.stopped:
            return int(kind) in _NOT_OF_THE_ANSWER
        rows: i64 = 0
        if kind == _ROW or kind == _COPY_DATA:  # noqa: SIM109 - compiled to two comparisons of machine integers
            rows = 1
        if rows == 0 and kind != _NOTICE:
            self.allowance.note(size)
        elif not self.allowance.take(rows, size):
            self.stopped = True
            return False
        self.rows += rows
        self.size_bytes += size
        return True
