"""A masking made ready for bodies: states for its fields, its detectors, its substitutes, and patterns for JSON.

It is made once for each masking and shared by all bodies.
"""

from functools import lru_cache
from typing import Final

from interlock.core.content.content import Content, replaced
from interlock.core.content.tally import Tally
from interlock.core.content.text_masker import TextMasker
from interlock.core.masking import Masking
from interlock.protocols.http.bodies.fields import ANY, FieldSelectors
from interlock.protocols.http.bodies.json_patterns import Runs, runs_without
from interlock.protocols.http.bodies.loose_fields import LooseFields
from interlock.protocols.http.bodies.substitutes import Substitutes

_PLANS: Final = 64


class Plan:
    """What is to be done to a body, in whatever format it is. ``content`` is None when no detector is on, ``loose``
    when no field has a name.

    ``runs`` match parts of one JSON object or array that need no closer look, but for what content detection suspects;
    it is None when all do.
    """

    def __init__(self, masking: Masking) -> None:
        self.fields = FieldSelectors(masking.fields)
        self.content = Content(masking.detectors) if masking.detectors else None
        named = {name: mask for name, mask in self.fields.by_last_name.items() if name not in ("", ANY)}
        self.loose = LooseFields(named) if named else None
        self.substitutes = Substitutes(masking.key)
        self.runs: Runs | None = None
        if not self.fields.masks_anything:
            self.runs = runs_without(self.fields.by_last_name, searched=self.content is not None)
        self.looks_into_texts = self.content is not None or self.loose is not None

    def text_masker(self, tally: Tally) -> TextMasker:
        """What masks one text that comes in pieces and is no document."""
        return TextMasker(self.content, tally, None if self.loose is None else self.loose.find)

    def candidates(self, block: bytes) -> list[int]:
        """Starts and ends, in turn, ascending and apart, of the places in ``block`` that need a closer look.

        In what no candidate touches, and which has no backslash in it, ``clean`` finds nothing.
        """
        hints = self.loose.hints(block) if self.loose is not None else []
        found = self.content.candidates(block) if self.content is not None else []
        if not hints:
            return found
        spans = sorted([*hints, *zip(found[::2], found[1::2], strict=True)])
        apart: list[int] = []
        for start, end in spans:
            if apart and start <= apart[-1]:
                apart[-1] = max(apart[-1], end)
            else:
                apart += (start, end)
        return apart

    def clean(self, text: bytes, tally: Tally, before: bytes = b"", behind: bytes = b"") -> bytes:
        """A text that is no document, without what must not be seen; see ``Content.clean``.

        Raises ``BodyRefused`` for a field that must not occur.
        """
        if self.loose is not None and (found := self.loose.find(text)):
            text = replaced(text, 0, len(text), found)
        return text if self.content is None else self.content.clean(text, tally, before, behind)


@lru_cache(maxsize=_PLANS)
def plan_for(masking: Masking) -> Plan:
    """The plan of a masking. Callers of one principal share a masking, and so its plan."""
    return Plan(masking)
