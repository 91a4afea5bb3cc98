"""One open handle of the target: whose operation it belongs to, and what went through it."""

from typing import Final

from interlock.protocols.ssh.sftp.answers import Status
from interlock.protocols.ssh.sftp.digests import RangeDigest
from interlock.protocols.ssh.sftp.requests import Opening
from interlock.protocols.ssh.sftp.running import Running


class OpenFile:
    """A file or directory that a permitted request has opened."""

    def __init__(self, opening: Opening, running: Running) -> None:
        self.opening: Final = opening
        self.running: Final = running
        self.read: Final = RangeDigest()
        self.written: Final = RangeDigest()
        self.listed = 0
        self.failure: Status | None = None
        """The first of its reads and writes that has failed, for another reason than the end of the file."""
        running.describe = self.describe

    @property
    def names(self) -> tuple[str, ...]:
        return self.opening.names

    @property
    def can_read(self) -> bool:
        return self.opening.can_read

    @property
    def can_write(self) -> bool:
        return self.opening.can_write

    def scatter(self) -> None:
        """The target writes to it by itself, so that nobody here sees what."""
        self.written.give_up()

    def write(self, offset: int, data: memoryview) -> None:
        if self.opening.appends:
            self.written.append(data)
        else:
            self.written.add(offset, data)

    def fail(self, status: Status) -> None:
        self.failure = self.failure or status

    def describe(self) -> str:
        """``READ 1234 bytes sha256:…``, ``WROTE …``, ``LISTED 12``."""
        if self.opening.directory:
            return f"LISTED {self.listed}"
        read = f"READ {self.read.describe()}" if self.read.total_bytes or not self.can_write else ""
        written = f"WROTE {self.written.describe()}" if self.written.total_bytes or not read else ""
        return "; ".join(part for part in (read, written) if part)
