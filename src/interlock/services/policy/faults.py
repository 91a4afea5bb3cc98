"""The seam to the policy engine's native code: its panics become ordinary exceptions.

A panic in native code arrives as an exception outside ``Exception``; nothing else that is outside (a cancelled task, an
interrupt) may be swallowed with it.
"""

import contextlib
from collections.abc import Iterator


class EngineFault(Exception):
    """The policy engine failed in its own code."""


@contextlib.contextmanager
def engine_faults() -> Iterator[None]:
    """Turn a panic into ``EngineFault``; let all else pass."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise EngineFault(type(error).__name__) from error
        raise
