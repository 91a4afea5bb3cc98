"""Masks a text as a whole, whatever is in it."""

from interlock.core.content.tally import Tally
from interlock.core.masking import ColumnMask
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.substitutes import permitted


class ValueMasker:
    """A text that is one value under ``mask``. Nothing of it goes on."""

    def __init__(self, mask: ColumnMask, plan: Plan, tally: Tally) -> None:
        self._mask = mask
        self._plan = plan
        self._tally = tally
        self._came = False

    def feed(self, data: bytes) -> bytes:
        """Nothing. Raises ``BodyRefused`` for a value that must not occur."""
        permitted(self._mask)
        self._came = self._came or bool(data.strip())
        return b""

    def finish(self) -> bytes:
        """What stands for the text."""
        self._tally.masked_values += self._came
        return (self._plan.substitutes.structure(self._mask) or "").encode() if self._came else b""
