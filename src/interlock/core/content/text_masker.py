"""Masks a text that comes in pieces, whatever the pieces are: what is detected in it, and masked fields in quotes.

What could be the beginning of a finding is held back until it is certain: mostly the last word, and numbers and words
like "phone" in front of it. So a text goes on with a delay of a word, and no more than ``MAX_HELD_BYTES`` are held.

It knows no format. The input is UTF-8 without half characters.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from interlock.core.content.content import Content, replaced
from interlock.core.content.tally import Tally
from interlock.core.detection import Finding

FIELD: Final = ""
"""What stands for the detector class in a finding that is a field's value."""
FindFields = Callable[[bytes, bool], list[Finding]]
"""Finds the values of masked fields in a text, ascending and apart. The second argument is whether it is all there:
unless it is, the last finding may be a field of which the value is not there yet."""
MAX_HELD_BYTES: Final = 16 << 10
"""What is found is known by then, or is so long that all that follows without a blank is left out, too."""
_KEPT_BYTES: Final = 8 << 10
"""So much stays held of what is too long."""
_CONTEXT_BYTES: Final = 64
"""What stands before a text tells what it is."""
_LITTLE_BYTES: Final = 256
_LOOKED_BACK_BYTES: Final = 4 << 10
_LOOKED_BACK_FOR_NAMES_BYTES: Final = 256

_BLANK: Final = re.compile(rb"\s")
_WORD: Final = re.compile(rb"\S+")
# Words behind which the same finding can go on: of numbers in groups, of what tells that a number or a secret follows.
_JOINED: Final = re.compile(
    rb"[0-9]|\A[^A-Za-z0-9\x80-\xff]+\Z|(?i:ssn|social|secur|phone|telefon|tel|fax|mobil|cell|handy|whatsapp|pass|pwd"
    rb"|secret|key|token|credential|bearer|basic)|(?i:num|number|no|nr)[.\"':=#\\]*\Z"
)
_QUOTED_NAME: Final = re.compile(rb'"[^"\x00-\x1f]{1,64}(?:"\S*)?\Z')
_ENCODED_LINES: Final = re.compile(rb"[A-Za-z0-9+/]{15,}\r?\Z")
_PRIVATE_KEY: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,60}-{0,5}\Z")
_PRIVATE_KEY_BEGIN: Final = b"-----BEGIN "
_PRIVATE_KEY_END: Final = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PRIVATE_KEY_END_BYTES: Final = 80
_REST_OF_WORD: Final = re.compile(rb"[^\s\"'<>]*")
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


