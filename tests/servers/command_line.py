"""Runs ``interlock`` in a process of its own, forked from one that has its modules: a fresh one takes a second."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["interlock.__main__", "tests.servers.command_line"])


def run_interlock(
    arguments: Sequence[str],
    directory: Path,
    *,
    check: bool = True,
    timeout_s: float = 60,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """What it printed and its exit status. ``environment`` is added to this one. Raises as ``subprocess.run`` does."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        files = _Files(output.fileno(), errors.fileno())
        process = _CONTEXT.Process(target=_run, args=(list(arguments), str(directory), files, dict(environment or {})))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout_s)
        output.seek(0)
        errors.seek(0)
        done = subprocess.CompletedProcess(list(arguments), process.exitcode, output.read(), errors.read())
    if check:
        done.check_returncode()
    return done


class _Files:
    """Standard output and error of the child, carried over to it."""

    def __init__(self, output: int, errors: int) -> None:
        self._output = output
        self._errors = errors

    def __getstate__(self) -> tuple[object, object]:
        from multiprocessing.reduction import DupFd

        return DupFd(self._output), DupFd(self._errors)

    def __setstate__(self, state: tuple[object, object]) -> None:
        self._output, self._errors = (one.detach() for one in state)  # type: ignore[attr-defined]

    def take_over(self) -> None:
        os.dup2(self._output, 1)
        os.dup2(self._errors, 2)


def _run(arguments: list[str], directory: str, files: _Files, environment: dict[str, str]) -> None:
    from interlock.__main__ import main

    files.take_over()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = ["interlock", *arguments]
    with Path(os.devnull).open() as sys.stdin:
        main()
