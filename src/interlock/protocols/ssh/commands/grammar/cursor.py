"""A place in a text that is being parsed."""

import re

from interlock.protocols.ssh.commands.grammar.dialects import Dialect, UnreadableError
from interlock.protocols.ssh.commands.grammar.facts import Facts

MAX_DEPTH = 24
"""Substitutions, compound commands and shells inside of one another. Keeps far from Python's limit of recursion."""

_BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_COMMENT = re.compile(r"#[^\n]*")


class Cursor:
    """What all rules of the grammar work on. ``depth`` is how deep they are inside of one another."""

    def __init__(self, text: str, dialect: Dialect, facts: Facts, depth: int = 0) -> None:
        self.text = text
        self.at = 0
        self.dialect = dialect
        self.facts = facts
        self.depth = depth

    def sees(self, prefix: str) -> bool:
        return self.text.startswith(prefix, self.at)

    def take(self, prefix: str) -> bool:
        """Goes over ``prefix`` if it is next."""
        if not self.sees(prefix):
            return False
        self.at += len(prefix)
        return True

    def match(self, pattern: re.Pattern[str]) -> str:
        """Goes over what the pattern matches, if anything."""
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    @property
    def next(self) -> str:
        """The next character, nothing at the end."""
        return self.text[self.at : self.at + 1]

    def skip_blanks(self) -> None:
        """Goes over blanks, joined lines and a comment; only where a token may begin."""
        self.match(_BLANKS)
        self.match(_COMMENT)

    def expect(self, token: str, inside: str) -> None:
        if not self.take(token):
            raise UnreadableError(f"{token!r} is missing in {inside}")

    def descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("commands are nested too deep: write fewer of them inside of one another")

    def ascend(self) -> None:
        self.depth -= 1
