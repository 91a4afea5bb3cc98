"""Masks ``application/x-www-form-urlencoded`` bodies (URL Standard, section 5).

Pairs may be apart by ``&`` or ``;``, since there are readers for both. A pair of which nothing is masked
stays as it is.
"""

import re
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused, Malformed
from interlock.protocols.http.bodies.texts import masked_field

MAX_PAIR_BYTES: Final = 1 << 20
_SEPARATOR: Final = re.compile(rb"([&;])")


class FormMasker:
    """One form."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self._plan = plan
        self._tally = tally
        self._held: list[bytes] = []
        self._held_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """The pairs that are whole by now. Raises ``BodyRefused``."""
        if b"\0" in data:
            raise Malformed("it has a NUL character")
        first, *others = _SEPARATOR.split(data)
        self._hold(first)
        parts: list[bytes] = []
        for separator, pair in zip(others[::2], others[1::2], strict=True):
            parts += (self.finish(), separator)
            self._hold(pair)
        return b"".join(parts)

    def finish(self) -> bytes:
        """The last pair. Raises ``BodyRefused``."""
        pair = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        if not pair:
            return b""
        name, equals, value = pair.partition(b"=")
        read = _read(name)
        clean = self._plan.clean(read.encode(), self._tally).decode()
        place = self._plan.fields.root.member(read.encode())
        text = _read(value)
        masked = masked_field(text, self._plan, self._tally, place, read)
        return _written(name, read, clean) + equals + _written(value, text, masked)

    def _hold(self, part: bytes) -> None:
        self._held.append(part)
        self._held_bytes += len(part)
        if self._held_bytes > MAX_PAIR_BYTES:
            raise BodyRefused(f"it has a form field of more than {MAX_PAIR_BYTES} bytes")


def _read(written: bytes) -> str:
    try:
        return unquote_to_bytes(written.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise Malformed("it has a form field that is not UTF-8") from None


def _written(before: bytes, read: str, masked: str) -> bytes:
    return before if masked == read else quote_plus(masked, safe="*").encode()
