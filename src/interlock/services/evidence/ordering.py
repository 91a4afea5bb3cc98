"""Puts what was decided and what was said of a session in order: they are timed by two clocks that may drift apart."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from interlock.core.recording import Frame

AskedT = TypeVar("AskedT")


def in_order(
    asked: Iterable[tuple[int, int, int, AskedT]], frames: Iterable[Frame]
) -> Iterator[tuple[int, AskedT | Frame]]:
    """By time in microseconds, but no frame comes before the decision on its operation.

    What was ``asked`` has its time, its operation's number (0: of none), its rank among what has the same time, where
    frames have 1, and itself. Its order is kept.
    """
    waiting = iter(asked)
    head = next(waiting, None)
    reached = 0
    for frame in frames:
        while head is not None and ((head[0], head[2]) <= (frame.at_us, 1) or reached < frame.number):
            reached = max(reached, head[1])
            yield min(head[0], frame.at_us), head[3]
            head = next(waiting, None)
        yield frame.at_us, frame
    while head is not None:
        yield head[0], head[3]
        head = next(waiting, None)
