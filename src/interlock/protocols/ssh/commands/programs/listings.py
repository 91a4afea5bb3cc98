"""Programs that print names of files for others to take up, and which names those may be."""

import re

from interlock.protocols.ssh.commands.invocation import Invocation
from interlock.protocols.ssh.commands.programs.finding import names_found


def names_listed(invocation: Invocation) -> str | None:
    """Patterns of the names that are printed, one a line, all of which begin with a directory; None when not known."""
    match invocation.program.text:
        case "find":
            return names_found(invocation)
        case "grep":
            return _names_matching(invocation)
        case _:
            return None


def _names_matching(invocation: Invocation) -> str | None:
    """``grep -rl PATTERN ROOT``."""
    match [word.text for word in invocation.arguments]:
        case [options, _, root] if re.fullmatch(r"-[rRIinwEFZ]*l[rRIinwEFZ]*", options) and re.search("[rR]", options):
            plain = re.fullmatch(r"\.|[\w.-]+(?:/[\w.-]+)*/?|/(?:srv|opt|tmp|data)/[\w./-]*", root)
            known = plain and ".." not in root and not root.startswith("-")
            return f"{root.rstrip('/')}/*\n" if known and all(word.literal for word in invocation.arguments) else None
        case _:
            return None
