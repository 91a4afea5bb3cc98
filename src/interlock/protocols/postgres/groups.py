"""Messages that are decided together, up to a Sync, a Flush or a simple query."""

from interlock.core.operation import Operation
from interlock.protocols.postgres.outstanding import Entry


class Group:
    """Messages that are decided together."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.entries: list[Entry | None] = []
        self.operations: list[Operation] = []
        self.cuts: list[int] = []
        self.size_bytes = 0
        self.copy_in: Entry | None = None
        self.names_statement = False
        """It prepares a statement under a name, which cannot be done twice."""

    def add(self, message: bytes, entry: Entry | None) -> None:
        self.messages.append(message)
        self.entries.append(entry)
        self.size_bytes += len(message)
        if entry is not None and entry.copy_in:
            self.copy_in = entry

    def ask(self, operation: Operation) -> int:
        """Add an operation that a denial cuts off at the next message. Its index."""
        self.operations.append(operation)
        self.cuts.append(len(self.messages))
        return len(self.operations) - 1
