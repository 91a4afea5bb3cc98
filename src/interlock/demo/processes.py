"""The processes that the demo starts, and how they end: by their process id, whatever becomes of the demo itself.

A guard, a small shell, is told the id of every process. When its standard input closes without a word of farewell,
the demo has died, and the guard ends them. Each runs in a session of its own, so that Ctrl-C in the terminal reaches
the demo only, which then ends them in order.
"""

import contextlib
import os
import pwd
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

_GUARD: Final = """
while read -r word; do
    [ "$word" = farewell ] && exit
    started="$word $started"
done
kill -s INT $started
"""
_PREFERRED_ACCOUNTS: Final = ("postgres", "nobody")
_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.05
_LEAST_PORT: Final = 10_000
_PORTS: Final = 10_000


class DemoFailed(Exception):
    """The demo cannot go on. The text says why, for people."""


@dataclass(frozen=True)
class Account:
    """Whom a program runs as that refuses to run as root."""

    name: str
    uid: int
    gid: int

    def may_execute(self, path: Path) -> bool:
        """Whether this account can reach ``path``: root's home directory, say, is closed to it."""
        test = subprocess.run(["test", "-x", path], check=False, cwd="/", **self.arguments())  # noqa: S603, S607
        return test.returncode == 0

    def arguments(self) -> dict[str, Any]:
        """Arguments for ``subprocess`` that switch to this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def other_account() -> Account | None:
    """An account to use in place of root; None when we are not root. Raises ``DemoFailed`` when there is none."""
    if os.geteuid() != 0:
        return None
    for name in _PREFERRED_ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise DemoFailed(f"PostgreSQL does not run as root, and there is no account {' or '.join(_PREFERRED_ACCOUNTS)}")


def free_ports(count: int) -> list[int]:
    """So many different loopback ports that were free a moment ago.

    They are not among those that systems give to connections, so that none is taken before it is used.
    """
    found: list[int] = []
    while len(found) < count:
        port = _LEAST_PORT + secrets.randbelow(_PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            found += [port] if port not in found else []
    return found


class Process:
    """A process that runs until it is stopped. What it prints goes to ``log``."""

    def __init__(self, command: Sequence[str | Path], log: Path, account: Account | None) -> None:
        self._name = Path(command[0]).name
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - programs of this machine, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=log.parent,
                start_new_session=True,
                **(account.arguments() if account else {}),
            )
        self.pid = self._process.pid

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return when ``ready()`` holds. Raises ``DemoFailed`` when the process ends or takes too long."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                end = self._log.read_text(errors="replace")[-2000:]
                raise DemoFailed(f"{self._name} did not start; its log ends with:\n{end}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Ask it to end; insist when it does not. Harmless when repeated."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Processes:
    """All that the demo has started; ended in reverse order. Use it as a context manager."""

    def __init__(self) -> None:
        self._started: list[Process] = []
        self._guard = subprocess.Popen(  # noqa: S603 - a fixed script
            ["/bin/sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while self._started:
                self._started[-1].stop()
                self._started.pop()
        finally:
            if not self._started:
                self._tell("farewell")
            assert self._guard.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
            self._guard.wait()

    def start(self, command: Sequence[str | Path], log: Path, account: Account | None = None) -> Process:
        """Start a program. Raises ``OSError``."""
        process = Process(command, log, account)
        self._started.append(process)
        self._tell(str(process.pid))
        return process

    def _tell(self, word: str) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.write(word + "\n")
            self._guard.stdin.flush()
