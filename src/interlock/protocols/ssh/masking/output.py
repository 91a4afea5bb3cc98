"""Masks one stream of output as it comes, whatever it is cut into.

Output is looked at in whole units, which are lines mostly; of the last one, which may go on, everything is held back.
That is bounded: of what is too long the first part is looked at alone. What is masked keeps its length, in bytes, or in
characters on a terminal, so that frames of protocols and the layout of a screen stay right. All that is no value goes
on byte for byte.

Whoever waits for what is held back must not wait for ever: ``flush`` lets it go on. A value that has come only in part
by then is not known yet, and that part is shown.
"""

import re
from typing import Final

from interlock.core.content.content import Content
from interlock.core.content.readable import Spans
from interlock.core.content.stars import stars
from interlock.core.masking import ANY_NAME, Masking
from interlock.protocols.ssh.masking.keys import key_begins
from interlock.protocols.ssh.masking.looking import Look
from interlock.protocols.ssh.masking.readings import readings
from interlock.protocols.ssh.masking.sight import BEGINNING, EVERYTHING, WORD_END, look_on
from interlock.protocols.ssh.masking.units import settled, unit_start

MAX_UNIT_BYTES: Final = 32 << 10
"""A longer unit is looked at in parts."""
_AGAIN_BYTES: Final = 8 << 10
"""So much of such a part is looked at again with what follows."""
_CONTEXT_BYTES: Final = 256
"""What stands before such a part tells what it is. A multiple of four: base64 can be read from there on."""
_FLUSHED_CONTEXT_BYTES: Final = 1024
_ENCODED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_CHARACTER: Final = re.compile(r"[^\t\r\n]")
_LONGEST_CHARACTER_BYTES: Final = 4


