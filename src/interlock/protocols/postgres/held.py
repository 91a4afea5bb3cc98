"""The tail of a stream that ends within a message, held until as much of the message is there as its reader needs.

It joins what it holds once, however finely the rest is cut, and knows nothing of messages. The module is plain typed
Python that mypyc compiles where a C compiler is at hand.
"""

from mypy_extensions import i64


class HeldTail:
    """What came last and could not be read yet. ``size`` counts its bytes."""

    def __init__(self) -> None:
        self.size: i64 = 0
        self._parts: list[bytes] = []
        self._wanted: i64 = 0

    def keep(self, data: bytes, position: i64, wanted: i64) -> None:
        """Hold what ``data`` has from ``position`` on, if anything, until there are ``wanted`` bytes."""
        size: i64 = len(data)
        if position < size:
            self._parts.append(data[position:])
            self.size = size - position
            self._wanted = wanted

    def join(self, data: bytes) -> bytes:
        """What is held with ``data`` behind it, or nothing while that is not enough."""
        self._parts.append(data)
        self.size += len(data)
        if self.size < self._wanted:
            return b""
        joined = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return joined
