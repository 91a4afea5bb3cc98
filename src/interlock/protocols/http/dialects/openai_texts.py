"""One text that a model says piece by piece, masked as if it were there as a whole.

A piece goes on when nothing that may follow can make it part of what must not be seen: the last ``WINDOW_BYTES`` are
held, and with them the beginning of a word or of a finding that reaches into them. What would have to be held for more
than ``MAX_HELD_BYTES`` is left out.

A text that is JSON, such as the arguments of a tool or a structured answer, has its fields masked, too.
"""

from typing import Final

from interlock.core.detection import PLACEHOLDER
from interlock.protocols.http.bodies.content import Content
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import Malformed
from interlock.protocols.http.bodies.tally import Tally

WINDOW_BYTES: Final = 192
"""Longer than anything with blanks in it that a detector finds, but for a private key, which is held to its end."""
MAX_HELD_BYTES: Final = 16 << 10
_CONTEXT_BYTES: Final = 64
_BLANKS: Final = b" \t\r\n"
_WORD_BYTES: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/=_-.%\\@")


class StreamedText:
    """One text. ``feed`` and ``finish`` raise ``BodyRefused`` for a field that must not be there, even masked."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self._words = StreamedWords(plan.content, tally)
        self._json: JsonMasker | None = JsonMasker(plan, tally, many=True, inner=1)
        self._begun = False
        self._uncertain = b""
        """What the JSON reader was given and has not let go on."""

    def feed(self, piece: str) -> str:
        """What may go on."""
        return _text(self._feed(piece.encode(errors="surrogatepass")))

    def finish(self) -> str:
        """The rest, now that nothing follows."""
        if self._json is None:
            return _text(self._words.finish())
        try:
            return _text(self._json.finish())
        except Malformed:
            return _text(self._words.feed(self._uncertain) + self._words.finish())

    def _feed(self, data: bytes) -> bytes:
        if self._json is None:
            return self._words.feed(data)
        self._uncertain += data
        if not self._begun and (begin := self._uncertain.lstrip(_BLANKS)[:1]):
            self._begun = True
            if begin not in b"{[":
                return self._go_on_in_words()
        try:
            passed = self._json.feed(data)
        except Malformed:
            return self._go_on_in_words()
        self._uncertain = self._json.held
        return passed

    def _go_on_in_words(self) -> bytes:
        self._json = None
        return self._words.feed(self._uncertain)


class StreamedWords:
    """A text in which only content detection looks for something."""

    def __init__(self, content: Content | None, tally: Tally) -> None:
        self._content = content
        self._tally = tally
        self._held = b""
        self._context = b""
        self._left_out: frozenset[int] | None = None
        """While a long word or finding is left out: the bytes that go on with it."""

    def feed(self, data: bytes) -> bytes:
        if self._content is None:
            return data
        self._held += self._behind_what_is_left_out(data)
        cut = self._cut(self._content)
        passed = self._pass(self._content, cut)
        if len(self._held) > MAX_HELD_BYTES:
            passed += self._leave_out(self._content)
        return passed

    def finish(self) -> bytes:
        return b"" if self._content is None else self._pass(self._content, len(self._held))

    def _cut(self, content: Content) -> int:
        """How much of what is held can no longer become part of a finding."""
        held = self._held
        cut = max(len(held) - WINDOW_BYTES, 0)
        while cut > 0 and (held[cut - 1] in _WORD_BYTES or 0x80 <= held[cut] < 0xC0):
            cut -= 1
        if cut == 0 or not content.candidates(self._context + held):
            return cut
        for finding in content.findings(self._context + held):
            start, end = finding.start - len(self._context), finding.end - len(self._context)
            if start < cut < end:
                return max(start, 0)
        return cut

    def _pass(self, content: Content, cut: int) -> bytes:
        if cut == 0:
            return b""
        passing, self._held = self._held[:cut], self._held[cut:]
        clean = passing
        if content.candidates(self._context + passing + self._held):
            clean = content.clean(passing, self._tally, self._context, self._held)
            self._tally.masked_values += clean != passing
        self._context = (self._context + passing)[-_CONTEXT_BYTES:]
        return clean

    def _leave_out(self, content: Content) -> bytes:
        """What is held is one long word, or one finding that may go on for ever."""
        found = content.findings(self._context + self._held)
        self._left_out = frozenset(range(256)) if found else _WORD_BYTES
        self._held = b""
        self._context = b""
        self._tally.masked_values += 1
        return PLACEHOLDER

    def _behind_what_is_left_out(self, data: bytes) -> bytes:
        if self._left_out is None:
            return data
        rest = data.lstrip(bytes(self._left_out))
        if rest:
            self._left_out = None
        return rest


def _text(data: bytes) -> str:
    return data.decode(errors="surrogatepass")
