"""What it means to give a variable a value: for the programs that are started, and for the shell itself."""

import re

from interlock.protocols.ssh.commands.grammar.simple import is_inert
from interlock.protocols.ssh.commands.grammar.syntax import Part, ShellWord, Text, Variable
from interlock.protocols.ssh.commands.invocation import CommandClass, Verdict, Word
from interlock.protocols.ssh.commands.programs.environment import setting
from interlock.protocols.ssh.commands.programs.tables import names

_SHELLS_OWN = re.compile(
    r"path|[a-z_]+path|commands|[a-z]*aliases|functions|dis_\w+|options|NULLCMD|READNULLCMD|BASH_\w+|ENV|\w+_functions"
    r"|nameddirs|userdirs|histchars|HISTCHARS|FPATH|MODULE_PATH|FIGNORE|EXECIGNORE|REPORT\w+|TRAP\w+|HOME|(?:OLD)?PWD|OPTIND|TIMEFMT"
)
"""What changes the meaning of later words; zsh has lists of its own for PATH, aliases and functions."""

_SYSTEM_PATH = names(
    """
    /bin /sbin /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin /snap/bin /usr/games
    /usr/local/go/bin /opt/homebrew/bin
    """
)
_NO_BLANKS = frozenset({"PATH", "HOME", "PWD", "USER", "LOGNAME", "OLDPWD", "HOSTNAME", "UID", "EUID", "PPID"})


def assigning(name: str, value: Word, written: ShellWord | None, *, building: bool = False) -> Verdict:
    """``name=value``. ``written`` is the value before expansion, if that is at hand; ``building``: for a build tool."""
    if name == "IFS":  # changes words that are not literal anyway; shells do not take it from who starts them
        return Verdict(frozenset())
    if name == "PATH" and written is not None and _is_system_path(written):
        return Verdict(frozenset())
    if _SHELLS_OWN.fullmatch(name):
        why = f"{name} changes what later words mean to some shells: use another name"
        return Verdict(frozenset({CommandClass.OPAQUE}), why_opaque=why)
    return setting(name, value, building=building)


def _is_system_path(value: ShellWord) -> bool:
    """Programs are looked for where they are anyway."""
    texts = [_path_text(part) for part in value.parts]
    return None not in texts and _SYSTEM_PATH.issuperset("".join(text or "" for text in texts).split(":"))


def _path_text(part: Part) -> str | None:
    match part:
        case Text(text=text):
            return text
        case Variable(name="PATH"):
            return "/usr/bin"
        case _:
            return None


def may_split(value: ShellWord) -> bool:
    """dash splits such a value behind ``export``, so that it may assign more variables."""
    return any(not isinstance(part, Text) and not part.quoted and not _is_one_word(part) for part in value.parts)


def _is_one_word(part: Part) -> bool:
    return is_inert(part) or (isinstance(part, Variable) and part.name in _NO_BLANKS)
