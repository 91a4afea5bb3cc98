"""Slows down whoever tries keys and passwords over and over: so many failed logins a minute from one source."""

from interlock.core.addresses import one_source
from interlock.services.ports import Clock
from interlock.services.rate_limit import RateLimit


class LoginAttempts:
    """Counts failures by source address, of IPv6 by /64, in a bounded table. Logins that succeed cost nothing."""

    def __init__(self, failures_per_minute: int, clock: Clock) -> None:
        self._failures = RateLimit(failures_per_minute, clock)

    def may_try(self, source: str) -> bool:
        """Whether a client from this address (without port) may try to log in now."""
        return self._failures.wait_s(one_source(source)) == 0

    def failed(self, source: str) -> None:
        """A login from this address failed."""
        self._failures.take(one_source(source))
