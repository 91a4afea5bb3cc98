"""Where paths are, told from a text alone: the directory that a command may run in, and what a path means there.

Links are not known here: ``/srv/a/../b`` is taken for ``/srv/b``, as a shell does for ``cd``.
"""

from dataclasses import dataclass

HOME = "~"
_MAX_PLACES = 8


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
            return (_joined("", path),)
        if path == HOME or path.startswith(HOME + "/"):
            found = [_below_home(path[2:])]
        else:
            found = [_inside(place, path) for place in self.places]
        known = tuple(dict.fromkeys(each for each in found if each is not None))
        return known if known and None not in found else ()


AT_HOME = Directories((HOME,))
UNKNOWN = Directories(())


def _inside(place: str, path: str) -> str | None:
    return _joined(place, path) if place.startswith("/") else _below_home(f"{place[2:]}/{path}")


def _joined(place: str, path: str) -> str:
    """``/srv`` and ``../x`` -> ``/x``; nothing is above the root."""
    names: list[str] = []
    for name in f"{place}/{path}".split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return "/" + "/".join(names)


def _below_home(path: str) -> str | None:
    """None for what is above the home directory, whose place is not known."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            if not names:
                return None
            names.pop()
        elif name not in ("", "."):
            names.append(name)
    return "/".join([HOME, *names])
