"""What a request means for policy: an action on every name that its files have."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from interlock.core.file_paths import file_path
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.printable import one_line
from interlock.protocols.ssh.commands.invocation import CommandClass, PathUse
from interlock.protocols.ssh.commands.programs.places import path_classes
from interlock.protocols.ssh.sftp.names import Names
from interlock.protocols.ssh.sftp.places import Place

LIST: Final = "file-list"
READ: Final = "file-read"
WRITE: Final = "file-write"
REMOVE: Final = "file-remove"

_TOLD_CLASSES: Final = (CommandClass.PERSISTENCE, CommandClass.PRIVILEGE, CommandClass.DESTRUCTIVE)
"""What writing to a place may be besides."""


@dataclass(frozen=True, slots=True)
class Use:
    """An action on a file under each of its names. ``may_hold``: it may be a directory that brings files along."""

    action: str
    names: tuple[str, ...]
    may_hold: bool = False


def used(action: str, place: Place, may_hold: bool = False) -> Use:
    """An action on a place."""
    return Use(action, place.names, may_hold)


def meaning_of(verb: str, uses: Iterable[Use], names: Names, login: str) -> Meaning:
    """The meaning of a request that does these things; nothing in particular to files when there are none."""
    accesses: dict[Access, None] = {}
    paths: dict[str, None] = {}
    classes: dict[CommandClass, None] = {}
    for use in uses:
        for form in (form for name in use.names for form in names.forms(name)):
            paths[form] = None
            resource = file_path(form)
            accesses[Access(use.action, ResourceKind.FILE, resource)] = None
            for each in _place_classes(form, use):
                classes[each] = None
                accesses[Access(f"ssh-{each.value}", ResourceKind.FILE, resource)] = None
    whole = accesses or {Access(LIST, ResourceKind.CONNECTION): None}
    return Meaning(verb, tuple(whole), _facts(login, paths, (each.value for each in classes)))


def refused_meaning(verb: str, reason: str, login: str) -> Meaning:
    """The meaning of a request that the gateway cannot carry safely."""
    access = Access("unclassified", ResourceKind.CONNECTION)
    return Meaning(verb, (access,), _facts(login, (), ()), refusal=reason)


def said(place: Place) -> str:
    """A place in a sentence."""
    written = one_line(place.written)
    return written if len(place.names) == 1 else f"{written} (really {one_line(place.names[1])})"


def _place_classes(form: str, use: Use) -> Iterable[CommandClass]:
    if use.action != WRITE:
        return ()
    found = path_classes(form, PathUse.WRITE)
    if use.may_hold:
        found |= path_classes(f"{form}/.", PathUse.WRITE) | path_classes(f"{form}/any", PathUse.WRITE)
    return [each for each in _TOLD_CLASSES if each in found]


def _facts(login: str, paths: Iterable[str], classes: Iterable[str]) -> dict[str, object]:
    ssh: dict[str, object] = {
        "kind": "sftp",
        "login": login,
        "command": "",
        "programs": (),
        "paths": tuple(paths),
        "paths_unknown": False,
        "hosts": (),
        "classes": tuple(classes),
        "environment": (),
        "pty": False,
    }
    return {"ssh": ssh}
