"""Something that is fetched and kept: it expires, changes, and stays in use for a while when it cannot be had.

It is fetched again when it is older than its time to live and when somebody misses something in it, in both cases at
most once in ``COOLDOWN_S`` and by one login at a time. It decides nothing about what it keeps.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

from interlock.adapters.identity.issuer_client import FetchFailed
from interlock.services.ports import Clock

COOLDOWN_S: Final = 10.0

log = structlog.get_logger(__name__)

KeptT = TypeVar("KeptT")


class Kept(Generic[KeptT]):
    """``generation`` grows whenever what is kept changes.

    ``fetch`` raises FetchFailed. ``same`` says whether two of them are one; ``ttl_s`` how long one is used before it is
    fetched again, ``max_stale_s`` how long when that fails, both counted from its fetch.
    """

    def __init__(
        self,
        label: str,
        clock: Clock,
        fetch: Callable[[], Awaitable[KeptT]],
        same: Callable[[KeptT, KeptT], bool],
        ttl_s: Callable[[KeptT], float],
        max_stale_s: float,
    ) -> None:
        self.generation = 0
        self._label = label
        self._clock = clock
        self._fetch = fetch
        self._same = same
        self._ttl_s = ttl_s
        self._max_stale_s = max_stale_s
        self._value: KeptT | None = None
        self._fetched_at_s = 0.0
        self._attempted_at_s: float | None = None
        self._attempts = 0
        self._fetching = asyncio.Lock()

    async def current(self) -> KeptT | None:
        """What may be used now, fetched anew when it is old; None when there is nothing."""
        value = self._value
        is_fresh = value is not None and self._is_younger_than(self._ttl_s(value))
        # Whoever comes while it is being fetched goes on with what there is.
        if not is_fresh and not (self._usable() is not None and self._fetching.locked()):
            await self.fetch_again()
        return self._usable()

    async def fetch_again(self) -> KeptT | None:
        """The same, fetched anew unless that was tried a moment ago."""
        attempts = self._attempts
        async with self._fetching:
            if self._attempts == attempts and not self._is_cooling():
                await self._attempt()
        return self._usable()

    async def _attempt(self) -> None:
        try:
            value = await self._fetch()
        except FetchFailed as failure:
            log.warning("issuer keys not fetched", issuer=self._label, reason=str(failure))
        else:
            self._take(value)
        self._attempts += 1
        self._attempted_at_s = self._clock.monotonic_s()

    def _take(self, value: KeptT) -> None:
        if self._value is None or not self._same(value, self._value):
            self.generation += 1
            log.info("issuer keys changed", issuer=self._label)
        self._value = value
        self._fetched_at_s = self._clock.monotonic_s()

    def _usable(self) -> KeptT | None:
        value = self._value
        if value is None or not self._is_younger_than(max(self._ttl_s(value), self._max_stale_s)):
            return None
        return value

    def _is_younger_than(self, age_s: float) -> bool:
        return self._clock.monotonic_s() - self._fetched_at_s < age_s

    def _is_cooling(self) -> bool:
        return self._attempted_at_s is not None and self._clock.monotonic_s() - self._attempted_at_s < COOLDOWN_S
