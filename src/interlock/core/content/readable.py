"""Which bytes of data that may be anything are text, line by line, and what in them looks like a value by chance only.

A line that is UTF-8 is text as it is. Of any other, only what is ASCII is: a compressed or encrypted stream is full of
bytes that a pattern may take for letters of some language.
"""

import re
import sys
from bisect import bisect_right
from typing import Final

from interlock.core.detection import Finding

Spans = list[tuple[int, int]]

ONLY_ASCII: Final = bytes(range(128)) + b" " * 128
"""For ``bytes.translate``: blanks for all other bytes."""
_SHORTEST_RUN_BYTES: Final = 12
"""In a line that is no text, something shorter than that is an e-mail address once in a few megabytes."""
_RUN: Final = re.compile(rb"[\x20-\x7e]+")


def is_text(data: bytes) -> bool:
    """Whether this is UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def lines_that_are_no_text(data: bytes) -> Spans:
    """Where lines are that are not UTF-8, without what ends them."""
    if is_text(data):
        return []
    spans: Spans = []
    start = 0
    for line in data.split(b"\n"):
        if not is_text(line):
            spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans


def readable(data: bytes, no_text: Spans) -> bytes:
    """As long as ``data``, with blanks where it is no text. ``no_text`` is ``lines_that_are_no_text`` of it."""
    parts: list[bytes] = []
    position = 0
    for start, end in no_text:
        parts += (data[position:start], data[start:end].translate(ONLY_ASCII))
        position = end
    return b"".join((*parts, data[position:])) if parts else data


def is_by_chance(data: bytes, finding: Finding, no_text: Spans) -> bool:
    """Whether a finding in ``data`` is more likely a few bytes of something else: a short run amid what is no text."""
    if finding.detector != "email" or not is_within(finding.start, no_text):
        return False
    first = max(0, finding.start - _SHORTEST_RUN_BYTES)
    runs = _RUN.finditer(data, first, finding.end + _SHORTEST_RUN_BYTES)
    around = next((run for run in runs if run.start() <= finding.start < run.end()), None)
    return around is None or around.end() - around.start() < _SHORTEST_RUN_BYTES


def is_within(position: int, spans: Spans) -> bool:
    """Whether a position is in one of the spans, which ascend."""
    index = bisect_right(spans, (position, sys.maxsize)) - 1
    return index >= 0 and position < spans[index][1]
