"""Chooses how a text is masked by what it begins with.

Content goes before declaration: clients read a JSON document that is declared as HTML, and a table that is declared as
a text. What begins like JSON and turns out to be none before anything was named in it is masked as what it is else.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.csv_masker import DELIMITERS, CsvMasker, names_masked_column
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.markup_masker import MarkupMasker
from interlock.protocols.http.bodies.masker import Masker
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import Malformed
from interlock.protocols.http.bodies.script_masker import BEFORE_WRAPPED, WRAPPING, ScriptMasker

BEGINNING_BYTES: Final = 4 << 10
"""So much tells what a text is, when its first line does not end before."""
UNCERTAIN_BYTES: Final = 64 << 10
"""By then a text that may be JSON has to be it."""
_BLANKS: Final = b" \t\r\n\f\v"
_MARKUP: Final = re.compile(rb"<[A-Za-z!?]")
_JSON_BEGINNINGS: Final = (b"{", b"[", b'"', b"\x1e")


class NamingMasker(Masker, Protocol):
    """A masker that tells whether a name was met: before that, nothing was masked for its name."""

    @property
    def met_names(self) -> bool:
        """Whether one was met."""


class TentativeMasker:
    """Masks as ``first`` does, unless that is refused before a name was met; then as ``otherwise``."""

    def __init__(self, first: NamingMasker, otherwise: Callable[[], Masker]) -> None:
        self._first: NamingMasker | None = first
        self._otherwise = otherwise
        self._chosen: Masker | None = None
        self._came = b""
        self._masked = b""

    def feed(self, data: bytes) -> bytes:
        """What may go on now. Raises ``BodyRefused``."""
        if self._chosen is not None:
            return self._chosen.feed(data)
        self._came += data
        first = self._first
        try:
            if first is not None:
                self._masked += first.feed(data)
        except Malformed:
            return self._give_up()
        if not self._is_certain() and len(self._came) < UNCERTAIN_BYTES:
            return b""
        self._chosen = first
        return self._masked

    def finish(self) -> bytes:
        """The rest. Raises ``BodyRefused``."""
        if self._chosen is None and self._first is not None:
            try:
                return self._masked + self._first.finish()
            except Malformed:
                return self._give_up() + self.finish()
        return self._chosen.finish() if self._chosen is not None else b""

    def _is_certain(self) -> bool:
        return self._first is not None and self._first.met_names

    def _give_up(self) -> bytes:
        if self._is_certain():
            raise Malformed("it begins like JSON and is none")
        self._first = None
        self._chosen = self._otherwise()
        return self._chosen.feed(self._came)


class SniffingMasker:
    """A text that may be anything. ``otherwise`` masks it when its beginning tells nothing."""

    def __init__(self, plan: Plan, tally: Tally, otherwise: Callable[[], Masker]) -> None:
        self._plan = plan
        self._tally = tally
        self._otherwise = otherwise
        self._chosen: Masker | None = None
        self._came = b""

    def feed(self, data: bytes) -> bytes:
        """What may go on now. Raises ``BodyRefused``."""
        if b"\0" in data:
            raise Malformed("it has a NUL character")
        if self._chosen is not None:
            return self._chosen.feed(data)
        self._came += data
        beginning = self._came.lstrip(_BLANKS)
        return self._choose(beginning) if self._is_enough(beginning) else b""

    def _is_enough(self, beginning: bytes) -> bool:
        if len(self._came) >= BEGINNING_BYTES:
            return True
        if not beginning or BEFORE_WRAPPED.fullmatch(beginning):
            return False
        return beginning[:1] in _JSON_BEGINNINGS or b"\n" in beginning

    def finish(self) -> bytes:
        """The rest. Raises ``BodyRefused``."""
        begun = b"" if self._chosen is not None else self._choose(self._came.lstrip(_BLANKS))
        return begun + (self._chosen.finish() if self._chosen is not None else b"")

    def _choose(self, beginning: bytes) -> bytes:
        came, self._came = self._came, b""
        wrapping = WRAPPING.match(came, 0, BEGINNING_BYTES)
        if wrapping is not None and came[wrapping.end() :].lstrip(_BLANKS)[:1] in _JSON_BEGINNINGS:
            self._chosen = TentativeMasker(ScriptMasker(self._plan, self._tally, wrapping), self._otherwise)
        elif beginning[:1] in _JSON_BEGINNINGS:
            self._chosen = TentativeMasker(JsonMasker(self._plan, self._tally, many=True), self._otherwise)
        elif _MARKUP.match(beginning):
            is_html = not beginning.startswith(b"<?xml")
            self._chosen = MarkupMasker(self._plan, self._tally, is_html)
        elif self._is_table(beginning[:BEGINNING_BYTES].splitlines()[:1]):
            self._chosen = CsvMasker(self._plan, self._tally)
        else:
            self._chosen = self._otherwise()
        return self._chosen.feed(came)

    def _is_table(self, first: list[bytes]) -> bool:
        return any(names_masked_column(line, delimiter, self._plan) for line in first for delimiter in DELIMITERS)
