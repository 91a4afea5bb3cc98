"""The speed of a replay: how long to wait before each thing that is shown."""

import re
import time
from collections.abc import Callable
from typing import Final

from interlock.core.errors import ConfigurationError

NO_LIMIT_S: Final = float("inf")
_SPAN: Final = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+(?:\.[0-9]+)?)s)?")


class Pace:
    """Waits as the session did, ``speed`` times as fast, but never longer than ``idle_limit_s`` (after the speed).

    What comes before ``from_us`` comes at once.
    """

    def __init__(
        self,
        speed: float = 1.0,
        idle_limit_s: float = NO_LIMIT_S,
        from_us: int = 0,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.from_us = from_us
        self._speed = speed
        self._idle_limit_s = idle_limit_s
        self._shown_us = from_us
        self._sleep = sleep or time.sleep

    def wait(self, at_us: int) -> None:
        """Wait until it is time for what happened then."""
        wait_s = min((at_us - self._shown_us) / 1e6 / self._speed, self._idle_limit_s)
        self._shown_us = max(self._shown_us, at_us)
        if wait_s > 0:
            self._sleep(wait_s)


def span_s(text: str, option: str) -> float:
    """A length of time such as ``1m30s``, ``2s`` or ``0.5s``, in seconds. Raises ``ConfigurationError``."""
    found = _SPAN.fullmatch(text)
    if found is None or not text:
        raise ConfigurationError(f"{option} is a length of time such as 1h, 1m30s or 0.5s; not {text!r}")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds
