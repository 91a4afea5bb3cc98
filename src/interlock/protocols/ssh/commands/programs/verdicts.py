"""The pieces that verdicts are put together from."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from interlock.protocols.ssh.commands.invocation import (
    UNKNOWN_PATH,
    CommandClass,
    Input,
    Invocation,
    PathUse,
    TouchedPath,
    Verdict,
    Word,
)
from interlock.protocols.ssh.commands.programs.places import path_classes

_Value = TypeVar("_Value")


def verdict(*classes: CommandClass) -> Verdict:
    return Verdict(frozenset(classes))


NOTHING = verdict()
READS = verdict(CommandClass.READ)
WRITES = verdict(CommandClass.WRITE)
DESTROYS = verdict(CommandClass.DESTRUCTIVE)
CONTACTS = verdict(CommandClass.NETWORK)
RULES = verdict(CommandClass.PRIVILEGE)
PERSISTS = verdict(CommandClass.PERSISTENCE)


def opaque(why: str) -> Verdict:
    return Verdict(frozenset({CommandClass.OPAQUE}), why_opaque=why)


def total(*verdicts: Verdict) -> Verdict:
    """All of them together; the first reason why something is opaque stands."""
    return Verdict(
        classes=frozenset().union(*(each.classes for each in verdicts)),
        paths=_all(each.paths for each in verdicts),
        hosts=_all(each.hosts for each in verdicts),
        shell_texts=_all(each.shell_texts for each in verdicts),
        invocations=_all(each.invocations for each in verdicts),
        why_opaque=next((each.why_opaque for each in verdicts if each.why_opaque), ""),
    )


def _all(groups: Iterable[tuple[_Value, ...]]) -> tuple[_Value, ...]:
    return tuple(value for group in groups for value in group)


def touching(words: Iterable[Word], use: PathUse, *, deep: bool = True, harmless: bool = False) -> Verdict:
    """Files that are read, written or removed. What is known of a path decides its place, unless it is ``harmless``."""
    touched = [word for word in words if word.text != "-"]
    classes = (path_classes(word.text, use) for word in touched if not harmless)
    return Verdict(frozenset().union(*classes), paths=tuple(_path(word, use, deep, harmless) for word in touched))


def _path(word: Word, use: PathUse, deep: bool, harmless: bool) -> TouchedPath:
    return TouchedPath(word.text if word.literal and word.text else UNKNOWN_PATH, use, deep, harmless)


def contacting(words: Iterable[tuple[Word, str | None]]) -> Verdict:
    """Hosts that are contacted: each word with the host that it names. Opaque when that is not known."""
    named = tuple(words)
    known = tuple(dict.fromkeys(host for word, host in named if word.literal and host))
    unknown = any(not word.literal or not host for word, host in named)
    reached = Verdict(CONTACTS.classes, hosts=known)
    return total(reached, opaque("the host it contacts is not known")) if unknown else reached


def starting(invocation: Invocation, words: Sequence[Word], *, own_input: bool = True) -> Verdict:
    """Another program is started with ``words``, on the standard input of this one unless it has its own."""
    if not words:
        return NOTHING
    started = (
        Invocation(tuple(words), (), invocation.input, invocation.input_text, invocation.output_piped)
        if own_input
        else Invocation(tuple(words), (), Input.NOTHING, None, invocation.output_piped)
    )
    return Verdict(frozenset(), invocations=(started,))


def shelling(*texts: Word) -> Verdict:
    """A shell is given ``texts``. One that is known in part says at least what that part does."""
    known = all(text.literal for text in texts)
    return total(
        Verdict(frozenset(), shell_texts=texts), NOTHING if known else opaque("what a shell is told is not known")
    )
