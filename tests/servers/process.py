"""Child processes that cannot outlive the test run, and the account they run under.

A server is started below a small shell that holds one end of a pipe. When the other end closes, because ``stop`` was
called or because the test process died in whatever way, the shell signals the server, by its process id. Nothing is
ever looked up or ended by name.
"""

import contextlib
import functools
import itertools
import os
import pwd
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SUPERVISOR = """
exec 3<&0
"$@" </dev/null 3<&- >&2 &
server=$!
echo "$server"
exec >&2
{ read -r _ <&3; kill -s "$STOP_SIGNAL" "$server"; } 2>/dev/null &
watcher=$!
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"""
_PREFERRED_ACCOUNTS = ("postgres", "nobody")
_LEAST_PORT = 20_000
_PORTS = 12_000
"""Above those that the demo takes, below those that systems give to connections."""


class ServerDied(Exception):
    """A server ended, or did not become ready, while it was being started. The message carries the end of its log."""


@dataclass(frozen=True)
class Account:
    """The user that a server runs as, for programs that refuse to run as root."""

    name: str
    uid: int
    gid: int

    def may_read(self, path: Path) -> bool:
        """Whether this account can reach and execute ``path``: root's home directory, say, is closed to it."""
        test = subprocess.run(["test", "-x", str(path)], check=False, **self.subprocess_arguments(), cwd="/")
        return test.returncode == 0

    def subprocess_arguments(self) -> dict[str, Any]:
        """Arguments for ``subprocess`` that switch to this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@functools.cache
def unprivileged_account() -> Account | None:
    """The account for servers when the tests run as root; None when they do not, so that no switch is needed."""
    if os.geteuid() != 0:
        return None
    for name in _PREFERRED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ServerDied(f"running as root, and none of the accounts {_PREFERRED_ACCOUNTS} exists")


def free_port() -> int:
    """A loopback TCP port that was free a moment ago, and that this process has not had from here for long.

    Another program may take it: be ready to ask again.
    """
    for port in itertools.islice(_own_ports(), _PORTS):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise ServerDied("no port is free")


@functools.cache
def _own_ports() -> Iterator[int]:
    """The ports of this process in turn, again and again. Workers that run side by side have none in common."""
    share = worker_share(os.environ)
    start = secrets.randbelow(len(share))
    return itertools.cycle([*share[start:], *share[:start]])


def worker_share(environment: Mapping[str, str]) -> range:
    """The ports of the pytest worker with this environment; all of them when there are no workers."""
    count = int(environment.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(environment.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % count
    size = _PORTS // count
    return range(_LEAST_PORT + number * size, _LEAST_PORT + (number + 1) * size)


def accepts_connections(port: int) -> bool:
    """Whether something listens on the loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class ServerProcess:
    """One running server. Its standard output and error are appended to ``log``.

    ``pid`` is the server's own process id, not that of the shell above it.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        directory: Path,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISOR, "supervisor", *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=directory,
                env={**(os.environ if environment is None else environment), "STOP_SIGNAL": stop_signal.name[3:]},
                start_new_session=True,
                **(account.subprocess_arguments() if account else {}),
            )
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as first_line:
            self.pid = int(first_line.readline())

    @property
    def running(self) -> bool:
        return self._supervisor.poll() is None

    def signal(self, signal_number: signal.Signals) -> None:
        """Send a signal to the server, if it still runs."""
        if self.running:
            os.kill(self.pid, signal_number)

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = 30) -> None:
        """Return when ``ready()`` holds; stop the server and raise ServerDied when it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running or time.monotonic() > deadline:
                reason = "is not ready" if self.running else "ended at once"
                self.stop()
                raise ServerDied(f"server {reason}; its log ends with:\n{self.log_tail()}")
            time.sleep(0.01)

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def wait(self, *, timeout_s: float = 10) -> int:
        """Wait for the server to end by itself; returns its exit status. Raises subprocess.TimeoutExpired."""
        status = self._supervisor.wait(timeout_s)
        self._release()
        return status

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL)."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, *, timeout_s: float = 10) -> int:
        """Ask the server to end, insist when it does not; returns its exit status. Harmless when repeated."""
        self._release()
        for insist in (signal.SIGQUIT, signal.SIGKILL):
            try:
                return self._supervisor.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.signal(insist)
        return self._supervisor.wait(timeout_s)

    def _release(self) -> None:
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
