"""How many tokens a request to a model used: what its answer says (``usage``, in either API), else an estimate."""

from collections.abc import Mapping
from typing import Final

import msgspec

_BYTES_PER_TOKEN: Final = 4
_EVENT_BYTES: Final = 256
"""About what an event has around its piece of text, which is a token as a rule."""
_SIDES: Final = ("input", "output", "prompt", "completion")


class Usage:
    """Of one request of ``request_bytes``. An answer that is no success uses nothing unless it says so."""

    def __init__(self, request_bytes: int, success: bool) -> None:
        self._request = request_bytes
        self._success = success
        self._bytes = 0
        self._events = 0
        self._said = 0

    @property
    def tokens(self) -> int:
        """What the answer says; as long as it does not, an estimate by what went by so far."""
        if self._said or not self._success:
            return self._said
        return _tokens(self._request) + (self._events or _tokens(self._bytes))

    def passed(self, size: int) -> None:
        """So many bytes of the answer went by."""
        self._bytes += size

    def read_event(self, data: bytes) -> None:
        """One event of a streamed answer; of several that say what was used the last one counts."""
        self._events += event_tokens(data)
        self.read(data)

    def read(self, data: bytes) -> None:
        """A JSON text of the answer. What is none says nothing."""
        self._said = said_tokens(data) or self._said


def said_tokens(data: bytes) -> int:
    """Tokens that a JSON text says were used, 0 when it does not."""
    if b'"usage"' not in data:
        return 0
    try:
        return tokens_in(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


def event_tokens(data: bytes) -> int:
    """About how many tokens an event brings."""
    return max(1, _tokens(len(data) - _EVENT_BYTES))


def tokens_in(document: object) -> int:
    """Tokens of input and output together, 0 when the document does not say."""
    if not isinstance(document, Mapping):
        return 0
    response = document.get("response")
    usage = document.get("usage") or (response.get("usage") if isinstance(response, Mapping) else None)
    if not isinstance(usage, Mapping):
        return 0
    return max(_count(usage.get("total_tokens")), sum(_count(usage.get(f"{side}_tokens")) for side in _SIDES))


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
