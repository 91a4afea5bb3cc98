"""Remembers assertions that were used, until they would not be accepted any more anyway (SAML profiles 4.1.4.5)."""

from typing import Final

from interlock.adapters.identity.saml.document import Malformed

MAX_REMEMBERED: Final = 100_000


class UsedAssertions:
    """Of one provider. When it is full, nothing more is accepted until something in it has ended."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._most = most
        self._ends_at_s: dict[str, float] = {}

    def use(self, identifier: str, ends_at_s: float, now_s: float) -> None:
        """Note that an assertion is used, which counts until ``ends_at_s``. Raises Malformed when it was before."""
        if identifier in self._ends_at_s:
            raise Malformed("the assertion was used before")
        if len(self._ends_at_s) >= self._most:
            self._ends_at_s = {name: ends for name, ends in self._ends_at_s.items() if ends > now_s}
            if len(self._ends_at_s) >= self._most:
                raise Malformed("too many assertions to remember")
        self._ends_at_s[identifier] = ends_at_s
