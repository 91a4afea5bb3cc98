"""What of a JSON document waits for the rest of a token.

It is not put together and looked at again for each byte that comes: a text waits for the quote that ends it, and other
things until they have grown by a part. The module is plain typed Python that mypyc compiles where a C compiler is at
hand.
"""

from typing import Final

from interlock.protocols.http.bodies.json_texts import closing_quote, ends_odd

_LITTLE_BYTES: Final = 1024
"""So little is looked at again with every byte."""


class HeldToken:
    """The token that is not whole. ``max_bytes`` is how long a text may get."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes: int = max_bytes
        self._parts: list[bytes] = []
        self._awaits_quote = False
        self._odd = False
        """An odd number of backslashes ends what is held."""
        self._wanted: int = 0
        self.size: int = 0

    def keep(self, rest: bytes, awaits_quote: bool) -> None:
        """Hold this, which is the beginning of a text in quotes or of something else."""
        self._parts = [rest] if rest else []
        self.size = len(rest)
        self._wanted = self.size * 9 // 8
        self._awaits_quote = awaits_quote
        self._odd = ends_odd(rest, False)

    def takes(self, data: bytes) -> bool:
        """Whether ``data`` does not make it worth looking at what is held, and is held, too."""
        size = self.size + len(data)
        if self.size == 0:
            return False
        if self._awaits_quote:
            if size > self._max_bytes or closing_quote(data, 0, self._odd) >= 0:
                return False
            self._odd = ends_odd(data, self._odd)
        elif size < _LITTLE_BYTES or size > self._wanted:
            return False
        self._parts.append(data)
        self.size = size
        return True

    def joined(self, data: bytes) -> bytes:
        """All that is held, with ``data`` behind it."""
        if self.size == 0:
            return data
        self._parts.append(data)
        return b"".join(self._parts)

    def written(self) -> bytes:
        """All that is held."""
        return b"".join(self._parts)
