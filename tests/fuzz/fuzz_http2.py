"""What a client sends over HTTP/2 after its greeting, in any cut: no error, bounded answers, drivers that all end.

The first byte is the size of the pieces.
"""

import asyncio
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.runtime"]):
    import interlock.runtime.http2_connection  # noqa: F401 - what is instrumented

from tests.fuzz.target import run
from tests.runtime.test_http2_garbage import GREETING, take_garbage

LOOP = asyncio.new_event_loop()


def test_one_input(data: bytes) -> None:
    size, stream = (data[0] or 1, data[1:]) if data else (1, b"")
    LOOP.run_until_complete(take_garbage(GREETING + stream, [size]))


if __name__ == "__main__":
    run("http2", test_one_input)
