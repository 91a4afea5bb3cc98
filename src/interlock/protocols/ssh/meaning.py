"""What requests over SSH mean for policy: accesses to programs, files and hosts, and facts.

A command asks for each of its classes on each program that contributes it, for each file that it touches, and for each
host that it contacts; it is permitted when all of that is. What nobody can read asks for ``ssh-opaque``.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final

from interlock.core.file_paths import (
    ANYWHERE,
    ROOT,
    FilePath,
    below,
    file_path,
    is_unknown,
    pattern_path,
    shown,
)
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.ssh.commands.invocation import (
    UNKNOWN_PATH,
    CommandClass,
    CommandReading,
    PathUse,
    TouchedPath,
)
from interlock.protocols.ssh.events import Exec, Forward, ForwardKind, Shell

MAX_ACCESSES: Final = 128
"""Different accesses of one command; one with more is opaque, and as many facts of a kind are told of it.

The circumstances are told for each access anew, so the cost of a decision grows with the square of this.
"""
_SHOWN_PROGRAMS = 5

_CLASS_ACTIONS: Final = {each: f"ssh-{each.value}" for each in CommandClass}
_FILE_ACTIONS: Final[Mapping[PathUse, str]] = {
    PathUse.READ: "file-read",
    PathUse.WRITE: "file-write",
    PathUse.REMOVE: "file-remove",
}
_OPAQUE: Final = Access("ssh-opaque", ResourceKind.CONNECTION)


def meaning_of_exec(request: Exec, reading: CommandReading, login: str) -> Meaning:
    """What running a command means, given what it was read as."""
    files = [(_FILE_ACTIONS[each.use], _path(each, reading), each.deep) for each in reading.paths]
    hosts = tuple(map(host_name, reading.hosts))
    network = _CLASS_ACTIONS[CommandClass.NETWORK]
    accesses = _bounded([*_of_classes(reading), *_of_files(files), *(_on_host(network, host) for host in hosts)])
    facts = _facts(
        "exec",
        login,
        request.command.decode(errors="backslashreplace"),
        files=[path for _, path, _ in files],
        programs=tuple(map(_text, reading.programs)),
        hosts=hosts,
        classes=_words(reading.classes, opaque=_OPAQUE in accesses),
        environment=tuple(name for name, _ in request.environment),
        pty=request.pty is not None,
    )
    listed = "; ".join(reading.programs[:_SHOWN_PROGRAMS])
    verb = f"EXEC {listed}" + (" …" if len(reading.programs) > _SHOWN_PROGRAMS else "")
    return Meaning(verb.rstrip(), accesses, {"ssh": facts} | _why(reading))


def meaning_of_shell(request: Shell, login: str) -> Meaning:
    """What opening a login shell means: anything, from then on, so it is one access of its own."""
    names = tuple(name for name, _ in request.environment)
    facts = _facts("shell", login, environment=names, pty=request.pty is not None)
    return Meaning("SHELL", (Access("shell", ResourceKind.CONNECTION),), {"ssh": facts})


def meaning_of_forward(request: Forward, login: str) -> Meaning:
    """What a forwarding means: the host that is contacted, the socket's path, or, to be listened on, the connection."""
    where = f"{request.host}:{request.port}" if request.port else request.host
    command = f"{request.kind.value} {where}"
    verb = f"FORWARD {request.kind.value}"
    match request.kind:
        case ForwardKind.LOCAL:
            host = host_name(request.host)
            access = _on_host("forward", host)
            facts = _facts("forward", login, command, hosts=(host,))
        case ForwardKind.UNIX:
            path = file_path(request.host)
            access = Access("forward", ResourceKind.FILE, path)
            facts = _facts("forward", login, command, files=[path])
        case ForwardKind.REMOTE | ForwardKind.RETURN:
            access = Access("forward", ResourceKind.CONNECTION)
            facts = _facts("forward", login, command)
    return Meaning(verb, (access,), {"ssh": facts})


