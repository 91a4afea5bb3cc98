"""The system's clock: the one place that reads the time. Everything else gets it through the ``Clock`` port."""

import time


class SystemClock:
    """Implements ``services.ports.Clock``."""

    def now_s(self) -> float:
        """Unix time in seconds."""
        return time.time()  # noqa: TID251 - this is the adapter behind the Clock port

    def monotonic_s(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()
