"""Regular expressions over bytes, matched in linear time by RE2: the gateway's only door to that library.

A pattern sees bytes as Latin-1, so that any input can be searched; ASCII letters are compared as they are unless the
pattern says ``(?i)``. It knows nothing of what is searched for.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import re2

_MAX_MEMORY_BYTES = 16 << 20


def _options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _MAX_MEMORY_BYTES
    return options


class Pattern:
    """One pattern. Raises ``ValueError`` when RE2 does not accept it."""

    def __init__(self, pattern: bytes) -> None:
        try:
            self._compiled = re2.compile(pattern, _options())
        except re2.error as error:
            raise ValueError(f"not a pattern: {pattern!r}") from error
        self._group = min(self._compiled.groups, 1)

    def spans(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Where it matches, from left to right without overlaps: of the first group where there is one, else of all.

        A match in which the group took no part is left out.
        """
        group = self._group
        for match in self._compiled.finditer(text):
            start, end = match.span(group)
            if start >= 0:
                yield start, end


class PatternSet:
    """Several patterns that are looked for in one pass."""

    def __init__(self, patterns: Sequence[bytes]) -> None:
        self._set = re2.Set.SearchSet(_options())
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def matches(self, text: bytes) -> list[int]:
        """The indexes of the patterns that match somewhere in ``text``, in no order."""
        return self._set.Match(text) or []
