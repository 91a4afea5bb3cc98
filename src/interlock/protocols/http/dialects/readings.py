"""Remembers what requests mean: equal ones get the identical meaning, by which policy keeps its verdicts."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from interlock.protocols.http.dialects.base import Reading, Request

MAX_KEPT: Final = 2000
MAX_KEPT_BODY_BYTES: Final = 4096


class Readings:
    """The readings of the most recently used requests; those with long bodies are never kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], Reading] = OrderedDict()

    def of(self, request: Request, key: tuple[object, ...], read: Callable[[Request], Reading]) -> Reading:
        """The reading of a request; ``key`` is everything that ``read`` looks at."""
        if request.body is not None and len(request.body) > MAX_KEPT_BODY_BYTES:
            return read(request)
        reading = self._kept.get(key)
        if reading is None:
            reading = self._kept[key] = read(request)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return reading
