"""One program with its arguments, as a shell would start it, and what is said of what that does.

Values only. ``shell`` text is read elsewhere; what programs do is judged elsewhere.
"""

import enum
from dataclasses import dataclass
from typing import Final


class CommandClass(enum.Enum):
    """What a command may do. Policy has an action for each (``ssh-read``, …)."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"
    NETWORK = "network"
    """Contacts another host, so that data may leave."""
    PRIVILEGE = "privilege"
    """Becomes somebody else, or changes who may do what."""
    PERSISTENCE = "persistence"
    """Leaves something behind that runs or lets in later."""
    OPAQUE = "opaque"
    """Nobody can say from its text what it does."""


class PathUse(enum.Enum):
    """What is done to a path."""

    READ = "read"
    WRITE = "write"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Word:
    """A word after unquoting. ``text`` is what is known of it; it is all of it when ``literal``.

    ``$HOME/x`` is not literal and has the text ``/x``. ``*.log`` is literal with ``glob`` set: a pattern of file names.
    ``~/x`` stays as it is.
    """

    text: str
    literal: bool = True
    glob: bool = False


class Input(enum.Enum):
    """Where a program's standard input comes from."""

    CLIENT = "client"
    PIPE = "pipe"
    FILE = "file"
    TEXT = "text"
    """A here-document or here-string; ``Invocation.input_text`` has it."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Invocation:
    """A simple command: its words, the first is the program. ``assignments`` are those in front of it.

    ``input_text`` is what is known to be on standard input (None when it is not known); ``output_piped`` says that
    another program reads its output. Redirections to files are no concern of whoever judges it.
    """

    words: tuple[Word, ...]
    assignments: tuple[tuple[str, Word], ...] = ()
    input: Input = Input.CLIENT
    input_text: str | None = None
    output_piped: bool = False

    @property
    def program(self) -> Word:
        return self.words[0]

    @property
    def arguments(self) -> tuple[Word, ...]:
        return self.words[1:]


UNKNOWN_PATH: Final = "?"
"""In the place of a path that is touched, but not known."""


@dataclass(frozen=True, slots=True)
class TouchedPath:
    """A path as it was written (``/srv/x``, ``~/x``, ``x``: relative to the directory the command runs in).

    ``deep``: of a directory, what is below it is touched as well (``rm -r``, ``grep -r``, not ``ls``).
    ``harmless``: what is done to it adds no class, wherever it is (a mode that is tightened, a name that is given up).
    """

    path: str
    use: PathUse
    deep: bool = True
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one invocation does by itself, and what it starts in turn.

    ``shell_texts`` are handed to a shell, ``invocations`` are started as they are (``sudo``, ``xargs``, …); both are
    judged in turn and their verdicts added. ``why_opaque`` says it in words, for OPAQUE only.
    """

    classes: frozenset[CommandClass]
    paths: tuple[TouchedPath, ...] = ()
    hosts: tuple[str, ...] = ()
    shell_texts: tuple[Word, ...] = ()
    invocations: tuple[Invocation, ...] = ()
    why_opaque: str = ""


@dataclass(frozen=True, slots=True)
class CommandReading:
    """What a whole command line does. ``programs`` are base names (``rm``), in the order of first use.

    ``by_program`` says which program contributes which classes; what none of them does, such as a redirection, is in
    ``classes`` alone. It is empty when nobody has told them apart: then all of ``classes`` count for every program.
    """

    classes: frozenset[CommandClass]
    programs: tuple[str, ...] = ()
    paths: tuple[TouchedPath, ...] = ()
    hosts: tuple[str, ...] = ()
    why_opaque: tuple[str, ...] = ()
    by_program: tuple[tuple[str, frozenset[CommandClass]], ...] = ()
