"""Looks at one stream of output, unit by unit, and remembers what goes on from one to the next."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from interlock.core.content.content import Content
from interlock.core.detection import Finding
from interlock.protocols.ssh.masking.keys import key_begins, key_goes_on, key_rest
from interlock.protocols.ssh.masking.looking import Look, look
from interlock.protocols.ssh.masking.readings import Reading, readings

EVERYTHING: Final = ""
"""What stands for the detector class where all is masked."""
WORD_END: Final = re.compile(rb"[\s\"'<>]")
"""Behind a value that was too long to be looked at, something may be shown again from there on."""


class Sight(NamedTuple):
    """What the units before have left behind. ``in_word`` is in the rest of a value that was too long."""

    in_key: bool = False
    in_word: bool = False


BEGINNING: Final = Sight()


def look_on(output: bytes, sight: Sight, content: Content | None) -> tuple[Look, Sight]:
    """What is found in whole units of output, and what they leave behind. Without detectors all is masked."""
    read = readings(output)
    if content is None:
        return _everything(output, read), sight
    if sight.in_key or (content.looks_for("secret") and key_begins(read)):
        found, in_key = _look_by_lines(output, sight.in_key, content)
    else:
        found, in_key = look(output, read, content), False
    in_word = sight.in_word and _hide_word(output, read, found)
    return found.in_order(), Sight(in_key, in_word)


def _everything(output: bytes, read: list[Reading]) -> Look:
    found = Look()
    if output.strip():
        found.masked.append(Finding(0, len(output), EVERYTHING))
        found.hide(0, len(output), read[0].kept)
    return found


def _hide_word(output: bytes, read: list[Reading], found: Look) -> bool:
    """Hide the rest of a word. Whether it goes on."""
    end = WORD_END.search(read[0].text)
    found.hide(0, len(output) if end is None else read[0].span(*end.span())[0], read[0].kept)
    return end is None


def _look_by_lines(output: bytes, in_key: bool, content: Content) -> tuple[Look, bool]:
    """Where there are private keys, and whether one goes on."""
    found, looked_to = Look(), 0
    for start, end in _lines(output):
        line = output[start:end]
        read = readings(line)
        if in_key:
            size, in_key = key_rest(line, read)
            if "secret" in content.masked_classes:
                hidden = Look()
                hidden.hide(0, size, read[0].kept)
                found.add(hidden, start)
            looked_to = start + size
        if not in_key and key_begins(read):
            for first, last in ((looked_to, start), (max(looked_to, start), end)):
                _look_at_part(output, first, last, found, content)
            looked_to, in_key = end, key_goes_on(read)
    _look_at_part(output, looked_to, len(output), found, content)
    return found, in_key


def _look_at_part(output: bytes, start: int, end: int, found: Look, content: Content) -> None:
    if start < end:
        part = output[start:end]
        found.add(look(part, readings(part), content), start)


def _lines(output: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(output):
        end = output.find(b"\n", start) + 1 or len(output)
        yield start, end
        start = end
