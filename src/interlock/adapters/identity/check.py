"""One check of a proof: what was expected, what was found, and what follows when it does not hold.

The same checks let callers in and are shown to an administrator who tries a token: only who is told differs.
"""

from collections.abc import Callable

import msgspec

from interlock.core.errors import LoginRefused


class Check(msgspec.Struct, frozen=True):
    """``refusal`` is None when it holds. ``expected`` and ``found`` are for administrators only."""

    name: str
    expected: str
    found: str
    refusal: LoginRefused | None = None


Judge = Callable[[Check], None]
"""Is told of each check in turn."""


def refuse(check: Check) -> None:
    """Ends with the first check that does not hold. Raises LoginRefused."""
    if check.refusal is not None:
        raise check.refusal


def shown(value: object) -> str:
    """A value of a token as text."""
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
