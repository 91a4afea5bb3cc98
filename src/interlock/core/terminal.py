"""Makes what a program wrote to a terminal harmless to show on somebody else's.

Passes text, colours, cursor movement, erasing, scrolling, line drawing, wrapping and the alternate screen. Drops all
that could act on the reader's terminal or machine: strings (titles, clipboard, links, device control), whatever a
terminal answers to, window operations, mouse and keyboard modes, resets, and erasing what had scrolled away. It is no
emulator: it does not know what is on the screen.

Sources: ECMA-48; "XTerm Control Sequences" (names of sequences are theirs).
"""

import codecs
import re
import unicodedata
from typing import Final

MAX_PARAMETERS: Final = 32
MAX_STRING: Final = 4096
"""Characters of a string that are dropped; what follows is text, so that nothing is hidden by a string without end."""

_RUN: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_SEQUENCE: Final = re.compile(r"(?:\x1b\[|\x9b)([0-?]{0,128})([ -/]{0,2})([@-~])|\x1b([ -/]{0,2})([0-Z\\-~])")
_UNFINISHED: Final = re.compile(r"(?:\x1b(?:\[[0-?]{0,128}|[ -/]?)[ -/]{0,2}|\x9b[0-?]{0,128}[ -/]{0,2})\Z")
_STRING_END: Final = re.compile(r"[\x07\x18\x1a\x1b\x9c]")
_STRINGS: Final = frozenset("PX]^_")
"""DCS, SOS, OSC, PM, APC."""
_NUMBERS: Final = re.compile(r"[0-9]{0,4}(?:[;:][0-9]{0,4})*")
_AT_MOST: Final = (
    dict.fromkeys("@ABCDEFGIKLMPSTXZ`ade", 1) | dict.fromkeys("Hfr", 2) | {"J": 1, "b": 1, "m": MAX_PARAMETERS}
)
"""Control sequences that pass, with how many parameters they may have."""
_ERASURES: Final = frozenset(("", "0", "1", "2"))
"""Of the screen and of a line; 3 would erase what has scrolled away."""
_MODES: Final = frozenset(("4", "?6", "?7", "?25", "?47", "?1047", "?1049"))
_ALTERNATE: Final = frozenset(("?47", "?1047", "?1049"))
_ESCAPES: Final = frozenset(("7", "8", "D", "E", "M", "(0", "(B", ")0", ")B"))
_CONTROLS: Final = {
    **dict.fromkeys("\b\t\n\r\x0e\x0f"),
    "\x0b": "\n",
    "\x0c": "\n",
    "\x84": "\x1bD",
    "\x85": "\x1bE",
    "\x8d": "\x1bM",
}
"""Control characters that pass, with what stands for them when it is something else."""
_CLEAR: Final = "\x1b[0m\x1b[H\x1b[2J"
_AS_BEFORE: Final = "\x1b[?7h\x1b[4l\x1b[?6l\x1b(B\x0f\x1b[0m\x1b[?25h"


class TerminalText:
    """One stream to a terminal. Holds an unfinished sequence at most, which is short; never raises for what it is fed.

    Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._string_room = 0
        """How many characters of a string may still be dropped, 0 outside of one."""
        self._alternate = ""
        self._margins = False

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """What may be shown of the bytes."""
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        shown: list[str] = []
        at = 0
        while at < len(text):
            at = self._skip_string(text, at) if self._string_room else self._step(text, at, shown)
        return "".join(shown)

    def restore(self) -> str:
        """What puts a terminal that was shown all of this back into the state that programs expect."""
        margins = "\x1b7\x1b[r\x1b8" if self._margins else ""
        alternate = f"\x1b[{self._alternate}l" if self._alternate else ""
        self._margins, self._alternate = False, ""
        return margins + _AS_BEFORE + alternate

    def _step(self, text: str, at: int, shown: list[str]) -> int:
        """Take one run, character or sequence; return where the next one begins."""
        if run := _RUN.match(text, at):
            shown.append(_visible(run[0]))
            return run.end()
        letter = text[at]
        if letter not in "\x1b\x9b":
            self._control(letter, shown)
            return at + 1
        if sequence := _SEQUENCE.match(text, at):
            self._sequence(sequence, shown)
            return sequence.end()
        if _UNFINISHED.match(text, at):
            self._held = text[at:]
            return len(text)
        return at + 1

    def _skip_string(self, text: str, at: int) -> int:
        """Strings are not kept; an escape ends one and begins something else."""
        limit = min(len(text), at + self._string_room)
        end = _STRING_END.search(text, at, limit)
        if end is None:
            self._string_room -= limit - at
            return limit
        self._string_room = 0
        return end.start() if end[0] == "\x1b" else end.end()

    def _control(self, letter: str, shown: list[str]) -> None:
        if letter in "\x90\x98\x9d\x9e\x9f":
            self._string_room = MAX_STRING
        elif letter in _CONTROLS:
            shown.append(_CONTROLS[letter] or letter)

    def _sequence(self, sequence: re.Match[str], shown: list[str]) -> None:
        parameters, intermediates, final, prefix, escape = sequence.groups()
        if final is not None:
            if not intermediates:
                shown.append(self._control_sequence(parameters, final))
        elif not prefix and escape in _STRINGS:
            self._string_room = MAX_STRING
        elif escape == "c" and not prefix:
            shown.append(_CLEAR)
        elif prefix + escape in _ESCAPES:
            shown.append(sequence[0])

    def _control_sequence(self, parameters: str, final: str) -> str:
        """What stands for a control sequence, empty when nothing may."""
        if final in "hl":
            return self._mode(parameters, final)
        if final in "su" and not parameters:
            return "\x1b7" if final == "s" else "\x1b8"
        count = len(re.split("[;:]", parameters))
        if count > _AT_MOST.get(final, 0) or not _NUMBERS.fullmatch(parameters):
            return ""
        if final in "JK" and parameters not in _ERASURES:
            return ""
        self._margins = self._margins or final == "r"
        return f"\x1b[{parameters}{final}"

    def _mode(self, parameters: str, final: str) -> str:
        private, modes = ("?", parameters[1:]) if parameters.startswith("?") else ("", parameters)
        passed = [private + mode for mode in modes.split(";") if private + mode in _MODES]
        for mode in _ALTERNATE.intersection(passed):
            self._alternate = mode if final == "h" else ""
        return "".join(f"\x1b[{mode}{final}" for mode in passed)


def _visible(run: str) -> str:
    """Text without what is not seen or turns the direction around; every kind of space is one."""
    if run.isprintable():
        return run
    return "".join(
        letter if letter.isprintable() else " " for letter in run if letter.isprintable() or _is_space(letter)
    )


def _is_space(letter: str) -> bool:
    return unicodedata.category(letter) == "Zs"
