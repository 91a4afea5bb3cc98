"""Requests as people write them for the tools around policy, and what they mean.

A command is written behind ``$``. Everything else is in words, those of SFTP as they are on record::

    $ rm -rf /srv/old
    shell
    sftp open /srv/data.csv for reading
    sftp rename /srv/a to /srv/b
    forward db.internal:5432
    forward remote 127.0.0.1:8080
    forward /run/docker.sock

Without ``$``, and where it begins with none of these words, it is a command as well.
"""

import re
from collections.abc import Callable
from typing import Final

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings import ConnectionSettings, SshTarget
from interlock.protocols.ssh.commands.reading import read_command
from interlock.protocols.ssh.events import Exec, Forward, ForwardKind, Shell
from interlock.protocols.ssh.meaning import meaning_of_exec, meaning_of_forward, meaning_of_shell
from interlock.protocols.ssh.sftp.meanings import LIST, READ, REMOVE, WRITE, Use, meaning_of
from interlock.protocols.ssh.sftp.names import Names

_SFTP: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("OPEN", "open (.+) for reading and writing", (READ, WRITE)),
    ("OPEN", "open (.+) for reading", (READ,)),
    ("OPEN", "open (.+) for writing", (WRITE,)),
    ("OPENDIR", "list (.+)", (LIST,)),
    ("STAT", "look up (.+)", (LIST,)),
    ("READLINK", "read the link (.+)", (LIST,)),
    ("RMDIR", "remove the directory (.+)", (REMOVE,)),
    ("REMOVE", "remove (.+)", (REMOVE,)),
    ("MKDIR", "make the directory (.+)", (WRITE,)),
    ("SETSTAT", "change (.+)", (WRITE,)),
)
"""Requests about one file: the verb, the words, and what is asked for."""
_RENAME: Final = re.compile("rename (.+) to (.+)")
_FORWARD: Final = re.compile(r"(?P<remote>remote )?(?:(?P<host>\[[^]]+\]|[^/\s]+):(?P<port>\d{1,5})|(?P<path>/\S+))")
_HOW_TO_WRITE: Final = {
    "sftp": "a request of SFTP is written as: sftp open PATH for reading, for writing, list PATH, look up PATH, "
    "remove PATH, remove the directory PATH, make the directory PATH, change PATH, rename PATH to PATH",
    "forward": "a forwarding is written as: forward HOST:PORT, forward remote ADDRESS:PORT, forward /PATH",
}


class Unreadable(Exception):
    """What is wrong with a written request, half a sentence."""


def meaning_of_written(text: str, connection: ConnectionSettings | None) -> Meaning:
    """What a written request means. Never raises for what is written."""
    login = connection.user if connection is not None else ""
    settings = connection.ssh if connection is not None else SshTarget()
    word, _, rest = text.strip().partition(" ")
    if word == "shell" and not rest:
        return meaning_of_shell(Shell(), login)
    if (read := _READERS.get(word)) is not None:
        try:
            return read(rest.strip(), login)
        except Unreadable as unreadable:
            return _unclassified(text, str(unreadable), login)
    command = rest if word == "$" else text.strip()
    return meaning_of_exec(
        Exec(command.encode(errors="replace")), read_command(command, settings.max_command_bytes), login
    )


def _sftp(text: str, login: str) -> Meaning:
    if match := _RENAME.fullmatch(text):
        old, new = match.groups()
        uses = [Use(REMOVE, (old,)), Use(WRITE, (new,), holds=True)]
        return meaning_of("RENAME", text, uses, Names(), login)
    for verb, words, actions in _SFTP:
        if match := re.fullmatch(words, text):
            return meaning_of(verb, text, [Use(action, (match[1],)) for action in actions], Names(), login)
    raise Unreadable(_HOW_TO_WRITE["sftp"])


def _forward(text: str, login: str) -> Meaning:
    match = _FORWARD.fullmatch(text)
    if match is None or (match["path"] and match["remote"]):
        raise Unreadable(_HOW_TO_WRITE["forward"])
    if match["path"]:
        return meaning_of_forward(Forward(ForwardKind.UNIX, match["path"]), login)
    kind = ForwardKind.REMOTE if match["remote"] else ForwardKind.LOCAL
    return meaning_of_forward(Forward(kind, match["host"], int(match["port"])), login)


_READERS: Final[dict[str, Callable[[str, str], Meaning]]] = {"sftp": _sftp, "forward": _forward}


def _unclassified(text: str, why: str, login: str) -> Meaning:
    facts = {"ssh": {"kind": "exec", "login": login, "command": text}, "error": why}
    return Meaning("?", (Access("unclassified", ResourceKind.CONNECTION),), facts)