class TextMasker:
    """One text. Call ``feed`` with each piece and ``finish`` at the end; the object must not be used after that.

    Without ``content`` nothing is detected, and without ``find_fields`` there are no fields.
    """

    def __init__(self, content: Content | None, tally: Tally, find_fields: FindFields | None = None) -> None:
        self._content = content
        self._find_fields = find_fields
        self._tally = tally
        self._before = b""
        self._held = b""
        self._wanted = 0
        """How much has to be there for another look: a long text is not looked at anew for each byte of it."""
        self._swallows_word = False
        self._swallows_key = False
        self._swallows_rest = False

    @property
    def held_bytes(self) -> int:
        """How much waits for more."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """What may go on now."""
        if self._content is None and self._find_fields is None:
            return data
        data = self._held + data
        self._held = b""
        data = self._swallowed(data)
        if len(data) < self._wanted:
            self._held = data
            return b""
        passed = self._looked_at(data, held_from(data), False) if data else b""
        self._wanted = len(self._held) * 9 // 8 if len(self._held) > _LITTLE_BYTES else 0
        return passed

    def finish(self) -> bytes:
        """What was held, now that nothing follows."""
        data, self._held = self._swallowed(self._held), b""
        return b"" if self._swallows_key else self._looked_at(data, len(data), True)

    def _looked_at(self, data: bytes, cut: int, final: bool) -> bytes:
        """What goes on of ``data``, which is up to ``cut`` unless something crosses that or may still grow."""
        text, start = self._before + data, len(self._before)
        findings = [finding for finding in self._findings(text, final) if finding.end > start]
        cut += start
        growing = len(text) if not final else -1
        crossing = next(
            (finding for finding in findings if finding.start < cut and (finding.end > cut or finding.end == growing)),
            None,
        )
        if crossing is not None:
            cut = max(crossing.start, start)
        if len(text) - cut > MAX_HELD_BYTES:
            cut = self._forced_cut(text, start, findings)
        while start < cut < len(text) and text[cut] & 0xC0 == 0x80:
            cut -= 1
        gone = [finding for finding in findings if finding.start < cut]
        self._tally.masked_values += len(gone)
        self._tally.add_found(Counter(finding.detector for finding in gone if finding.detector != FIELD))
        reported = (finding for finding in self._reported(text) if start < finding.end <= cut)
        self._tally.add_found(Counter(finding.detector for finding in reported))
        self._held = text[cut:]
        self._before = text[max(0, cut - _CONTEXT_BYTES) : cut]
        return replaced(text, start, cut, gone)

    def _findings(self, text: bytes, final: bool) -> list[Finding]:
        """Ascending and apart: what is detected in a masked field's value is a part of that."""
        detected = self._content.findings(text) if self._content is not None else []
        fields = self._find_fields(text, final) if self._find_fields is not None else []
        if not fields:
            return detected
        apart: list[Finding] = []
        for finding in sorted([*detected, *fields]):
            if apart and finding.start < apart[-1].end:
                apart[-1] = apart[-1]._replace(end=max(apart[-1].end, finding.end))
            else:
                apart.append(finding)
        return apart

    def _reported(self, text: bytes) -> list[Finding]:
        return self._content.reported(text) if self._content is not None else []

    def _forced_cut(self, text: bytes, start: int, findings: list[Finding]) -> int:
        """Where to cut what is too long to be held. What goes on behind a finding that long is left out, too."""
        cut = len(text) - _KEPT_BYTES
        crossing = next((finding for finding in findings if finding.start < cut < finding.end), None)
        if crossing is not None:
            if crossing.detector == FIELD and crossing.end == len(text):
                self._swallows_rest = True
                return crossing.end
            self._swallows_key = text.startswith(_PRIVATE_KEY_BEGIN, crossing.start) and crossing.end == len(text)
            self._swallows_word = not self._swallows_key and not _BLANK.search(text, crossing.end)
            return crossing.end
        run = cut
        while run > start and text[run - 1] in _BASE64:
            run -= 1
        cut -= (cut - run) % 4  # base64 can be read from there on
        return cut

    def _swallowed(self, data: bytes) -> bytes:
        """``data`` without the rest of what was too long."""
        if self._swallows_rest:
            return b""
        if self._swallows_key:
            end = _PRIVATE_KEY_END.search(data)
            if end is None:
                self._held = data[-_PRIVATE_KEY_END_BYTES:]
                return b""
            self._swallows_key = False
            data = data[end.end() :]
        if self._swallows_word:
            rest = _REST_OF_WORD.match(data)
            data = data[rest.end() if rest is not None else 0 :]
            self._swallows_word = not data
        return data


def held_from(text: bytes) -> int:
    """From where on the end of a text may be the beginning of a finding that more text completes."""
    first = max(0, len(text) - _LOOKED_BACK_BYTES)
    words = [match.span() for match in _WORD.finditer(text, first)]
    if not words:
        return len(text)
    start = words[-1][0] if words[-1][1] == len(text) else len(text)
    for word_start, word_end in reversed(words):
        if word_end < len(text):
            word = text[word_start:word_end]
            encoded = text[word_end : word_end + 1] in (b"\r", b"\n") and _ENCODED_LINES.search(word)
            if not encoded and not _JOINED.search(word):
                break
        start = word_start
    for pattern in (_QUOTED_NAME, _PRIVATE_KEY):
        match = pattern.search(text, max(0, len(text) - _LOOKED_BACK_FOR_NAMES_BYTES))
        if match is not None:
            start = min(start, match.start())
    return start
