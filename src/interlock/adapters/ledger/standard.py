"""Standard durability: a record is accepted when the operating system has it; the disk follows within a second.

Survives the end of the process in any way (SIGKILL included). A power cut or a crash of the machine may take the last
second.
"""

from interlock.adapters.ledger.ledger import FileLedger
from interlock.core.errors import LedgerUnavailable
from interlock.core.ledger import AnyRecord


class StandardLedger(FileLedger):
    """Writes on the caller's thread: ``append`` returns None or raises."""

    def append(self, record: AnyRecord) -> None:
        """Write the record and every note before it in one system call. Raises ``LedgerUnavailable``."""
        timed = self._timed(record)
        with self._lock:
            self._accept()
            if self._fault:
                raise LedgerUnavailable(self._fault)
            self._waiting.append(timed)
            try:
                self._journal.write(self._waiting)
            except OSError as error:
                self._waiting.pop()
                raise LedgerUnavailable(f"the ledger's disk: {error.strerror}") from None
            self._journal.commit()
            self._waiting.clear()

    def append_now(self, record: AnyRecord) -> None:
        self.append(record)
        try:
            with self._disk_lock:
                self._journal.sync()
        except OSError as error:
            raise LedgerUnavailable(f"the ledger's disk: {error.strerror}") from None

    def _flush(self) -> None:
        with self._lock:
            if self._waiting:
                self._journal.write(self._waiting)
                self._journal.commit()
                self._waiting.clear()
