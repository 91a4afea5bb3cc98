"""The run of an agent that a session is part of, as the client says it: asserted, never proof.

Pure: reads a text, remembers nothing.
"""

import re
from typing import Final

_TRACE_PARENT: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?![0-9a-f])")
_TRACE: Final = re.compile(r"(?<![0-9A-Za-z])trace_([0-9a-f]{32})(?![0-9a-f])")
_BARE: Final = re.compile(r"([0-9a-f]{32})")
_NONE: Final = "0" * 32  # what W3C Trace Context does not allow as a trace-id


def run_in(text: str) -> str:
    """The trace id, 32 hexadecimal digits, of the traceparent or ``trace_…`` that is in the text; empty without one."""
    return _first(_TRACE_PARENT.search(text) or _TRACE.search(text))


def run_of(name: str) -> str:
    """The trace id that a name of a run stands for; empty when it is none."""
    return _first(_BARE.fullmatch(name)) or run_in(name)


def is_run(trace: str, name: str) -> bool:
    """Whether a trace id is that of the run with this name; every run has no name."""
    return not name or trace == (run_of(name) or name)


def _first(found: re.Match[str] | None) -> str:
    return found[1] if found is not None and found[1] != _NONE else ""
