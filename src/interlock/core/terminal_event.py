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

    @property
    def words(self) -> str:
        """The text, or what a signal and an exit are in words."""
        match self.kind:
            case TerminalEventKind.SIGNAL:
                return f"signal {self.text}"
            case TerminalEventKind.EXIT:
                return exit_words(self.text)
            case _:
                return self.text


def exit_words(text: str) -> str:
    """An exit as its recording has it: a status, the name of a signal, or nothing."""
    return f"exit status {text}" if text.isdigit() else f"ended by {text or 'the connection'}"
