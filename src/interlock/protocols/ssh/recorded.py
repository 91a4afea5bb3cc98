"""How the frames of a channel's recording are made: one byte that names the stream, then what was said on it.

Holds masked data only; what is masked has been masked before.
"""

import enum
from typing import NamedTuple


class Stream(enum.Enum):
    """Whose bytes a frame holds. The value is the frame's first byte."""

    OUTPUT = b"o"
    ERROR = b"e"
    INPUT = b"i"
    RESIZED = b"r"
    """``COLUMNSxROWS``"""
    SIGNAL = b"s"
    """A signal's name without ``SIG`` (RFC 4254, 6.9)."""
    EXIT = b"x"
    """The exit status in decimal, or the name of the signal that ended it."""


class Kind(enum.Enum):
    """What an operation is, as its request has it in ``parameter_types``. Its text is the command, the path, ..."""

    EXEC = b"exec"
    SHELL = b"shell"
    SFTP = b"sftp"
    FORWARD = b"forward"


class Recorded(NamedTuple):
    """What a frame says."""

    stream: Stream
    data: bytes


def encode(stream: Stream, data: bytes) -> bytes:
    """The data of a frame."""
    return stream.value + data


def decode(frame: bytes) -> Recorded:
    """What a frame says. Raises ``ValueError`` for one that this module has not made."""
    return Recorded(Stream(frame[:1]), frame[1:])


def terminal_size(data: bytes) -> tuple[int, int]:
    """Columns and rows of ``RESIZED``, from 1 to 1000; 80 and 24 stand for what is not a size."""
    columns, _, rows = data.partition(b"x")
    if not (columns.isdigit() and rows.isdigit() and len(data) < 24):
        return 80, 24
    return min(max(int(columns), 1), 1000), min(max(int(rows), 1), 1000)
