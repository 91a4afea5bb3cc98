"""Which lines of output have to be looked at together. What is found in a unit depends on nothing outside of it.

A unit is a line, with those before it that go on in it: base64 or hexadecimal text over several lines, and a word that
tells what the next line is ("phone:"). Where units end depends on what is in them alone, never on how output is cut.
"""

import re
from typing import Final

from interlock.core.patterns import Pattern
from interlock.protocols.ssh.masking.readings import readings

ENCODED_LINE: Final = rb"[A-Za-z0-9+/]{15,}"
_ENCODED: Final = re.compile(ENCODED_LINE + rb"\r*\n")
_TOLD: Final = Pattern(
    rb"(?i:ssn|social[ _-]?security|telefon|phone|tel|fax|mobile|mobil|cell|handy|whatsapp)"
    rb"(?i:[ _-]?(?:number|num|no|nr))?[.\"'\\]*\s*[:=#]?\s*\z"
)
_LOOKED_BACK_BYTES: Final = 1024


def unit_start(output: bytes, end: int, known: int = 0) -> int:
    """Where the unit begins that the line is in which ends behind ``end``, which is the end of another line.

    When every line that ends before ``known`` is known to be of one unit, it is not looked at anew.
    """
    while end > 0:
        start = output.rfind(b"\n", 0, end - 1) + 1
        if not _goes_on(output, start, end):
            return end
        end = start if start >= known else 0
    return 0


def settled(output: bytes, known: int) -> int:
    """How much of ``output`` is whole units, whatever follows."""
    end = output.rfind(b"\n") + 1
    return unit_start(output, end, known) if end > known else 0


def _goes_on(output: bytes, start: int, end: int) -> bool:
    """Whether the line ``output[start:end]`` goes on in the next one."""
    if _ENCODED.fullmatch(output, start, end):
        return True
    # Blank lines may be between a word and what it tells of.
    tail = output[max(0, end - _LOOKED_BACK_BYTES) : end]
    return any(
        _ENCODED.fullmatch(reading.text, reading.text.rfind(b"\n", 0, -1) + 1) or any(_TOLD.spans(reading.text))
        for reading in readings(tail)
    )
