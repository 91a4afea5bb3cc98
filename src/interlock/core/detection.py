"""Finds personal data and secrets in bytes by their shape, whatever the bytes belong to.

A ``Scanner`` looks for some of the detector classes. ``candidates`` is quick and finds too much: the places of a whole
block at which a closer look is worth it. ``find`` and ``redact`` take that look at one value. Beside plain text they
look into base64 and hexadecimal text: what is found there makes all of it a finding.

It is a second net. It knows nothing of names, columns or meaning, it misses what is split, reversed or enciphered, and
it never replaces a mask that a rule puts on a column.
"""

import binascii
import functools
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from interlock.core.detectors import DETECTORS
from interlock.core.masking import DETECTOR_CLASSES
from interlock.core.patterns import Pattern, PatternSet

PLACEHOLDER = b"***"
"""What stands in the place of a finding."""


class Finding(NamedTuple):
    """``text[start:end]`` is what the detector class ``detector`` is about."""

    start: int
    end: int
    detector: str


_ENCODED_HINT = rb"\\x[0-9A-Fa-f]{12,}|[A-Za-z0-9+/]{15,}"
_ENCODED_NAME = "encoded"
# Hints that are looked for in one pass. Each group makes a small automaton; all in one make a large and slow one.
_GROUPS = (("email", "ssn", "phone", "secret"), ("credit-card", "iban"), (_ENCODED_NAME,))
# PostgreSQL breaks base64 into lines; in JSON and in COPY text the breaks are escapes.
_ENCODED = Pattern(rb"\\+x[0-9A-Fa-f]{12,}|[A-Za-z0-9+/]{15,}(?:(?:\\r|\r)?(?:\\n|\n)[A-Za-z0-9+/]+)*={0,2}")
# In binary forms, which alone have NUL bytes, in front of each element. Its last bytes may look like text.
_BINARY_LENGTH = re.compile(rb"\0\0[\s\S]{2}")
_MANY_HINTS = 1 << 16
_ESCAPE = re.compile(rb"[nrtbf]|u[0-9A-Fa-f]{4}")
_LINE_BREAKS = (b"\\r", b"\\n", b"\r", b"\n")
_HEXADECIMAL = b"0123456789abcdefABCDEF"
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))


class _Group:
    """The hints of some classes, for blocks and for single values."""

    def __init__(self, hints: Mapping[str, bytes]) -> None:
        self._names = tuple(hints)
        self._set = PatternSet(list(hints.values()))
        self._any = Pattern(b"|".join(b"(?:%s)" % hint for hint in hints.values()))

    def spans(self, block: bytes) -> Iterator[tuple[int, int]]:
        """Where hints are, up to one more than are looked at."""
        return itertools.islice(self._any.spans(block), _MANY_HINTS + 1)

    def hinted(self, text: bytes) -> list[str]:
        """The classes whose hints are there."""
        return [self._names[index] for index in self._set.matches(text)]


class Scanner:
    """Looks for the detector classes ``classes``. Stateless; make one with ``scanner``.

    A text in which more than 65,536 places of one kind would have to be looked at is a finding as a whole, of the first
    class: so much at once would hold everybody up, and letting it pass would be a way around.
    """

    def __init__(self, classes: frozenset[str]) -> None:
        hints = {name: DETECTORS[name].hint for name in DETECTORS if name in classes}
        if hints:
            hints[_ENCODED_NAME] = _ENCODED_HINT
        groups = ({name: hints[name] for name in names if name in hints} for names in _GROUPS)
        self._groups = [_Group(group) for group in groups if group]
        self._plain_groups = self._groups[:-1]
        self._first = next(iter(hints), "")

    def candidates(self, block: bytes) -> list[int]:
        """Starts and ends, in turn, of places in ``block``, ascending and apart.

        They may hold something; what no candidate touches does not, even when it is looked at on its own.
        """
        spans: list[tuple[int, int]] = []
        for group in self._groups:
            spans += group.spans(block)
            if len(spans) > _MANY_HINTS:
                return [0, len(block)]
        spans.sort()
        apart: list[int] = []
        for start, end in spans:
            if apart and start <= apart[-1]:
                apart[-1] = max(apart[-1], end)
            else:
                apart += (start, end)
        return apart

    def find(self, text: bytes) -> list[Finding]:
        """What is in ``text``, ascending, without overlaps: of findings that overlap the first one grows."""
        return _apart(self._all(text))

    def find_classes(self, text: bytes) -> frozenset[str]:
        """The classes of everything that is in ``text``."""
        return frozenset(finding.detector for finding in self._all(text))

    def find_encoded(self, run: bytes) -> frozenset[str]:
        """The classes of what a run of base64 or hexadecimal digits stands for."""
        return frozenset(name for decoded in _decoded(run) for name in self._classes_in(decoded))

    def redact(self, text: bytes) -> tuple[bytes, dict[str, int]]:
        """``text`` with a placeholder for each finding, and how many there were of each class."""
        findings = self.find(text)
        if not findings:
            return text, {}
        counts: dict[str, int] = {}
        parts: list[bytes] = []
        position = 0
        for (start, end, detector), replacement in zip(findings, _replacements(text, findings), strict=True):
            counts[detector] = counts.get(detector, 0) + 1
            parts += (text[position:start], replacement)
            position = end
        parts.append(text[position:])
        return b"".join(parts), counts

    def _all(self, text: bytes) -> Iterator[Finding]:
        if self._is_crowded(text):
            yield Finding(0, len(text), self._first)
            return
        if b"\0" in text:
            text = _BINARY_LENGTH.sub(b"\0\0\0\0", text)
        for group in self._groups:
            for name in group.hinted(text):
                if name == _ENCODED_NAME:
                    yield from self._encoded(text)
                else:
                    for start, end in DETECTORS[name].spans(text):
                        yield Finding(_behind_escape(text, start), end, name)

    def _is_crowded(self, text: bytes) -> bool:
        """Whether looking at everything in this text would take too long."""
        if len(text) <= _MANY_HINTS:
            return False
        return any(sum(1 for _ in group.spans(text)) > _MANY_HINTS for group in self._groups)

    def _encoded(self, text: bytes) -> Iterator[Finding]:
        for start, end in _ENCODED.spans(text):
            start = _behind_escape(text, start)
            for decoded in _decoded(text[start:end]):
                yield from (Finding(start, end, name) for name in self._classes_in(decoded))

    def _classes_in(self, decoded: bytes) -> Iterator[str]:
        if self._is_crowded(decoded):
            yield self._first
            return
        for group in self._plain_groups:
            for name in group.hinted(decoded):
                if any(True for _ in DETECTORS[name].spans(decoded)):
                    yield name


