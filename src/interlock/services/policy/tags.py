"""Which tags a resource has, by patterns of the configuration.

A pattern is a slash path with one to five components (connection, database, schema, table, column), or ``schema.table``
or ``schema.table.column``, which stand for ``*/*/schema/table`` and so on. With an entity type in front
(``Tool::crm-mcp/*``) it is about resources of this type; one of files has as many components as they lie deep. ``*``
matches any run of characters within one component, but for the selector of a field: there it is the selector's own.
"""

import re
from collections.abc import Mapping, Sequence, Set

import msgspec

from interlock.services.policy.resources import COLUMN, FIELD, FILE, LINEAGE_BY_TYPE, Resource, id_problem
from interlock.services.policy.sources import Tags

OF_HTTP = ("Endpoint", FIELD[-1], "Host", "GraphqlField", "Tool", "Model", "HostedTool")
"""Entity types that only HTTP connections have something of. Hosts are contacted by hosts, too."""
OF_SSH = ("Program", FILE, "Host")
"""Entity types that only SSH connections have something of."""
TAGGED = (*COLUMN, *OF_HTTP, "Program", FILE)
"""Entity types that patterns can be about."""


class _Pattern(msgspec.Struct, frozen=True):
    """``type`` is empty for a path that is too long."""

    type: str
    parts: list[str]

    @classmethod
    def read(cls, text: str) -> "_Pattern":
        kind, typed, path = text.partition("::")
        if typed:
            return cls(kind, path.split("/"))
        parts = ["*", "*", *text.split(".")] if "/" not in text and "." in text else text.split("/")
        return cls(COLUMN[len(parts) - 1] if len(parts) <= len(COLUMN) else "", parts)

    def expression(self) -> re.Pattern[str]:
        literal = self.parts[1:] if self.type == FIELD[-1] else []
        globs = [re.escape(part).replace(r"\*", "[^/]*") for part in self.parts[: len(self.parts) - len(literal)]]
        return re.compile("/".join([*globs, *map(re.escape, literal)]), re.DOTALL)

    def problem(self, names: object) -> str | None:
        if not all(self.parts):
            return "has an empty component"
        if not self.type:
            return "has too many components; it may have " + _form(COLUMN) + " or schema.table.column"
        if self.type not in TAGGED:
            return f"begins with {self.type}::, which is none of the types that have tags: {', '.join(TAGGED)}"
        if self.type == FILE:
            return _file_problem("/".join(self.parts)) or _names_problem(names)
        if len(self.parts) != len(LINEAGE_BY_TYPE[self.type]):
            return f"must be {self.type}::{_form(LINEAGE_BY_TYPE[self.type])}"
        if self.type == FIELD[-1] and (wrong := id_problem(self.type, f"x/{self.parts[1]}")):
            return "names no field: " + wrong.partition("is no resource: ")[2]
        return _names_problem(names)


def _file_problem(path: str) -> str | None:
    problem = id_problem(FILE, path.replace("*", "x"))
    return problem and "names no file: " + problem.partition("is no resource: ")[2]


def _names_problem(names: object) -> str | None:
    if isinstance(names, str) or not isinstance(names, Sequence):
        return "must have a list of tag names"
    return None if all(isinstance(name, str) and name for name in names) else "must have a list of tag names"


def _form(types: Sequence[str]) -> str:
    return "/".join(map(str.lower, types))


class TagRules:
    """The tags by these patterns, which must be without ``tag_problems``."""

    def __init__(self, tags: Tags) -> None:
        self._by_type: dict[str, list[tuple[re.Pattern[str], tuple[str, ...]]]] = {}
        self._fields: list[tuple[re.Pattern[str], str]] = []
        self._files: list[tuple[str, frozenset[str]]] = []
        for text, names in tags.items():
            pattern = _Pattern.read(text)
            if pattern.type == FILE:
                self._files.append(("/".join(pattern.parts), frozenset(names)))
            self._by_type.setdefault(pattern.type, []).append((pattern.expression(), tuple(names)))
            if pattern.type == FIELD[-1]:
                self._fields.append((_Pattern("Connection", pattern.parts[:1]).expression(), pattern.parts[1]))

    def of(self, resource: Resource) -> set[str]:
        """As in ``TagSource``."""
        rules = self._by_type.get(resource.type, ())
        return {name for expression, names in rules if expression.fullmatch(resource.id) for name in names}

    def fields(self, connection: str) -> set[str]:
        """The fields of a connection that patterns name; both as components of ids."""
        return {selector for expression, selector in self._fields if expression.fullmatch(connection)}

    def files(self, tags: Set[str]) -> list[str]:
        """The patterns of files that give one of these tags."""
        return [pattern for pattern, given in self._files if not given.isdisjoint(tags)]


def tag_types(tags: Tags) -> Mapping[str, frozenset[str]]:
    """For each tag the entity types of the patterns that give it."""
    types: dict[str, frozenset[str]] = {}
    for text, names in tags.items():
        for name in names:
            types[name] = types.get(name, frozenset()) | {_Pattern.read(text).type}
    return types


def tag_problems(tags: Tags) -> list[str]:
    """What is wrong with a tags configuration, one line for each problem."""
    found = ((text, _Pattern.read(text).problem(names)) for text, names in tags.items())
    return [f"tag pattern {text!r} {problem}" for text, problem in found if problem]


def joined(one: Tags, other: Tags) -> Tags:
    """Both: a pattern that is in both gives the tags of each."""
    twice = {text: (*one[text], *other[text]) for text in one.keys() & other.keys()}
    return {**one, **other, **twice}
