"""One timer of a session, which is set anew far more often than it goes off."""

import asyncio
from collections.abc import Callable


class SessionTimer:
    """Calls ``passed`` once the time that was set last is over."""

    def __init__(self, passed: Callable[[], None]) -> None:
        self._passed = passed
        self._handle: asyncio.TimerHandle | None = None
        self._fires_at_s = 0.0
        self._due_s = 0.0

    def set(self, after_s: float) -> None:
        """In so many seconds, in place of what was set before; 0: not at all.

        A handle that would fire earlier is left to do so, and looks again then.
        """
        if not after_s:
            self._due_s = 0.0
            return
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + after_s
        if self._handle is None or self._fires_at_s > self._due_s:
            self._start(loop)

    def stop(self) -> None:
        """Never again."""
        self._due_s = 0.0
        if self._handle is not None:
            self._handle.cancel()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._fires_at_s = self._due_s
        self._handle = loop.call_at(self._due_s, self._fire)

    def _fire(self) -> None:
        self._handle = None
        if not self._due_s:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._due_s:
            self._start(loop)
        else:
            self._due_s = 0.0
            self._passed()
