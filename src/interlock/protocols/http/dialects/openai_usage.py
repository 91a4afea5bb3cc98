"""How many tokens a request to a model used: what its answer says (``usage``, in either API), else an estimate."""

from collections.abc import Mapping
from typing import Final

import msgspec

_BYTES_PER_TOKEN: Final = 4
_SIDES: Final = ("input", "output", "prompt", "completion")


class Usage:
    """Of one request of ``request_bytes``. An answer that is no success uses nothing unless it says so."""

    def __init__(self, request_bytes: int, success: bool) -> None:
        self._bytes = request_bytes
        self._success = success
        self._said = 0

    @property
    def tokens(self) -> int:
        """What the answer says; an estimate by what went by so far as long as it does not say."""
        if self._said or not self._success:
            return self._said
        return -(-self._bytes // _BYTES_PER_TOKEN)

    def passed(self, size: int) -> None:
        """So many bytes of the answer went by."""
        self._bytes += size

    def read(self, data: bytes) -> None:
        """A JSON text of the answer; of several the last one counts. What is none says nothing."""
        if b'"usage"' in data:
            try:
                self._said = tokens_in(msgspec.json.decode(data)) or self._said
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return


def tokens_in(document: object) -> int:
    """Tokens of input and output together, 0 when the document does not say."""
    if not isinstance(document, Mapping):
        return 0
    response = document.get("response")
    usage = document.get("usage") or (response.get("usage") if isinstance(response, Mapping) else None)
    if not isinstance(usage, Mapping):
        return 0
    return max(_count(usage.get("total_tokens")), sum(_count(usage.get(f"{side}_tokens")) for side in _SIDES))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
