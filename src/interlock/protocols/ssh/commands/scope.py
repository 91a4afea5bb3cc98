"""What a shell knows at a place in a text: variables with a certain value, functions, where it is."""

import re
from dataclasses import dataclass, field

from interlock.protocols.ssh.commands.directories import AT_HOME, Directories

_MAX_VALUE = 256
"""Characters of a value that is kept, so that no text grows by much."""

_ORDINARY = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_OWN = re.compile(
    r"BASH.*|(?:S?RANDOM|SECONDS|LINENO|EPOCH\w+|(?:OLD)?PWD|E?[UG]ID|USERNAME|PPID|HIST\w+|DIRSTACK|GROUPS|FUNCN\w+"
    r"|PIPESTATUS|SHELLOPTS|OPT\w+|REPLY|HOST\w*|TTYIDLE|COLUMNS|LINES|TMOUT|SHLVL|IFS|HOME|TRY_BLOCK\w+|ERRNO|KEYTIMEOUT"
    r"|MACHTYPE|OSTYPE|VENDOR|CPUTYPE|LOGCHECK|SAVEHIST|LANG|LC_\w+|COMP\w*|COPROC|MAPFILE|PROMPT\w*|PS\d)|argv|status"
    r"|pipestatus|path|[a-z]+path|commands|aliases|[a-z]+aliases|functions\w*|options|signals|prompt|psvar|hist\w+|funcst\w*"
    r"|modules|parameters|jobs\w+|nameddirs|userdirs|usergroups|dirstack|errnos|keymaps|widgets|zsh\w+|mailpath|dis_\w+"
)
"""Variables that some shell gives a value or a type of its own."""


@dataclass(slots=True)
class Scope:
    """``conditional`` counts what is around: inside of it, nothing that is done is certain to have happened after."""

    directories: Directories = AT_HOME
    values: dict[str, str] = field(default_factory=lambda: {"HOME": ""})
    functions: set[str] = field(default_factory=set)
    conditional: int = 0
    moved: bool = False
    """A change of directory was asked for since this was looked at last."""
    follows: bool = True
    """Values are kept. They are not once ``IFS`` may split them in other places."""

    def copy(self) -> "Scope":
        """For what runs in a process of its own."""
        return Scope(self.directories, dict(self.values), set(self.functions), self.conditional, follows=self.follows)

    def move(self, directories: Directories) -> None:
        self.directories = directories
        self.moved = True

    def assign(self, name: str, value: str | None) -> None:
        """A variable gets a value, None for one that is not known."""
        if name == "IFS":
            self.follows = False
            self.forget_all()
        ordinary = _ORDINARY.fullmatch(name) and not _OWN.fullmatch(name)
        if value is not None and len(value) <= _MAX_VALUE and ordinary and self.follows and not self.conditional:
            self.values[name] = value
        else:
            self.values.pop(name, None)

    def hold(self, name: str, value: str | None) -> None:
        """The variable of a loop has this value when a pass begins."""
        conditional, self.conditional = self.conditional, 0
        self.assign(name, value)
        self.conditional = conditional

    def define(self, name: str) -> None:
        """A function is certain to have that name from now on, unless this may not happen."""
        if not self.conditional:
            self.functions.add(name)

    def forget_all(self) -> None:
        """Any variable may have any value from here on."""
        home = "HOME" in self.values
        self.values.clear()
        if home:
            self.values["HOME"] = ""

    def lose(self, other: "Scope") -> None:
        """``other``, a copy, may have been this scope after all.

        zsh runs the last command of a pipeline itself, and the first of ``a && b &``.
        """
        for name in [name for name, value in self.values.items() if other.values.get(name) != value]:
            del self.values[name]
        self.follows = self.follows and other.follows
        self.moved = self.moved or other.moved
        self.directories = self.directories.or_in(other.directories)
