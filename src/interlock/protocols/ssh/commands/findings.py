"""What has been found out about a command line so far."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from interlock.protocols.ssh.commands.directories import Directories
from interlock.protocols.ssh.commands.invocation import (
    UNKNOWN_PATH,
    CommandClass,
    CommandReading,
    PathUse,
    TouchedPath,
)
from interlock.protocols.ssh.commands.programs import path_classes
from interlock.protocols.ssh.commands.programs.hosts import normalised

_NOT_FILES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty")
_DESCRIPTOR = re.compile(r"/dev/fd/\d+", re.ASCII)
_NETWORK_FILES = ("/dev/tcp/", "/dev/udp/")

MAX_PATHS = 256
"""Different paths of one command line."""
_place_classes = lru_cache(maxsize=512)(path_classes)
_MAX_SHOWN = 200


def shortened(text: str) -> str:
    """Fit for a reason or a name."""
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


@dataclass(slots=True)
class Findings:
    """Grows while a text is read. Insertion order is the order of first use."""

    classes: set[CommandClass] = field(default_factory=set)
    by_program: dict[str, set[CommandClass]] = field(default_factory=dict)
    paths: dict[TouchedPath, None] = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)
    reasons: dict[str, None] = field(default_factory=dict)

    def add(self, classes: Iterable[CommandClass], program: str | None = None) -> None:
        """Classes that a program contributes, or none of them."""
        found = set(classes)
        self.classes |= found
        if program is not None:
            self.by_program.setdefault(shortened(program), set()).update(found)

    def opaque(self, why: str, program: str | None = None) -> None:
        self.add({CommandClass.OPAQUE}, program)
        self.reasons[shortened(why)] = None

    def touch(self, touched: TouchedPath, directories: Directories, program: str | None = None) -> None:
        """A path that is touched where a command may run, with the classes of its place."""
        if touched.path in _NOT_FILES or _DESCRIPTOR.fullmatch(touched.path):
            return
        if touched.path.startswith(_NETWORK_FILES):
            self.add({CommandClass.NETWORK}, program)
            self.hosts[normalised(touched.path.split("/")[3])] = None
            return
        if len(self.paths) >= MAX_PATHS:
            self.opaque(f"more than {MAX_PATHS} files are touched: name fewer")
            return
        places = () if touched.path == UNKNOWN_PATH else directories.resolved(touched.path)
        for place in places:
            self.paths[TouchedPath(place, touched.use, touched.deep)] = None
            self.add(() if touched.harmless else _place_classes(place, touched.use), program)
        if not places:
            self._touch_unknown(touched, program)

    def _touch_unknown(self, touched: TouchedPath, program: str | None) -> None:
        self.paths[TouchedPath(UNKNOWN_PATH, touched.use, touched.deep)] = None
        if touched.harmless:
            return
        if touched.use is PathUse.WRITE:
            self.opaque("it is not known which file is written: write its path in full", program)
        elif touched.use is PathUse.REMOVE:
            self.add({CommandClass.DESTRUCTIVE}, program)
        else:
            self.add({CommandClass.READ}, program)

    def reading(self) -> CommandReading:
        return CommandReading(
            classes=frozenset(self.classes or {CommandClass.READ}),
            programs=tuple(self.by_program),
            paths=tuple(self.paths),
            hosts=tuple(self.hosts),
            why_opaque=tuple(self.reasons),
            by_program=tuple((program, frozenset(classes)) for program, classes in self.by_program.items()),
        )
