"""What happened at the terminals of a session, for whoever plays it, follows it or exports it.

Values only. Texts come from ``core.terminal`` and hold nothing that acts on a reader's terminal.
"""

import enum

import msgspec


class TerminalEventKind(enum.Enum):
    """What an event is."""

    ASKED = "asked"
    """An operation: its text says what was asked for."""
    DECIDED = "decided"
    """It was not simply allowed: its text says how it was decided, and why."""
    OUTPUT = "output"
    """What was written, with the line ends of a terminal."""
    INPUT = "input"
    RESIZED = "resized"
    """The terminal's size, ``COLUMNSxROWS``; before any output when there is a terminal."""
    SIGNAL = "signal"
    EXIT = "exit"
    """The exit status in decimal, or the name of the signal that ended it."""
    GAP = "gap"
    """Something was not kept: the text says what."""


class TerminalEvent(msgspec.Struct, frozen=True):
    """One thing that happened. ``at_us`` counts microseconds from the session's start; several operations may go on
    at once."""

    at_us: int
    number: int
    kind: TerminalEventKind
    text: str