class OutputMask:
    """One stream. Call ``feed`` with what comes and ``finish`` at the end; the object must not be used after that.

    Without detectors, data goes on as it is. Where everything is masked, no text goes on. ``found`` counts findings by
    detector class, masked or only reported, ``masked_values`` those that were masked, ``passed`` the bytes that have
    gone on.
    """

    def __init__(self, masking: Masking | None, terminal: bool) -> None:
        self.found: dict[str, int] = {}
        self.masked_values = 0
        self.passed = 0
        self._terminal = terminal
        hides_all = masking is not None and ANY_NAME in masking.fields
        detects = masking is not None and bool(masking.detectors)
        self._content = Content(masking.detectors) if masking is not None and detects and not hides_all else None
        self._passes = not hides_all and not detects
        self._sight = BEGINNING
        self._held = bytearray()
        self._gone = 0
        """How much at the beginning of what is held has gone on already: it tells what the rest is."""
        self._counted = 0
        """Up to where in what is held findings have been counted."""

    @property
    def held(self) -> int:
        """How many bytes wait for more."""
        return len(self._held) - self._gone

    def feed(self, data: bytes) -> bytes:
        """What may go on now."""
        if self._passes:
            self.passed += len(data)
            return data
        known = len(self._held)
        self._held += data
        if len(self._held) > MAX_UNIT_BYTES:
            return self._pass_much()
        return self._pass(settled(bytes(self._held), known)) if b"\n" in data else b""

    def flush(self) -> bytes:
        """What is held, as far as it is no value: for when nothing has followed for a moment."""
        if not self.held:
            return b""
        size = len(self._held)
        found, sight = look_on(bytes(self._held), self._sight, self._content)
        if size > _FLUSHED_CONTEXT_BYTES:  # otherwise all of it stays there to be looked at again
            self._sight = sight
        return self._give(found, size, _FLUSHED_CONTEXT_BYTES)

    def finish(self) -> bytes:
        """What is held, now that nothing follows."""
        return self._pass(len(self._held)) if self.held else b""

    def _pass(self, end: int) -> bytes:
        """Give out what is held up to ``end``, which is where a unit ends."""
        if end <= self._gone:
            return b""
        found, self._sight = look_on(bytes(self._held[:end]), self._sight, self._content)
        return self._give(found, end, 0)

    def _pass_much(self) -> bytes:
        """Give out the units that are complete, and parts of one that is too long."""
        parts: list[bytes] = []
        while len(self._held) > MAX_UNIT_BYTES:
            lines = bytes(self._held[: self._held.rfind(b"\n", 0, MAX_UNIT_BYTES) + 1])
            end = unit_start(lines, len(lines))
            parts.append(self._pass(end) if end > self._gone else self._pass_part())
        parts.append(self._pass(settled(bytes(self._held), 0)))
        return b"".join(parts)

    def _pass_part(self) -> bytes:
        """Give out the first part of a unit that is too long."""
        part = bytes(self._held[:MAX_UNIT_BYTES])
        found, sight = look_on(part, self._sight, self._content)
        end = self._part_end(part, found)
        if end < len(part):
            looks_again = self._sight != BEGINNING or key_begins(readings(part))
            sight = look_on(part[:end], self._sight, self._content)[1] if looks_again else sight
        else:
            sight = sight._replace(in_word=not sight.in_key)
        self._sight = sight
        return self._give(found, end, 0 if sight.in_word else _CONTEXT_BYTES)

    def _part_end(self, part: bytes, found: Look) -> int:
        """Where a part ends so that no value goes across. All of it is given out when a value goes beyond it."""
        end = _middle(part, self._gone)
        crossing = next((finding for finding in found.masked if finding.start < end < finding.end), None)
        if crossing is None:
            return end
        if crossing.start > self._gone:
            return crossing.start
        if WORD_END.search(part, crossing.end) is not None:
            return crossing.end
        found.hide(crossing.end, len(part), readings(part)[0].kept)
        found.in_order()
        return len(part)

    def _give(self, found: Look, end: int, context: int) -> bytes:
        """Give out what is held up to ``end``, of which the last bytes stay there as context."""
        self.passed += end - self._gone
        passed = self._masked(end, found.hidden)
        for finding in found.masked:
            self.masked_values += self._counted <= finding.start < end
        for finding in (*found.masked, *found.reported):
            if self._counted <= finding.start < end and finding.detector != EVERYTHING:
                self.found[finding.detector] = self.found.get(finding.detector, 0) + 1
        counted = max((finding.end for finding in (*found.masked, *found.reported)), default=0)
        first = _character_start(self._held, max(0, end - context))
        del self._held[:first]
        self._gone = end - first
        self._counted = max(0, min(max(self._counted, counted), end) - first)
        return passed

    def _masked(self, end: int, hidden: Spans) -> bytes:
        """What is held up to ``end`` and has not gone on yet, with stars for what is hidden."""
        held, position = bytes(self._held[:end]), self._gone
        parts: list[bytes] = []
        for first, last in hidden:
            if last > position:
                parts += (held[position:first], self._stars(held[max(position, first) : last]))
                position = last
        parts.append(held[position:])
        return b"".join(parts)

    def _stars(self, text: bytes) -> bytes:
        if not self._terminal or text.isascii():
            return stars(text)
        return _CHARACTER.sub("*", text.decode(errors="replace")).encode()


def _middle(part: bytes, gone: int) -> int:
    """Where a part may end when nothing is found there: at a line behind what has gone on, or where base64 goes on."""
    end = len(part) - _AGAIN_BYTES
    line_end = part.rfind(b"\n", max(gone, end // 2), end) + 1
    if line_end:
        return line_end
    end = _character_start(part, end)
    return end - (end - len(part[:end].rstrip(_ENCODED))) % 4


def _character_start(data: bytes | bytearray, position: int) -> int:
    """The same place, or where the character begins that it is in."""
    for start in range(position, max(0, position - _LONGEST_CHARACTER_BYTES), -1):
        if start == len(data) or data[start] & 0xC0 != 0x80:
            return start
    return position
