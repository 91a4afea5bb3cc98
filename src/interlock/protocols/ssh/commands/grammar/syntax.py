"""The tree of a shell text: what was written, before anything is expanded.

The names are those of the Shell Command Language (POSIX.1-2024, XCU 2): word, simple command, pipeline, and-or list.
"""

import enum
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that stand for themselves; when they are not ``quoted``, for patterns, braces and ``~`` as well."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name`` or ``${name}``."""

    name: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Expansion:
    """An expansion whose value nobody knows. ``parts`` are the expansions inside of it, which are carried out."""

    quoted: bool
    parts: tuple["Part", ...] = ()
    numeric: bool = False
    """The value is a number."""


class Substitutes(enum.Enum):
    """What becomes of the output or input of a substituted script."""

    OUTPUT = "$("
    INPUT_FILE = "<("
    OUTPUT_FILE = ">("


@dataclass(frozen=True, slots=True)
class Substitution:
    """``$(…)``, a pair of backquotes, ``<(…)`` or ``>(…)``."""

    script: "Script"
    kind: Substitutes
    quoted: bool


Part: TypeAlias = Text | Variable | Expansion | Substitution


@dataclass(frozen=True, slots=True)
class ShellWord:
    """A word as it is written; its parts are next to each other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """``name=value``, ``name+=value``, ``name[…]=value``; ``plain`` is the first only. An array's words follow."""

    name: str
    value: ShellWord
    plain: bool = True
    words: tuple[ShellWord, ...] = ()


@dataclass(frozen=True, slots=True)
class HereDocument:
    """The body of ``<<`` (text and expansions)."""

    body: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Redirect:
    """``2>file``: operator, file descriptor (None: the operator's own), what follows. ``here`` is for ``<<`` only."""

    operator: str
    descriptor: int | None
    target: ShellWord
    here: HereDocument | None = None


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command."""

    assignments: tuple[Assignment, ...]
    words: tuple[ShellWord, ...]
    redirects: tuple[Redirect, ...]


class Runs(enum.Enum):
    """How the scripts of a compound command are run."""

    ALL = "all"
    """One after the other: ``{ …; }``."""
    APART = "apart"
    """In a process of their own: ``( … )``."""
    SOME = "some"
    """Some or none: ``if``, ``case``."""
    AGAIN = "again"
    """None, once or many times: loops."""


@dataclass(frozen=True, slots=True)
class Compound:
    """A compound command. ``words`` are expanded by it, ``binds`` are variables that it sets."""

    runs: Runs
    scripts: tuple["Script", ...]
    words: tuple[ShellWord, ...] = ()
    binds: tuple[str, ...] = ()
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """The definition of a function."""

    name: str
    body: Compound


Command: TypeAlias = Simple | Compound | Function


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by ``|``."""

    commands: tuple[Command, ...]
    negated: bool = False
    with_errors: bool = False
    """Joined by ``|&``, which only bash and zsh take for a pipe."""


@dataclass(frozen=True, slots=True)
class AndOr:
    """Pipelines joined by ``&&`` and ``||``. ``rest`` has each operator with what follows it."""

    first: Pipeline
    rest: tuple[tuple[str, Pipeline], ...] = ()
    background: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """And-or lists, one after the other."""

    lists: tuple[AndOr, ...]
