"""What one HTTP/2 connection may cost: streams, windows, and how often it may make work that comes to nothing."""

from collections.abc import Callable
from typing import Final

import msgspec

_MAX_STREAMS: Final = 100  # the least that RFC 9113, 6.5.2 recommends, and what clients assume before they are told


class Http2Limits(msgspec.Struct, frozen=True):
    """``window_bytes`` is what a client may send on a stream before it was taken; ``max_unsent_bytes`` what is kept of
    an answer before its source has to wait. Of resets, other ``controls``, and frames that are ``small`` beside what
    reading them costs, bursts and as many per second are let pass (CVE-2023-44487, CVE-2019-9511 and their like)."""

    max_streams: int = _MAX_STREAMS
    window_bytes: int = 128 << 10
    max_unsent_bytes: int = 128 << 10
    max_head_bytes: int = 64 << 10
    idle_timeout_s: float = 120.0
    reset_burst: int = 100
    resets_per_s: float = 20.0
    control_burst: int = 500
    controls_per_s: float = 50.0
    small_burst: int = 10_000
    small_per_s: float = 2000.0


class Allowance:
    """A bucket that fills with time: what is asked for too often is not allowed."""

    def __init__(self, burst: int, per_s: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._per_s = per_s
        self._clock = clock
        self._left = float(burst)
        self._at_s = clock()

    def take(self) -> bool:
        """Whether once more is allowed."""
        now_s = self._clock()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
