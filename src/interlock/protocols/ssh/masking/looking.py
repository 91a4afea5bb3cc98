"""What is found in whole units of output, and which bytes of them must not be shown."""

import re
from bisect import bisect_left
from itertools import groupby
from typing import Final

from interlock.core.content.content import Content
from interlock.core.content.readable import Spans, is_by_chance, lines_that_are_no_text
from interlock.core.detection import Finding
from interlock.protocols.ssh.masking.readings import Reading
from interlock.protocols.ssh.masking.units import ENCODED_LINE

_FENCE: Final = b".\f"
"""In front of what is looked at: nothing is all there is of a text."""
_ENCODED_LINES: Final = re.compile(rb"(?<![^\n])(?:" + ENCODED_LINE + rb"\r?\n)+[A-Za-z0-9+/]*={0,2}(?=\r?(?:\n|\Z))")


class Look:
    """What was found in a piece of output. All positions are of its bytes.

    ``hidden`` are the bytes that must not be shown, which has no control sequences in it.
    """

    def __init__(self) -> None:
        self.masked: list[Finding] = []
        self.reported: list[Finding] = []
        self.hidden: Spans = []

    def add(self, other: "Look", offset: int) -> None:
        """What was found in a part that begins at ``offset``."""
        for mine, found in ((self.masked, other.masked), (self.reported, other.reported)):
            mine += (Finding(start + offset, end + offset, name) for start, end, name in found)
        self.hidden += ((start + offset, end + offset) for start, end in other.hidden)

    def hide(self, start: int, end: int, kept: Spans) -> None:
        """From ``start`` to ``end`` only what is kept may be shown."""
        index = max(0, bisect_left(kept, (start, start)) - 1)
        while index < len(kept) and kept[index][0] < end:
            first, last = kept[index]
            if first > start:
                self.hidden.append((start, first))
            start = max(start, last)
            index += 1
        if start < end:
            self.hidden.append((start, end))

    def in_order(self) -> "Look":
        """The same, ascending and apart."""
        self.masked, self.reported = _apart(self.masked), _apart(self.reported)
        spans: Spans = []
        for start, end in sorted(self.hidden):
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        self.hidden = spans
        return self


def look(output: bytes, readings: list[Reading], content: Content) -> Look:
    """At whole units, one beside the other, as they can be read."""
    found, no_text = Look(), lines_that_are_no_text(output)
    for reading in readings:
        masked, reported = (
            [finding for finding in places if not is_by_chance(output, finding, no_text)]
            for places in _detected(reading, content)
        )
        found.masked += masked
        found.reported += reported
        for finding in masked:
            found.hide(finding.start, finding.end, reading.kept)
    return found.in_order()


def _detected(reading: Reading, content: Content) -> tuple[list[Finding], list[Finding]]:
    """What has to be hidden and what is only counted."""
    # A form feed is as blank as a line feed, but base64 does not go on behind it: the words of the next line would make
    # it unreadable. What is really more than one line of it is looked at apart.
    text = reading.text
    fenced = _FENCE + text.replace(b"\n", b"\f")
    masked, reported = (
        [
            _placed(reading, start - len(_FENCE), end - len(_FENCE), name)
            for start, end, name in found
            if end > len(_FENCE)
        ]
        for found in (content.findings(fenced), content.reported(fenced))
    )
    for lines in _ENCODED_LINES.finditer(text):
        for start, end in _blocks(lines[0], lines.start()):
            run = text[start:end].translate(None, b"\r\n")
            for classes, findings in zip(content.encoded(run), (masked, reported), strict=True):
                findings += (_placed(reading, start, end, name) for name in classes)
    return masked, reported


def _placed(reading: Reading, start: int, end: int, detector: str) -> Finding:
    return Finding(*reading.span(max(start, 0), end), detector)


def _blocks(lines: bytes, start: int) -> Spans:
    """Of lines of base64, the first at ``start``, those that belong together: equally long ones and a shorter one."""
    sized = [(len(line.rstrip(b"\r\n")), len(line)) for line in lines.splitlines(keepends=True)]
    spans: Spans = []
    row = 0
    for length, alike in groupby(sized, lambda line: line[0]):
        group = list(alike)
        row += len(group)
        end = start + sum(size for _, size in group)
        if row < len(sized) and sized[row][0] < length:
            spans.append((start, end + sized[row][0]))
        elif len(group) > 1:
            spans.append((start, end))
        start = end
    return spans


def _apart(findings: list[Finding]) -> list[Finding]:
    apart: list[Finding] = []
    for finding in sorted(findings):
        if apart and finding.start < apart[-1].end:
            apart[-1] = apart[-1]._replace(end=max(apart[-1].end, finding.end))
        else:
            apart.append(finding)
    return apart
