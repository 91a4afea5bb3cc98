"""Where shells that take the same text for valid see other words in it.

The login shell of a target is not known, and a program may start any other shell. What is read is the language that
sh, dash, bash, ksh and zsh share, with what bash adds. Where other shells end a quotation elsewhere, the text is read a
second time in their way, and what both readings find counts.
"""

import enum
from dataclasses import dataclass


class Disagreement(enum.Enum):
    """A spelling that was met and that a family of shells reads in another way."""

    ANSI_C_QUOTE = "dash has no $'…'"
    SINGLE_QUOTE = "in fish a backslash escapes a single quote between single quotes"
    DOUBLE_QUOTE = "in csh nothing escapes a double quote between double quotes"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How quotations end."""

    ansi_c_quotes: bool = True
    escapes_in_single_quotes: bool = False
    escapes_in_double_quotes: bool = True
    lines_in_quotes: bool = True
    """Quotations may have line breaks."""


COMMON = Dialect()

OTHERS = {
    Disagreement.ANSI_C_QUOTE: Dialect(ansi_c_quotes=False),
    Disagreement.SINGLE_QUOTE: Dialect(escapes_in_single_quotes=True),
    Disagreement.DOUBLE_QUOTE: Dialect(escapes_in_double_quotes=False, lines_in_quotes=False),
}


class UnreadableError(Exception):
    """The text is not read; ``why`` tells its author what to change."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnterminatedError(UnreadableError):
    """A quotation does not end: every shell refuses the line that it begins in."""

    def __init__(self, opening: str) -> None:
        super().__init__(f"a quotation that begins with {opening} does not end")
