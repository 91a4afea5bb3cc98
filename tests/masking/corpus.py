"""Reads the corpus: what is sent, how, and what it must come to.

A file has sections (``# heading``) of cases. A case is one or more steps and ends with what is expected::

    @ extended, needs xml
    PREPARE p AS SELECT email
        FROM users
    EXECUTE p
        -> email 1

A line that is not indented begins a step; indented ones go on with it. ``root>`` in front is said by somebody else who
is not under a mask, in a session of its own; such a case is ``autocommit``. ``    $ a | b`` are parameters of the step
before, ``    < text`` is what it copies in. There, and in a case with ``escaped``, backslash escapes count.
Options are:

* a way to send every step (see ``Way``), or ``pipeline``: all of them before one Sync;
* ``autocommit``: not in a transaction that is rolled back, and the database is made anew afterwards;
* ``hostile``: in the database where built-in names and operators have further meanings;
* ``needs NAME``: an extension, or ``xml``; ``since 16``: the oldest server that has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.masking.session import Way

_CORPUS = Path(__file__).parent / "corpus"
_OUTSIDE = "root> "


@dataclass(frozen=True)
class Step:
    """One text that is sent, with what belongs to it."""

    text: str
    outside: bool = False
    parameters: tuple[str | None, ...] = ()
    copied: str = ""


@dataclass(frozen=True)
class Case:
    """Steps of one session and what is expected of them."""

    file: str
    line: int
    section: str
    steps: tuple[Step, ...]
    expected: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def way(self) -> Way:
        named = [Way(option) for option in self.options if option in {way.value for way in Way}]
        return named[0] if named else Way.SIMPLE

    @property
    def autocommit(self) -> bool:
        return "autocommit" in self.options or any(step.outside for step in self.steps)

    @property
    def hostile(self) -> bool:
        return "hostile" in self.options

    @property
    def pipelined(self) -> bool:
        return "pipeline" in self.options

    @property
    def needs(self) -> tuple[str, ...]:
        """Extensions, and ``xml``."""
        return tuple(option.split()[1] for option in self.options if option.startswith("needs "))

    @property
    def since(self) -> int:
        """The oldest major version of the server."""
        return max((int(option.split()[1]) for option in self.options if option.startswith("since ")), default=0)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} " + " ⏎ ".join(step.text for step in self.steps)


def sections(*names: str) -> dict[str, list[Case]]:
    """The cases of files, by section."""
    found: dict[str, list[Case]] = {}
    for name in names:
        for case in read(name):
            found.setdefault(case.section, []).append(case)
    return found


def read(name: str) -> Iterator[Case]:
    """The cases of ``corpus/NAME.txt``. Raises ValueError for a line that has no meaning where it is."""
    section, begun = "", 0
    options: tuple[str, ...] = ()
    steps: list[Step] = []
    for number, line in enumerate((_CORPUS / f"{name}.txt").read_text(encoding="utf-8").split("\n"), 1):
        if line.startswith("# "):
            section = line[2:]
        elif line.startswith("@ "):
            options = tuple(option.strip() for option in line[2:].split(","))
        elif line.startswith("    -> "):
            if not steps:
                raise ValueError(f"{name}.txt:{number}: expected what, of nothing?")
            expected = tuple(word.strip() for word in line[7:].split(","))
            yield Case(name, begun, section, tuple(_finished(steps, options)), expected, options)
            options, steps, begun = (), [], 0
        elif line.startswith("    "):
            steps[-1] = _continued(steps[-1], line[4:])
        elif line:
            begun = begun or number
            steps.append(Step(line.removeprefix(_OUTSIDE), line.startswith(_OUTSIDE)))
    if steps:
        raise ValueError(f"{name}.txt: the last case expects nothing")


def _continued(step: Step, line: str) -> Step:
    if line.startswith("$ "):
        values = (value.strip() for value in line[2:].split("|"))
        return replace(step, parameters=tuple(None if value == "NULL" else value for value in values))
    if line.startswith("< "):
        return replace(step, copied=_unescaped(line[2:]))
    return replace(step, text=f"{step.text}\n{line}")


def _finished(steps: list[Step], options: tuple[str, ...]) -> Iterator[Step]:
    for step in steps:
        yield replace(step, text=_unescaped(step.text)) if "escaped" in options else step


def _unescaped(text: str) -> str:
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
