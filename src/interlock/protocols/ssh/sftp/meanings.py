"""What a request means for policy: an action on every name that its files have, and what writing to a place adds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from interlock.core.file_paths import file_path
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.printable import one_line
from interlock.protocols.ssh.commands.invocation import CommandClass, PathUse
from interlock.protocols.ssh.commands.programs.places import path_classes
from interlock.protocols.ssh.meaning import meaning_of_files
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
    """An action on a file under each of its names.

    ``holds``: it may be a directory that brings files along. ``grants``: its mode gives rights to others.
    """

    action: str
    names: tuple[str, ...]
    holds: bool = False
    grants: bool = False


def used(action: str, place: Place, holds: bool = False, grants: bool = False) -> Use:
    """An action on a place."""
    return Use(action, place.names, holds, grants)


def meaning_of(verb: str, text: str, uses: Iterable[Use], names: Names, login: str) -> Meaning:
    """The meaning of a request that does these things; listing on the connection when there are none."""
    touched = [(use, form) for use in uses for name in use.names for form in names.forms(name)]
    meaning = meaning_of_files(verb, text, [(use.action, form) for use, form in touched], login)
    if not touched:
        return msgspec.structs.replace(meaning, accesses=(Access(LIST, ResourceKind.CONNECTION),))
    found = {(each, form): None for use, form in touched for each in _place_classes(form, use)}
    if not found:
        return meaning
    added = [Access(f"ssh-{each.value}", ResourceKind.FILE, file_path(form)) for each, form in found]
    ssh = meaning.facts["ssh"]
    assert isinstance(ssh, Mapping)
    facts = {"ssh": {**ssh, "classes": tuple(dict.fromkeys(each.value for each, _ in found))}}
    return Meaning(verb, (*meaning.accesses, *added), facts)


def refused_meaning(verb: str, text: str, reason: str, login: str) -> Meaning:
    """The meaning of a request that the gateway cannot carry safely."""
    facts = meaning_of_files(verb, text, (), login).facts
    return Meaning(verb, (Access("unclassified", ResourceKind.CONNECTION),), facts, refusal=reason)


def said(place: Place) -> str:
    """A place in a sentence."""
    written = one_line(place.written)
    return written if len(place.names) == 1 else f"{written} (really {one_line(place.names[1])})"


def _place_classes(form: str, use: Use) -> Iterable[CommandClass]:
    if use.action != WRITE:
        return ()
    found = path_classes(form, PathUse.WRITE)
    if use.holds:
        found |= path_classes(f"{form}/any", PathUse.WRITE)
    if use.grants:
        found |= {CommandClass.PRIVILEGE}
    return [each for each in _TOLD_CLASSES if each in found]
