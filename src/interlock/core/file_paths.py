"""Paths of files on a host, as the components of a resource.

The first component says where a path begins: ``ROOT``, ``HOME`` (of the login), or ``~NAME`` (somebody else's home).
``UNKNOWN`` in the last place stands for something in the directory before it, at any depth, of which nobody knows what.
Paths are taken as they are written: where links lead is known to the host alone.
"""

import re
from typing import Final

ROOT: Final = "/"
HOME: Final = "~"
UNKNOWN: Final = ""

FilePath = tuple[str, ...]

ANYWHERE: Final[FilePath] = (ROOT, UNKNOWN)
"""A path of which nothing is known."""

_MAX_COMPONENTS = 64
_SOMEBODY = re.compile(r"~([A-Za-z_][A-Za-z0-9_.-]*)?")
_PATTERN = re.compile(r"[*?\[]")


def file_path(text: str) -> FilePath:
    """The components of a path as a file system reads it, without ``.`` and ``..``; a relative one is in the home.

    ``~`` counts at the beginning only. What climbs out of a home, or is no path, is anywhere. Bytes that are no text
    (lone surrogates) are shown as escapes.
    """
    text = text.encode(errors="backslashreplace").decode()
    if not text or "\0" in text:
        return ANYWHERE
    first, _, rest = text.partition("/")
    if first.startswith("~"):
        return _resolved(first, rest) if _SOMEBODY.fullmatch(first) else ANYWHERE
    return _resolved(HOME, text) if first else _resolved(ROOT, rest)


def pattern_path(text: str) -> FilePath:
    """The components of a path as a shell reads it: a pattern is something below the directory in front of it."""
    if "{" in text:
        return ANYWHERE
    names = text.split("/")
    place = next((place for place, name in enumerate(names) if _PATTERN.search(name)), None)
    if place is None:
        return file_path(text)
    rest = names[place:]
    if ".." in rest or any(name.startswith(".") for name in rest if _PATTERN.search(name)):
        return ANYWHERE  # ".*" may be ".."
    return below(file_path("/".join(names[:place]) or ("/" if place else HOME)))


def below(directory: FilePath) -> FilePath:
    """Something below a directory."""
    return directory if directory[-1] == UNKNOWN else (*directory, UNKNOWN)


def is_unknown(path: FilePath) -> bool:
    """Whether it is not known which file is meant."""
    return path[-1] == UNKNOWN


def shown(path: FilePath) -> str:
    """A path for people; ``?`` is what is not known of it."""
    first, *rest = path
    names = [name or "?" for name in rest]
    return "/" + "/".join(names) if first == ROOT else "/".join([first, *names])


def _resolved(start: str, rest: str) -> FilePath:
    names: list[str] = []
    for name in rest.split("/"):
        if name == ".." and not names and start != ROOT:
            return ANYWHERE
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return (start, *names) if len(names) < _MAX_COMPONENTS else (start, *names[:_MAX_COMPONENTS], UNKNOWN)
