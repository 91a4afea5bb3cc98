"""The files that forbids name, and which of them an access may be about besides the file that it names.

A path can be unknown below some directory (``rm "$X"``, ``/srv/*.log``), writing or removing a directory reaches what
is below it, and a home has several spellings. None of that may dodge a forbid: each named file that an access may reach
is asked for as well, as if the access had named it.
"""

import re
from collections.abc import Iterable, Iterator

from cedarpy import pst

from interlock.core.file_paths import HOME, ROOT, UNKNOWN, FilePath, below, is_unknown
from interlock.core.operation import Access, ResourceKind
from interlock.services.policy.resources import FILE, UNKNOWN_FILE, escape, unescape
from interlock.services.policy.rules import Rule
from interlock.services.policy.tags import TagRules
from interlock.services.policy.tree import tags_named

_REACHES_BELOW = frozenset({"file-write", "file-remove"})
_ANY = "*"


class NamedFiles:
    """The files that the forbids among some rules name, by themselves or by tags."""

    def __init__(self, rules: Iterable[Rule], tags: TagRules) -> None:
        forbids = [rule.policy for rule in rules if not rule.permits]
        ids = {uid.id for policy in forbids for uid in pst.entity_uids(policy) if str(uid.type) == FILE}
        named = frozenset[str]().union(*map(tags_named, forbids))
        self._on_connections = [_parsed(file_id) for file_id in sorted(ids)]
        self._by_tag = [_parsed(pattern) for pattern in tags.files(named)]

    def with_reached(self, accesses: list[Access], connection: str, login: str) -> list[Access]:
        """The accesses, and those to named files that they may reach, each once."""
        if not any(access.kind is ResourceKind.FILE and access.path for access in accesses):
            return accesses
        named = [path for where, path in self._on_connections if where == escape(connection)]
        named += [path for where, path in self._by_tag if _may_be(escape(connection), where)]
        if not named:
            return accesses
        reached = (
            Access(access.action, access.kind, path)
            for access in accesses
            if access.kind is ResourceKind.FILE and access.path
            for path in _reached(access, named, login)
        )
        return list(dict.fromkeys((*accesses, *reached)))


def _reached(access: Access, named: Iterable[FilePath], login: str) -> Iterator[FilePath]:
    unknown = is_unknown(access.path)
    path = access.path[:-1] if unknown else access.path
    deep = unknown or access.action in _REACHES_BELOW
    real = _absolute(path, login)
    for other in named:
        known = other[:-1] if is_unknown(other) else other
        place = _absolute(known, login)
        if deep and (path == (ROOT,) or (len(place) > len(real) and _holds(real, place))):
            yield other
        elif known[0] != path[0] and _holds(place, real):
            respelled = (known[0], *real[len(place) - len(known) + 1 :])
            yield below(respelled) if unknown else respelled


def _holds(outer: FilePath, inner: FilePath) -> bool:
    """Whether one is the other, or may be above it; a name with ``*`` may be any that fits."""
    return len(outer) <= len(inner) and all(
        _may_be(one, other) or _may_be(other, one) for one, other in zip(outer, inner, strict=False)
    )


def _may_be(name: str, pattern: str) -> bool:
    if _ANY not in pattern:
        return name == pattern
    return re.fullmatch(".*".join(map(re.escape, pattern.split(_ANY))), name, re.DOTALL) is not None


def _absolute(path: FilePath, login: str) -> FilePath:
    """A path with homes where they usually are; nobody knows it here."""
    owner = login if path[0] == HOME else path[0].removeprefix(HOME)
    if path[0] == ROOT or not owner:
        return path
    return (ROOT, "root", *path[1:]) if owner == "root" else (ROOT, "home", owner, *path[1:])


def _parsed(file_id: str) -> tuple[str, FilePath]:
    """An id as its connection, still escaped, and the path."""
    connection, *names = file_id.split("/")
    if names == [""]:
        return connection, (ROOT,)
    path = [UNKNOWN if name == UNKNOWN_FILE else _unescaped(name) for name in names]
    return connection, tuple(path) if names[0].startswith("~") else (ROOT, *path)


def _unescaped(name: str) -> str:
    """The name of a file that a component of an id stands for."""
    return unescape(name.replace("%3F", "?").replace("%7E", "~"))
