"""Content detection in the texts of a body: what some detector classes find is replaced, what others do is counted."""

from collections import Counter
from collections.abc import Mapping

from interlock.core.content.tally import Tally
from interlock.core.detection import PLACEHOLDER, Finding, Scanner, scanner
from interlock.core.masking import DetectorMask


class Content:
    """The detectors that are on for a principal. Stateless."""

    def __init__(self, detectors: Mapping[str, DetectorMask]) -> None:
        masked = frozenset(name for name, detector in detectors.items() if detector.masked)
        self.masked_classes = masked
        self._classes = frozenset(detectors)
        self._masked: Scanner = scanner(masked)
        self._reported: Scanner | None = (
            scanner(frozenset(detectors) - masked) if len(masked) < len(detectors) else None
        )
        self._all: Scanner = scanner(frozenset(detectors))

    def candidates(self, block: bytes) -> list[int]:
        """Starts and ends, in turn, of the places in ``block`` where something may be found. A superset."""
        return self._all.candidates(block)

    def findings(self, text: bytes) -> list[Finding]:
        """What has to be replaced in ``text``, ascending and apart."""
        return self._masked.find(text)

    def reported(self, text: bytes) -> list[Finding]:
        """What is only counted in ``text``."""
        return [] if self._reported is None else self._reported.find(text)

    def looks_for(self, name: str) -> bool:
        """Whether a detector class is on."""
        return name in self._classes

    def encoded(self, run: bytes) -> tuple[frozenset[str], frozenset[str]]:
        """The classes that are masked and those that are only counted of what is in a run of base64."""
        found = self._all.find_encoded(run)
        return found & self.masked_classes, found - self.masked_classes

    def clean(self, text: bytes, tally: Tally, before: bytes = b"", behind: bytes = b"") -> bytes:
        """``text`` without what must not be seen.

        ``before`` and ``behind`` are what stands around it and tells what it is, such as a field's name: what is found
        in them alone is not counted.
        """
        whole = before + text + behind
        start, end = len(before), len(before) + len(text)
        findings = _within(self.findings(whole), start, end)
        tally.add_found(Counter(finding.detector for finding in findings))
        tally.add_found(Counter(finding.detector for finding in _within(self.reported(whole), start, end)))
        return replaced(whole, start, end, findings)


def replaced(text: bytes, start: int, end: int, findings: list[Finding]) -> bytes:
    """``text[start:end]`` with a placeholder for each of the findings, which all touch it."""
    parts: list[bytes] = []
    for finding in findings:
        parts += (text[start : max(start, finding.start)], PLACEHOLDER)
        start = min(finding.end, end)
    parts.append(text[start:end])
    return b"".join(parts)


def _within(findings: list[Finding], start: int, end: int) -> list[Finding]:
    return [finding for finding in findings if finding.end > start and finding.start < end]
