"""How often a caller may ask: token buckets in bounded memory."""

import math
from collections import OrderedDict
from collections.abc import Hashable

import msgspec

from interlock.services.ports import Clock


class _Bucket(msgspec.Struct):
    """``tokens`` as they were at ``at_s``."""

    tokens: float
    at_s: float


class RateLimit:
    """So many a minute for each key, all of them at once if need be.

    Of more than ``max_keys`` keys the one that asked longest ago is forgotten, which favours it: it starts afresh.
    """

    def __init__(self, per_minute: int, clock: Clock, max_keys: int = 10_000) -> None:
        self._capacity = float(per_minute)
        self._per_s = per_minute / 60
        self._clock = clock
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, key: Hashable) -> int:
        """Use one up. Returns 0, or in how many whole seconds there will be another when there is none left."""
        bucket = self._refilled(key)
        if wait_s := self._until_next_s(bucket):
            return wait_s
        bucket.tokens -= 1
        return 0

    def wait_s(self, key: Hashable) -> int:
        """The same without using one up."""
        return self._until_next_s(self._refilled(key)) if key in self._buckets else 0

    def _until_next_s(self, bucket: _Bucket) -> int:
        return 0 if bucket.tokens >= 1 else max(1, math.ceil((1 - bucket.tokens) / self._per_s))

    def _refilled(self, key: Hashable) -> _Bucket:
        now_s = self._clock.monotonic_s()
        bucket = self._buckets.pop(key, None) or _Bucket(self._capacity, now_s)
        bucket.tokens = min(self._capacity, bucket.tokens + (now_s - bucket.at_s) * self._per_s)
        bucket.at_s = now_s
        if len(self._buckets) >= self._max_keys:
            self._buckets.popitem(last=False)
        self._buckets[key] = bucket
        return bucket
