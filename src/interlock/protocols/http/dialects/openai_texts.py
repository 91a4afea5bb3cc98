"""One text that a model says piece by piece, masked as if it were there as a whole.

A piece goes on when nothing that may follow can make it part of what must not be seen, which is mostly a word later. A
text that is JSON, such as the arguments of a tool or a structured answer, is masked as such.
"""

from typing import Final

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import Malformed

_BLANKS: Final = b" \t\r\n"


class StreamedText:
    """One text. ``feed`` and ``finish`` raise ``BodyRefused`` for a field that must not be there, even masked."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self._words = plan.text_masker(tally)
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


def _text(data: bytes) -> str:
    return data.decode(errors="surrogatepass")
