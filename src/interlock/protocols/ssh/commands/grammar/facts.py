"""What a text says about variables as a whole, gathered while it is parsed."""

import re
from dataclasses import dataclass, field

from interlock.protocols.ssh.commands.grammar.dialects import Disagreement

MAX_COMMANDS = 256
"""Simple commands of one command line, with those of the texts that it hands to shells."""
MAX_TEXTS = 256
"""Texts between backquotes, bodies of here-documents and texts handed to shells, of one command line."""

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(slots=True)
class Facts:
    """Shared by all parsers of one command line, and by those of the texts that it hands to shells."""

    computed: set[str] = field(default_factory=set)
    """Names in arithmetic: their values are evaluated, and shells run the ``$(…)`` in an index inside of a value."""
    unchecked: set[str] = field(default_factory=set)
    """Names whose value may be anything, because it is read from somewhere or has expansions or quotations in it."""
    assigned: set[str] = field(default_factory=set)
    """Names that get a value by a plain assignment."""
    unfollowed: set[str] = field(default_factory=set)
    """Names whose assignments do not tell their values: those that are readonly, and those of ``select``."""
    heads: set[str] = field(default_factory=set)
    """Names that arithmetic begins with. fish takes ``$((x))`` for a command ``x``, but refuses a text with ``x=1``."""
    commands_left: int = MAX_COMMANDS
    texts_left: int = MAX_TEXTS
    disagreements: set[Disagreement] = field(default_factory=set)

    def compute(self, text: str) -> None:
        """``text`` is arithmetic."""
        self.computed.update(_IDENTIFIER.findall(text))

    def followed(self, name: str) -> bool:
        """Assignments tell the value of the variable. Arithmetic may change it as well."""
        return name not in self.computed and name not in self.unfollowed

    def unsound(self) -> str | None:
        """A name that arithmetic must not have, if there is one."""
        doubtful = self.computed & self.unchecked or {
            name for name in self.heads - self.assigned if name != name.upper()
        }
        return min(doubtful, default=None)
