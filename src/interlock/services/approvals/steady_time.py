"""The time by which requests and approvals end. A clock that is set back gives none of them a longer life.

It is the clock's, but never runs slower than time passes. Across a start nothing is known of before: there a request
from the future is over.
"""

import math

from interlock.core.approval import ApprovalRequest
from interlock.services.ports import Clock


class SteadyTime:
    """Reads a clock. Raises ``OSError`` when it cannot be read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = -math.inf

    def now_s(self) -> float:
        """Unix time in seconds, unless the clock was set back since it was read first."""
        passed_s = self._clock.monotonic_s()
        self._ahead_s = max(self._ahead_s, self._clock.now_s() - passed_s)
        return self._ahead_s + passed_s


def is_over(request: ApprovalRequest, now_s: float) -> bool:
    """Whether a request, or an approval, has had its time, or cannot have begun yet."""
    begun_s = max([request.created_at_s, *(vote.at_s for vote in request.votes)])
    return not begun_s <= now_s < request.expires_at_s
