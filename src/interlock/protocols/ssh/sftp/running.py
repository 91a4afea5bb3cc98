"""Operations that were permitted, until each of them is reported, once."""

from collections import Counter
from collections.abc import Callable, Mapping

from interlock.core.budget import Allowance
from interlock.core.operation import Outcome, OutcomeStatus
from interlock.protocols.base import Report
from interlock.protocols.ssh.events import Effect


class Running:
    """One of them. ``describe`` says how far it is; what the answer took is counted as it goes out."""

    def __init__(self, number: int, verb: str, allowance: Allowance | None = None) -> None:
        self.number = number
        self.allowance = allowance
        self.describe: Callable[[], str] = lambda: verb
        self.sent_bytes = 0
        self.masked_values = 0
        self.found: Counter[str] = Counter()

    def may_send(self, size: int) -> bool:
        """Whether so many bytes more may go to the client; they count when they may."""
        if self.allowance is not None:
            self.allowance.begin()
            if not self.allowance.take(0, size):
                return False
        self.sent_bytes += size
        return True

    def note_masked(self, masked: int, found: Mapping[str, int]) -> None:
        """What was found in what was sent, and how much of it was masked."""
        self.masked_values += masked
        self.found.update(found)


class RunningOperations:
    """All of one channel."""

    def __init__(self) -> None:
        self._running: dict[int, Running] = {}
        self._last = 0

    @property
    def settled(self) -> int:
        """Every operation up to this number is over."""
        return next(iter(self._running)) - 1 if self._running else self._last

    def start(self, number: int, verb: str, allowance: Allowance | None) -> Running:
        running = Running(number, verb, allowance)
        self._running[number] = running
        self._last = number
        return running

    def finish(
        self, running: Running, status: OutcomeStatus, effects: list[Effect], *, tag: str = "", code: str = ""
    ) -> None:
        """It is over; without a ``tag`` it says itself how far it came. The second time nothing happens."""
        if self._running.pop(running.number, None) is None:
            return
        outcome = Outcome(
            running.number,
            status,
            tag or running.describe(),
            code,
            bytes_sent=running.sent_bytes,
            masked_values=running.masked_values,
            found=tuple(sorted(running.found.items())),
        )
        effects.append(Report(outcome))

    def interrupt(self, effects: list[Effect]) -> None:
        """The channel is over: how the others ended is not known."""
        for running in tuple(self._running.values()):
            self.finish(running, OutcomeStatus.INTERRUPTED, effects)
