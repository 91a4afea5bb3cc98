"""Where paths are, told from a text alone: the directory that a command may run in, and what a path means there.

Links are not known here: ``/srv/a/../b`` is taken for ``/srv/b``, as a shell does for ``cd``.
"""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from interlock.protocols.ssh.commands.invocation import Invocation, Word
from interlock.protocols.ssh.commands.programs.tables import names

HOME = "~"
_OF_A_PROCESS = re.compile(
    r"/(?:proc|[^/]*[*?\[][^/]*)/[^/]+/(?:task/[^/]+/)?(?:(?:root|cwd)(?:/|$)|fd/[^/]+/)|/dev/fd/[^/]+/"
)
"""Links to where a process is, which may be anywhere."""
_MAX_PLACES = 8
_ALWAYS_MOVING = names("su runuser login pkexec chroot nsenter unshare systemd-run machinectl")
_MOVING = {
    **dict.fromkeys(("sudo", "doas"), re.compile(r"-[A-Za-z]*[iDR]|--(?:login|chd|chr)")),
    "env": re.compile(r"-[A-Za-z0]*C|--chd"),
    "find": re.compile(r"-(?:exec|ok)dir"),
}
_WITH_VALUE = re.compile(r"-[A-Za-z]*[ugChprtTUacS]|--(?:user|group|prompt|host|unset)")
"""Options by which programs start what they start in another directory."""


@dataclass(frozen=True, slots=True)
class Directories:
    """Every directory that a command may run in; ``places`` is empty when it cannot be known."""

    places: tuple[str, ...]

    def entering(self, path: str | None) -> "Directories":
        """After ``cd path``; None for a path that is not known."""
        found = self.resolved(path) if path is not None else None
        return Directories(found or ())

    def or_in(self, other: "Directories") -> "Directories":
        """One or the other. An unknown one makes both unknown."""
        if not self.places or not other.places:
            return UNKNOWN
        places = tuple(dict.fromkeys(self.places + other.places))
        return Directories(places) if len(places) <= _MAX_PLACES else UNKNOWN

    def resolved(self, path: str) -> tuple[str, ...]:
        """What the path may mean: absolute, or in the home directory (``~/x``). Empty when that is not known."""
        if path.startswith("/"):
            return () if _OF_A_PROCESS.match(re.sub(r"/(?:\.?/)+", "/", path)) else (_joined("", path),)
        if path == HOME or path.startswith(HOME + "/"):
            found = [_below_home(path[2:])]
        else:
            found = [_inside(place, path) for place in self.places]
        known = tuple(dict.fromkeys(each for each in found if each is not None))
        return known if known and None not in found else ()


AT_HOME = Directories((HOME,))
UNKNOWN = Directories(())


def changes_directory(invocation: Invocation) -> bool:
    """The program starts what it starts in another directory than its own."""
    name = posixpath.basename(invocation.program.text)
    options = _MOVING.get(name)
    if options is None:
        return name in _ALWAYS_MOVING
    own = invocation.arguments if name == "find" else _own_options(invocation.arguments)
    return any(not word.literal or options.match(word.text) for word in own)


def _own_options(words: Sequence[Word]) -> Sequence[Word]:
    """The words in front of the program that is started."""
    after_option = False
    for at, word in enumerate(words):
        if not word.text.startswith("-") and not after_option and "=" not in word.text:
            return words[:at]
        after_option = _WITH_VALUE.fullmatch(word.text) is not None
    return words


def _inside(place: str, path: str) -> str | None:
    return _joined(place, path) if place.startswith("/") else _below_home(f"{place[2:]}/{path}")


def _joined(place: str, path: str) -> str:
    """``/srv`` and ``../x`` -> ``/x``; nothing is above the root."""
    found: list[str] = []
    for name in f"{place}/{path}".split("/"):
        if name == "..":
            del found[-1:]
        elif name not in ("", "."):
            found.append(name)
    return "/" + "/".join(found)


def _below_home(path: str) -> str | None:
    """None for what is above the home directory, whose place is not known."""
    found: list[str] = []
    for name in path.split("/"):
        if name == "..":
            if not found:
                return None
            found.pop()
        elif name not in ("", "."):
            found.append(name)
    return "/".join([HOME, *found])
