"""Large files through a command and by SFTP, both directions: megabytes a second. The clients are OpenSSH's own.

The connection is there before: a shared one (``ControlMaster``), so that logging in does not count.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import processor_s
from benchmarks.ssh_ways import Way

_POLL_S = 0.02
_DEADLINE_S = 30


@dataclass(frozen=True)
class Transfer:
    """What came of one transfer. ``processor_ms`` is of the way in the middle; 0 where there is none."""

    megabytes_per_s: float
    processor_ms: float


@contextmanager
def shared_connection(way: Way) -> Iterator[list[str]]:
    """Options with which programs use one connection that is open until the block ends."""
    options = ["-o", f"ControlPath={way.ssh.directory}/shared"]
    words = way.ssh.words("ssh", *options, "-o", "ControlMaster=yes", "-N", "target")
    with subprocess.Popen(words, env=way.ssh.environment, stdin=subprocess.DEVNULL) as master:
        try:
            _wait_for(way.ssh.directory / "shared", master)
            yield options
        finally:
            master.terminate()


def _wait_for(socket: Path, master: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + _DEADLINE_S
    while not socket.exists():
        if master.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError("the shared connection could not be opened")
        time.sleep(_POLL_S)


def exec_read(way: Way, options: list[str], file: Path) -> Transfer:
    """``cat`` of a file at the host."""
    return _transfer(way, file, way.ssh.words("ssh", *options, "target", f"cat {file}"))


def exec_write(way: Way, options: list[str], file: Path) -> Transfer:
    """A file as the input of a command that drops it."""
    return _transfer(way, file, way.ssh.words("ssh", *options, "target", "cat > /dev/null"), source=file)


def sftp_get(way: Way, options: list[str], file: Path) -> Transfer:
    return _sftp(way, options, file, f"get {file} {way.ssh.directory}/got")


def sftp_put(way: Way, options: list[str], file: Path) -> Transfer:
    return _sftp(way, options, file, f"put {file} {way.ssh.place}/put")


def _sftp(way: Way, options: list[str], file: Path, command: str) -> Transfer:
    batch = way.ssh.directory / "batch"
    batch.write_text(command + "\n")
    return _transfer(way, file, way.ssh.words("sftp", *options, "-q", "-b", str(batch), "target"))


def _transfer(way: Way, file: Path, words: list[str], source: Path = Path("/dev/null")) -> Transfer:
    """Raises RuntimeError when it fails."""
    before = processor_s(way.pid) if way.pid is not None else 0.0
    started = time.perf_counter()
    with source.open("rb") as given:
        done = subprocess.run(
            words,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=way.ssh.environment,
            check=False,
        )
    seconds = time.perf_counter() - started
    used_s = processor_s(way.pid) - before if way.pid is not None else 0.0
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]} through {way.name} failed: {done.stderr.decode(errors='replace')}")
    return Transfer(file.stat().st_size / 1e6 / seconds, used_s * 1000)
