"""What is counted of commands and file requests on hosts: how many bytes came back, which files, what was found.

From the ledger alone: of what a command wrote, its size is known, and what content detection found in it.
"""

from collections import Counter
from typing import Final

from interlock.core.incident import CommandExposure
from interlock.core.ledger import OperationCompleted, OperationDecided

MAX_COMMANDS: Final = 10_000
"""Different commands that are told apart."""
MAX_TRANSFERS: Final = 100
"""Different transfers of one of them."""
MAX_RUNNING: Final = 10_000
"""Operations without an outcome; of the oldest one, what came back is counted with the others."""
_OTHERS: Final = ("", "", ("others, too many to tell apart",))
_TRANSFERS: Final = ("READ ", "WROTE ", "LISTED ")
"""How the outcomes of file requests begin."""


class _Command:
    def __init__(self) -> None:
        self.operations = self.bytes_sent = self.masked_values = 0
        self.transfers: dict[str, None] = {}
        self.found: Counter[str] = Counter()

    def completed(self, record: OperationCompleted) -> None:
        self.bytes_sent += record.bytes_sent
        self.masked_values += record.masked_values
        for name, count in record.found:
            self.found[name] += count
        if record.tag.startswith(_TRANSFERS) and len(self.transfers) < MAX_TRANSFERS:
            self.transfers[record.tag] = None


class HostCommands:
    """Counts decisions and outcomes as they come; then ``exposures``."""

    def __init__(self) -> None:
        self._commands: dict[tuple[str, str, tuple[str, ...]], _Command] = {}
        self._running: dict[tuple[str, int], _Command] = {}

    def decided(self, place: str, record: OperationDecided) -> None:
        """An operation on a host goes on."""
        command = self._command(place, record)
        command.operations += 1
        if len(self._running) >= MAX_RUNNING:
            del self._running[next(iter(self._running))]
        self._running[record.session, record.number] = command

    def completed(self, record: OperationCompleted) -> None:
        """It ended."""
        command = self._running.pop((record.session, record.number), None)
        (command or self._commands.setdefault(_OTHERS, _Command())).completed(record)

    def exposures(self) -> tuple[CommandExposure, ...]:
        """What is known by now."""
        return tuple(
            CommandExposure(
                *key,
                command.operations,
                command.bytes_sent,
                tuple(command.transfers),
                tuple(sorted(command.found.items())),
                command.masked_values,
            )
            for key, command in sorted(self._commands.items())
        )

    def _command(self, place: str, record: OperationDecided) -> _Command:
        key = (place, record.verb, record.accesses)
        if key not in self._commands and len(self._commands) >= MAX_COMMANDS:
            key = _OTHERS
        return self._commands.setdefault(key, _Command())
