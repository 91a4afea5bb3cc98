"""Masks what is detected in data in which nothing may move, such as a file that is read in parts: stars, byte by byte.

Looks at a whole text at once. Of a value that begins or ends outside of ``data`` it knows nothing.
"""

from collections import Counter

from interlock.core.content.content import Content
from interlock.core.content.readable import is_by_chance, lines_that_are_no_text, readable
from interlock.core.masking import ANY_NAME, Masking

_KEPT = b"\t\n\r"
_STARS = bytes(byte if byte in _KEPT else ord("*") for byte in range(256))


def stars(text: bytes) -> bytes:
    """A star for each byte, but for tabs and the ends of lines."""
    return text.translate(_STARS)


def mask_same_length(data: bytes, masking: Masking | None) -> tuple[bytes, dict[str, int]]:
    """``data`` with stars for what must not be seen, and how much of each detector class was found.

    What is only reported is counted, too. Where every value is masked all is stars.
    """
    if masking is None or not data:
        return data, {}
    if ANY_NAME in masking.fields:
        return stars(data), {}
    if not masking.detectors:
        return data, {}
    content, no_text = Content(masking.detectors), lines_that_are_no_text(data)
    text = readable(data, no_text).replace(b"\0", b"\f")  # before a NUL byte detection expects binary forms
    masked, reported = (
        [finding for finding in found if not is_by_chance(data, finding, no_text)]
        for found in (content.findings(text), content.reported(text))
    )
    parts: list[bytes] = []
    position = 0
    for finding in masked:
        parts += (data[position : finding.start], stars(data[finding.start : finding.end]))
        position = finding.end
    parts.append(data[position:])
    return b"".join(parts), dict(Counter(finding.detector for finding in (*masked, *reported)))
