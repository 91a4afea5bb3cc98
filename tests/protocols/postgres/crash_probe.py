"""A child process of the crash tests: interprets nested texts and prints one line for each.

    python crash_probe.py SIZE main|thread SHAPE...

If the parser overruns the stack, this process dies and the test sees it.
"""

import sys
import threading
import time

from interlock.protocols.postgres.statements.interpreter import interpret
from tests.protocols.postgres.deep_texts import text_of_size


def probe(size: int, shapes: list[str]) -> None:
    """Interpret each shape at the size; print verb and seconds."""
    for shape in shapes:
        started = time.monotonic()
        verb = interpret(text_of_size(shape, size)).meaning.verb[:20]
        print(f"{shape}\t{verb}\t{time.monotonic() - started:.2f}", flush=True)


def main() -> None:
    """Probe on the main thread or on an ordinary one."""
    size, where, shapes = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if where == "main":
        probe(size, shapes)
        return
    thread = threading.Thread(target=probe, args=(size, shapes))
    thread.start()
    thread.join()


if __name__ == "__main__":
    main()
