"""A clock that stands still until it is told to move."""

from interlock.services.ports import Clock


class ManualClock(Clock):
    """Starts at ``at_s`` Unix time; ``broken`` makes it fail as a clock that cannot be read."""

    def __init__(self, at_s: float = 1_800_000_000.0) -> None:
        self.at_s = at_s
        self.broken = False

    def now_s(self) -> float:
        if self.broken:
            raise OSError("no clock")
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def advance(self, seconds: float) -> None:
        self.at_s += seconds
