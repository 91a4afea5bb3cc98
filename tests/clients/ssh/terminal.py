"""A program in a terminal: what it writes is waited for, what a person would type is typed."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Final, Self

_DEADLINE_S: Final = 30


class Terminal:
    """One program in a terminal of its own, of 24 rows and 80 columns. A context manager."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._set_size(24, 80)
        self._process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=dict(environment), start_new_session=True
        )
        os.close(slave)
        self.seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    def wait_for(self, text: bytes) -> None:
        """Return when the program has written ``text``, from where the last wait has ended."""
        deadline = time.monotonic() + _DEADLINE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was not written: {self.seen!r}"
            assert self._read(), f"{text!r} was not written: {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size, of which the program is told."""
        self._set_size(rows, columns)
        self._process.send_signal(signal.SIGWINCH)

    def finish(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        return self._process.wait(_DEADLINE_S)

    def _set_size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> bool:
        readable, _, _ = select.select([self._master], [], [], _DEADLINE_S)
        assert readable, f"nothing more was written: {self.seen!r}"
        try:
            more = os.read(self._master, 65536)
        except OSError:  # what Linux says when nobody holds the other end
            return False
        self.seen += more
        return bool(more)
