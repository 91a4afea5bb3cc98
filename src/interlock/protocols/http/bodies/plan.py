"""A masking made ready for bodies: states for its fields, its detectors, its substitutes, and patterns for JSON.

It is made once for each masking and shared by all bodies.
"""

import re
from functools import lru_cache
from typing import Final

from interlock.core.masking import Masking
from interlock.protocols.http.bodies.content import Content
from interlock.protocols.http.bodies.fields import FieldSelectors
from interlock.protocols.http.bodies.json_patterns import member_run
from interlock.protocols.http.bodies.substitutes import Substitutes

_PLANS: Final = 64


class Plan:
    """What is to be done to a body, in whatever format it is. ``content`` is None when no detector is on.

    ``members`` matches a run of members of one JSON object that need no closer look, but for what content detection
    suspects; it is None when every member needs one.
    """

    def __init__(self, masking: Masking) -> None:
        self.fields = FieldSelectors(masking.fields)
        self.content = Content(masking.detectors) if masking.detectors else None
        self.substitutes = Substitutes(masking.key)
        self.members: re.Pattern[bytes] | None = None
        if not self.fields.masks_anything:
            self.members = member_run(self.fields.last_names, exponents=self.content is None)


@lru_cache(maxsize=_PLANS)
def plan_for(masking: Masking) -> Plan:
    """The plan of a masking. Callers of one principal share a masking, and so its plan."""
    return Plan(masking)
