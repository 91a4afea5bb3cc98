"""Starts mitmproxy as a reverse proxy: the other programmable proxy in Python.

It lives in a virtual environment of its own, because its requirements are not ours. The environment is made at first
use, in ``build/mitmproxy``, and kept.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import ServerProcess, accepts_connections, free_port

ENVIRONMENT = Path("build/mitmproxy")


class NoMitmproxy(Exception):
    """It cannot be had here. The text says why."""


@dataclass(frozen=True)
class RunningMitmproxy:
    port: int
    pid: int


def install_mitmproxy() -> Path:
    """The path of ``mitmdump``, installed when it is not there yet. Raises ``NoMitmproxy``."""
    program = ENVIRONMENT.resolve() / "bin" / "mitmdump"
    if not program.exists():
        _run(sys.executable, "-m", "venv", "--clear", ENVIRONMENT)
        _run(ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet", "mitmproxy")
    if not program.exists():
        raise NoMitmproxy("its package has no mitmdump")
    return program


@contextmanager
def start_mitmproxy(target_port: int) -> Iterator[RunningMitmproxy]:
    """Run it in front of a server on the loopback until the block ends. It prints and keeps nothing."""
    program, port = install_mitmproxy(), free_port()
    with tempfile.TemporaryDirectory(prefix="interlock-mitmproxy-") as name:
        options = ["--mode", f"reverse:http://127.0.0.1:{target_port}", "--listen-host", "127.0.0.1"]
        options += ["--listen-port", str(port), "--quiet", "--set", f"confdir={name}"]
        process = ServerProcess([program, *options], log=Path(name) / "server.log", directory=Path(name))
        try:
            process.wait_until(lambda: accepts_connections(port))
            yield RunningMitmproxy(port, process.pid)
        finally:
            process.stop()


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["it failed without a word"]
        raise NoMitmproxy(lines[-1])
