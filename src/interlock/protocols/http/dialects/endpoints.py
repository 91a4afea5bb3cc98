"""Which named endpoint a path belongs to.

A *template* is a path in which ``{name}`` stands for one segment that is not empty, and ``**`` at the end for any
number of segments, also none. Of the templates that match, the most specific one counts: the first segment in which
they differ decides, and there text is more specific than ``{name}``, and ``{name}`` more than ``**``. A single slash at
the end of a path makes no difference, as it makes none to most servers.

Paths are canonical ones (``wire.targets``); nothing in here decodes or normalises.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from interlock.protocols.http.wire.targets import PATH_SAFE

_ONE: Final = "{}"
_REST: Final = "**"
_TEXT: Final = re.compile(r"[^{}*/]+")
_PARAMETER: Final = re.compile(r"\{[^{}*/]+\}")


class Endpoints:
    """The endpoints of one connection, compiled once; templates by name. Raises ``ValueError`` for bad templates."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._root = _Node()
        for name, template in templates.items():
            self._add(name, template)

    def find(self, path: str) -> str | None:
        """The name of the endpoint that ``path`` belongs to. Takes at most as many steps as templates have segments."""
        return _find(self._root, segments(path), 0)

    def _add(self, name: str, template: str) -> None:
        node = self._root
        for segment in _steps(name, template):
            node = node.below.setdefault(segment, _Node())
        if node.name is not None:
            raise ValueError(f"endpoints {node.name} and {name} have the same paths: {template}")
        node.name = name


class _Node:
    """One segment of templates that begin alike; ``name`` is that of the template that ends here."""

    __slots__ = ("below", "name")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.name: str | None = None


def segments(path: str) -> list[str]:
    """The segments of an absolute path, without the empty one behind a slash at its end; none for ``/``."""
    parts = path.removeprefix("/").split("/")
    return parts[:-1] if parts[-1] == "" else parts


def _steps(name: str, template: str) -> list[str]:
    """The segments of a template, with one spelling for what stands for others."""
    if not template.startswith("/"):
        raise ValueError(f"endpoint {name}: a path begins with a slash: {template}")
    parts = segments(template)
    for left, part in enumerate(parts, 1 - len(parts)):
        if not (_TEXT.fullmatch(part) or _PARAMETER.fullmatch(part) or (part == _REST and left == 0)):
            raise ValueError(f"endpoint {name}: a segment is text, {{name}}, or ** at the end: {template}")
    return [_ONE if _PARAMETER.fullmatch(part) else part if part == _REST else _canonical(part) for part in parts]


def _canonical(text: str) -> str:
    """Text of a template as canonical paths have it."""
    return quote(unquote(text), safe=PATH_SAFE)


def _find(node: _Node, parts: list[str], at: int) -> str | None:
    if at == len(parts):
        rest = node.below.get(_REST)
        return node.name if node.name is not None or rest is None else rest.name
    part = parts[at]
    for step in (part, _ONE) if part not in (_ONE, _REST) else (_ONE,):
        below = node.below.get(step) if part else None
        if below is not None and (name := _find(below, parts, at + 1)) is not None:
            return name
    rest = node.below.get(_REST)
    return None if rest is None else rest.name
