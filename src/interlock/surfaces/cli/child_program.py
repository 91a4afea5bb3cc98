"""Runs a program in the place of this one: its terminal, its signals, its exit status."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final

_BY_SIGNAL: Final = 128
"""What a shell adds to a signal's number when a program ended by one."""
_FROM_THE_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends them to the program as well."""
_PASSED_ON: Final = (signal.SIGTERM, signal.SIGHUP)


def run_program(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status. Raises OSError when the program cannot be run."""
    child = subprocess.Popen(words, env=dict(environment))  # noqa: S603 - what the person asked for

    def pass_on(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    before = {number: signal.signal(number, signal.SIG_IGN) for number in _FROM_THE_TERMINAL}
    before |= {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        status = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else _BY_SIGNAL - status