@functools.cache
def _scanner(classes: frozenset[str]) -> Scanner:
    return Scanner(classes)


def scanner(classes: Collection[str]) -> Scanner:
    """The scanner for these classes. Raises ``ValueError`` for a class that there is not."""
    unknown = sorted(set(classes) - set(DETECTORS))
    if unknown:
        raise ValueError(f"no detector class {unknown[0]!r}; there are {', '.join(DETECTORS)}")
    return _scanner(frozenset(classes))


def find(text: bytes) -> list[Finding]:
    """``Scanner.find`` for all classes."""
    return scanner(DETECTORS).find(text)


def find_classes(text: bytes) -> frozenset[str]:
    """``Scanner.find_classes`` for all classes."""
    return scanner(DETECTORS).find_classes(text)


def redact(text: bytes, classes: Collection[str]) -> tuple[bytes, dict[str, int]]:
    """``Scanner.redact`` for these classes. Raises ``ValueError`` for a class that there is not."""
    return scanner(classes).redact(text)


def _rank(finding: Finding) -> tuple[int, int, int]:
    return finding.start, -finding.end, DETECTOR_CLASSES.index(finding.detector)


def _apart(findings: Iterable[Finding]) -> list[Finding]:
    apart: list[Finding] = []
    for finding in sorted(findings, key=_rank):
        if apart and finding.start < apart[-1].end:
            apart[-1] = apart[-1]._replace(end=max(apart[-1].end, finding.end))
        else:
            apart.append(finding)
    return apart


def _behind_escape(text: bytes, start: int) -> int:
    """The same place, or behind the rest of an escape such as ``\\n`` that looked like a beginning: it stays whole."""
    if start == 0 or text[start - 1] != 0x5C:
        return start
    escape = _ESCAPE.match(text, start)
    return start if escape is None else escape.end()


def _decoded(run: bytes) -> Iterator[bytes]:
    """The texts that a run of base64 or hexadecimal digits may stand for."""
    if run.startswith(b"\\"):
        digits = run.lstrip(b"\\")[1:]
        yield from _text(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()))
        return
    if b"\n" in run or b"\\" in run:
        for line_break in _LINE_BREAKS:
            run = run.replace(line_break, b"")
    if len(run) % 2 == 0 and not run.translate(None, _HEXADECIMAL):
        yield from _text(bytes.fromhex(run.decode()))
        return
    digits = run.rstrip(b"=")
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    yield from _text(binascii.a2b_base64(digits + b"=" * (-len(digits) % 4)))


def _text(data: bytes) -> Iterator[bytes]:
    """The data when it is text in UTF-8."""
    if len(data.translate(None, _CONTROLS)) < len(data):
        return
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    yield data


def _replacements(text: bytes, findings: list[Finding]) -> Iterator[bytes]:
    """What stands for each finding so that the form around it stays valid.

    A NUL byte is never in text: these are binary forms with lengths in them, so the length is kept. In JSON and in
    array literals what is not in quotes gets some.
    """
    if b"\0" in text:
        yield from (b"*" * (end - start) for start, end, _ in findings)
        return
    structured = text.lstrip(b"\x01 \t\r\n").startswith((b"{", b"["))
    quoted, position = False, 0
    for start, end, _ in findings:
        between = text[position:start].replace(b"\\\\", b"").replace(b'\\"', b"")
        quoted ^= between.count(b'"') % 2 == 1
        yield PLACEHOLDER if quoted or not structured else b'"%s"' % PLACEHOLDER
        position = end