def meaning_of_files(verb: str, text: str, touched: Iterable[tuple[str, str]], login: str) -> Meaning:
    """What a request of SFTP means: actions (``file-read``, …) on paths as the host would read them."""
    files = [(action, file_path(path), False) for action, path in touched]
    facts = _facts("sftp", login, text, files=[path for _, path, _ in files])
    return Meaning(verb, _bounded(_of_files(files)), {"ssh": facts})


def host_name(text: str) -> str:
    """A host as policy names it: in lower case, addresses in their one spelling."""
    name = _text(text).strip("[]").rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _of_classes(reading: CommandReading) -> Iterable[Access]:
    """Each class on each program that contributes it; what no program does, on the connection."""
    told = reading.by_program or tuple((program, reading.classes) for program in reading.programs)
    for program, classes in told:
        for each in _ordered(classes or {CommandClass.READ}):
            yield Access(_CLASS_ACTIONS[each], ResourceKind.PROGRAM, (_text(program),))
    rest = reading.classes.difference(*(classes for _, classes in told))
    for each in _ordered(rest):
        yield Access(_CLASS_ACTIONS[each], ResourceKind.CONNECTION)
    if not told and not rest:
        yield Access(_CLASS_ACTIONS[CommandClass.READ], ResourceKind.CONNECTION)


def _of_files(files: Iterable[tuple[str, FilePath, bool]]) -> Iterable[Access]:
    """Writing and removing reaches what is below a path by itself."""
    for action, path, deep in files:
        yield Access(action, ResourceKind.FILE, path)
        if deep and action == _FILE_ACTIONS[PathUse.READ]:
            yield Access(action, ResourceKind.FILE, below(path))


def _on_host(action: str, host: str) -> Access:
    """On the connection when the host is not known, so that a rule on one host does not cover it."""
    return Access(action, ResourceKind.HOST, (host,)) if host else Access(action, ResourceKind.CONNECTION)


def _bounded(accesses: Iterable[Access]) -> tuple[Access, ...]:
    distinct = tuple(dict.fromkeys(accesses))
    return distinct if len(distinct) <= MAX_ACCESSES else (*distinct[: MAX_ACCESSES - 1], _OPAQUE)


def _path(touched: TouchedPath, reading: CommandReading) -> FilePath:
    """Where a path leads. Of a command that becomes somebody else, nobody knows which home it is in."""
    path = ANYWHERE if touched.path == UNKNOWN_PATH else pattern_path(touched.path)
    return ANYWHERE if CommandClass.PRIVILEGE in reading.classes and path[0] != ROOT else path


def _facts(
    kind: str,
    login: str,
    command: str = "",
    *,
    files: Iterable[FilePath] = (),
    programs: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
    environment: tuple[str, ...] = (),
    pty: bool = False,
) -> dict[str, object]:
    paths = list(dict.fromkeys(files))[:MAX_ACCESSES]
    return {
        "kind": kind,
        "login": login,
        "command": command,
        "programs": tuple(dict.fromkeys(programs))[:MAX_ACCESSES],
        "paths": tuple(shown(path) for path in paths if not is_unknown(path)),
        "paths_unknown": any(map(is_unknown, paths)) or CommandClass.OPAQUE.value in classes,
        "hosts": tuple(dict.fromkeys(hosts))[:MAX_ACCESSES],
        "classes": classes,
        "environment": environment,
        "pty": pty,
    }


def _text(name: str) -> str:
    """A name that can be written in UTF-8, whatever bytes it came from."""
    return name.encode(errors="backslashreplace").decode()


def _why(reading: CommandReading) -> dict[str, object]:
    return {"opaque": "; ".join(dict.fromkeys(reading.why_opaque))} if reading.why_opaque else {}


def _words(classes: frozenset[CommandClass], *, opaque: bool) -> tuple[str, ...]:
    return tuple(each.value for each in _ordered(classes | {CommandClass.OPAQUE} if opaque else classes))


def _ordered(classes: Iterable[CommandClass]) -> list[CommandClass]:
    wanted = set(classes)
    return [each for each in CommandClass if each in wanted]
