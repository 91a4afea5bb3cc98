"""A program in the place of this one: what becomes of signals, and of its exit status."""

import os
import signal
import subprocess
import sys

import pytest

from interlock.surfaces.cli.child_program import run_program

_PARENT = """
import os, sys
from interlock.surfaces.cli.child_program import run_program
sys.exit(run_program([sys.executable, "-c", sys.argv[1]], os.environ))
"""
_CHILD = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("ready", flush=True)
{then}
signal.pause()
"""


@pytest.mark.parametrize(
    ("code", "status"),
    [("pass", 0), ("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)],
)
def test_the_exit_status_is_the_programs(code: str, status: int) -> None:
    assert run_program([sys.executable, "-c", code], os.environ) == status


def test_signals_are_as_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    run_program(["true"], os.environ)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.parametrize(
    ("then", "status"),
    [("os.kill(os.getppid(), signal.SIGTERM)", 5), ("os.kill(os.getppid(), signal.SIGINT); sys.exit(6)", 6)],
)
def test_who_ends_this_one_ends_the_program(then: str, status: int) -> None:
    """An interrupt is the terminal's, which has told the program as well: it decides what that means."""
    words = [sys.executable, "-c", _PARENT, _CHILD.format(then=then)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("ready\n", status), done.stderr
