"""What providers have ended a moment ago: whoever signed in before that and is still on the way in is not logged in.

Kept in memory, as sign-ins are that are under way, and bounded; what is older than any of these is forgotten.
"""

import math
from collections.abc import Iterable
from typing import Final

from interlock.core.identity import Principal
from interlock.core.lock import LockSubject, subjects_of
from interlock.services.authorizations import CODE_LIFE_S, CONSENT_LIFE_S
from interlock.services.ports import Clock

LIFE_S: Final = CONSENT_LIFE_S + CODE_LIFE_S + 60.0
"""Longer than it takes from a provider's answer to a login."""
MAX_REMEMBERED: Final = 10_000

Subject = tuple[LockSubject, str]


class JustEnded:
    """By what sessions and people are locked under."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended: dict[Subject, tuple[float, float]] = {}

    def note(self, subjects: Iterable[Subject]) -> None:
        """What was proved for these until now is over."""
        try:
            ended_at_s = self._clock.now_s()
        except OSError:
            ended_at_s = math.inf
        self._forget_old()
        for subject in subjects:
            self._ended.pop(subject, None)
            self._ended[subject] = ended_at_s, self._clock.monotonic_s() + LIFE_S

    def concerns(self, principal: Principal) -> bool:
        """Whether what proved a principal is over by now."""
        ends = [self._ended[subject][0] for subject in subjects_of(principal, "", "") if subject in self._ended]
        return bool(ends) and (principal.issued_at_s is None or principal.issued_at_s <= max(ends))

    def _forget_old(self) -> None:
        """They are in the order of their time."""
        now_s = self._clock.monotonic_s()
        while self._ended:
            oldest = next(iter(self._ended))
            if len(self._ended) < MAX_REMEMBERED and now_s < self._ended[oldest][1]:
                return
            del self._ended[oldest]
