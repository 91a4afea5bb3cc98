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
