"""Private keys over several lines: where they begin, and how far they go (RFC 7468, RFC 4880).

A key ends with its last line, or with a line that can be no part of one: of a terminal on which only the beginning of a
key was printed something is to be seen again.
"""

import re
from typing import Final

from interlock.protocols.ssh.masking.readings import Reading

_KIND: Final = rb" [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_BEGIN: Final = re.compile(rb"-----BEGIN" + _KIND)
_END: Final = re.compile(rb"-----END" + _KIND)
_OF_KEY: Final = re.compile(
    rb"\s*[A-Za-z0-9+/=]*\s*\Z|\s*(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID): |.*[A-Za-z0-9+/]{16}"
)


def key_begins(readings: list[Reading]) -> bool:
    """Whether a private key begins somewhere in this."""
    return any(b"-----BEGIN " in reading.text and _BEGIN.search(reading.text) for reading in readings)


def key_goes_on(readings: list[Reading]) -> bool:
    """Whether a key that begins in this line goes on in the next one."""
    for reading in readings:
        begins = [match.end() for match in _BEGIN.finditer(reading.text)]
        if begins and _END.search(reading.text, begins[-1]) is None:
            return True
    return False


def key_rest(line: bytes, readings: list[Reading]) -> tuple[int, bool]:
    """How much of a line behind the beginning of a key belongs to it, and whether it goes on in the next one."""
    for reading in readings:
        if (end := _END.search(reading.text)) is not None:
            return reading.span(*end.span())[1], False
    goes_on = any(_OF_KEY.match(reading.text) for reading in readings)
    return (len(line), True) if goes_on else (0, False)
