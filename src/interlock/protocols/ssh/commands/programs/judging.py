"""What one program does with its arguments. Nothing is run, looked up or guessed: what is not known is opaque."""

import posixpath
import re

from interlock.protocols.ssh.commands.invocation import Invocation, Verdict
from interlock.protocols.ssh.commands.programs import (
    archives,
    builds,
    builtins,
    clouds,
    containers,
    databases,
    disks,
    feeding,
    finding,
    git,
    language_packages,
    network,
    packages,
    readers,
    remote,
    services,
    shells,
    system,
    text,
    wrappers,
    writers,
)
from interlock.protocols.ssh.commands.programs.depth import of_its_depth
from interlock.protocols.ssh.commands.programs.plain import Programs
from interlock.protocols.ssh.commands.programs.verdicts import NOTHING, READS, opaque, total

_WRAPPERS = {"./gradlew": "gradle", "./mvnw": "mvn", "./configure": "autoconf"}
_INSTALLED_WITH_IT = re.compile(r"(?:\./)?(?:\.?v?env/bin|node_modules/\.bin|vendor/bin)/([\w.-]+)")
_SYSTEM_DIRECTORIES = frozenset({"/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"})

_FAMILIES = (
    readers,
    writers,
    text,
    finding,
    archives,
    network,
    remote,
    shells,
    wrappers,
    feeding,
    git,
    packages,
    language_packages,
    services,
    containers,
    clouds,
    databases,
    builds,
    system,
    disks,
    builtins,
)
PROGRAMS: Programs = {name: judged for family in _FAMILIES for name, judged in family.PROGRAMS.items()}


def judge(invocation: Invocation) -> Verdict:
    """What the invocation does by itself, and what it starts in turn (which the caller judges).

    The assignments in front of it are the shell's: ``environment.setting`` says what they do.
    """
    if not invocation.words:
        return NOTHING
    program = invocation.program
    if not program.literal or program.glob:
        return opaque("which program runs is not known")
    name = base_name(program.text) or _of_project(program.text)
    if name is None:
        return opaque(f"{program.text} is a program of its own, what it does is not known")
    known = PROGRAMS.get(name)
    if known is None:
        return opaque(f"{name} is not a program that is known")
    does = known(invocation)
    says_nothing = not (does.classes or does.invocations or does.shell_texts)
    return of_its_depth(name, invocation, total(READS, does) if says_nothing else does)


def base_name(program: str) -> str | None:
    """``rm`` for ``rm`` and ``/bin/rm``; None for a program that is not in a directory of the system."""
    directory, name = posixpath.split(program)
    return name if not directory or directory in _SYSTEM_DIRECTORIES else None


def _of_project(program: str) -> str | None:
    """The build tool that a project brings along. It runs the code of the project, as build tools do anyway."""
    if program in _WRAPPERS:
        return _WRAPPERS[program]
    found = _INSTALLED_WITH_IT.fullmatch(program)
    return found[1] if found and builds_projects(found[1]) else None


def builds_projects(program: str) -> bool:
    """It is a build tool, which runs the code of the project whatever it is told."""
    return program in builds.PROGRAMS or program in language_packages.PROGRAMS
