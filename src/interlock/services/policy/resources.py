"""Resources as Cedar entities: ids, the way up to the connection, and tags.

An id is a slash path that begins with the connection (``prod-pg/app/public/users``); ``/`` and ``%`` within a component
are percent-escaped, so two resources never share an id.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from interlock.core.masking import DETECTOR_CLASSES
from interlock.core.operation import Access, ResourceKind
from interlock.services.policy.sources import Tags

_BAD_ESCAPE = re.compile(r"%(?!25|2F)")
_CATALOGUE = ("Connection", "Database", "Schema")
COLUMN = (*_CATALOGUE, "Table", "Column")
"""Entity types from the connection down to a column."""
FIELD = ("Connection", "Field")
"""Entity types from the connection down to a field of bodies."""

LINEAGE: Mapping[ResourceKind, tuple[str, ...]] = {
    ResourceKind.CONNECTION: ("Connection",),
    ResourceKind.DATABASE: ("Connection", "Database"),
    ResourceKind.SCHEMA: _CATALOGUE,
    ResourceKind.TABLE: (*_CATALOGUE, "Table"),
    ResourceKind.FUNCTION: (*_CATALOGUE, "Function"),
    ResourceKind.ROLE: ("Connection", "Role"),
    ResourceKind.SETTING: ("Connection", "Setting"),
    ResourceKind.SERVER_FILE: ("Connection", "ServerFile"),
    ResourceKind.ENDPOINT: ("Connection", "Endpoint"),
    ResourceKind.HOST: ("Connection", "Host"),
    ResourceKind.GRAPHQL_FIELD: ("Connection", "GraphqlField"),
    ResourceKind.TOOL: ("Connection", "Tool"),
    ResourceKind.MODEL: ("Connection", "Model"),
    ResourceKind.HOSTED_TOOL: ("Connection", "HostedTool"),
    ResourceKind.GATEWAY: ("Gateway",),
}
"""Entity types from the connection down to a resource of each kind; a path has one component for each."""

LINEAGE_BY_TYPE: Mapping[str, tuple[str, ...]] = {types[-1]: types for types in (*LINEAGE.values(), COLUMN, FIELD)}

TAGGED = COLUMN
"""Entity types that tag patterns apply to, by the number of components in the pattern."""


class UnresolvedName(Exception):
    """An access names its resource incompletely; nothing can be decided about it."""


class Resource(msgspec.Struct, frozen=True):
    """One resource: its components, escaped, and the entity type that each prefix of them has."""

    components: tuple[str, ...]
    types: tuple[str, ...]

    @property
    def type(self) -> str:
        return self.types[-1]

    @property
    def id(self) -> str:
        return "/".join(self.components)

    @property
    def uid(self) -> dict[str, str]:
        return {"type": self.type, "id": self.id}

    @property
    def parent(self) -> "Resource | None":
        return Resource(self.components[:-1], self.types[:-1]) if len(self.types) > 1 else None


def id_problem(entity_type: str, entity_id: str) -> str | None:
    """Why no resource can have this id, or None when one can; a rule about it would never apply."""
    if entity_type == "Detector" and entity_id not in DETECTOR_CLASSES:
        return f'Detector::"{entity_id}" is no resource: its id must be one of {", ".join(DETECTOR_CLASSES)}'
    types = LINEAGE_BY_TYPE.get(entity_type)
    if types is None:
        return None
    components = entity_id.split("/")
    if len(components) != len(types) or not all(components):
        return f'{entity_type}::"{entity_id}" is no resource: its id must be {"/".join(map(str.lower, types))}'
    if _BAD_ESCAPE.search(entity_id):
        return f'{entity_type}::"{entity_id}" is no resource: in an id, % is written %25 and / within a name %2F'
    return None


def escape(component: str) -> str:
    """A name as one component of an id."""
    return component.replace("%", "%25").replace("/", "%2F")


def resolve(access: Access, connection: str, database: str) -> Resource:
    """The resource that an access of a session on this connection and database is about.

    Raises ``UnresolvedName`` when a component is missing or empty.
    """
    types = LINEAGE[access.kind]
    if "Database" in types and not (access.kind is ResourceKind.DATABASE and access.path):
        names = (connection, database, *access.path)
    else:
        names = (connection, *access.path)
    if len(names) != len(types) or not all(names):
        raise UnresolvedName(access.kind.value)
    return Resource(tuple(map(escape, names)), types)


class TagSource(Protocol):
    """Says which tags a resource has."""

    def of(self, resource: Resource) -> set[str]:
        """The tags of the resource itself; those of what it is in reach it through the hierarchy."""


class TagRules:
    """Which tags a resource has, by patterns of the configuration.

    A pattern is a slash path with one to five components (connection, database, schema, table, column), or
    ``schema.table`` or ``schema.table.column``, which stand for ``*/*/schema/table`` and so on. ``*`` matches any run
    of characters within one component.
    """

    def __init__(self, tags: Tags) -> None:
        """``tags`` must be without ``tag_problems``."""
        self._by_depth: dict[int, list[tuple[re.Pattern[str], tuple[str, ...]]]] = {}
        for pattern, names in tags.items():
            parts = _components(pattern)
            self._by_depth.setdefault(len(parts), []).append((_expression(parts), tuple(names)))

    def of(self, resource: Resource) -> set[str]:
        """As in ``TagSource``."""
        if resource.type not in TAGGED:
            return set()
        rules = self._by_depth.get(len(resource.components), ())
        return {name for expression, names in rules if expression.fullmatch(resource.id) for name in names}


def tag_depths(tags: Tags) -> Mapping[str, int]:
    """For each tag the fewest components that a pattern which gives it has: 5 for one that only columns have."""
    depths: dict[str, int] = {}
    for pattern, names in tags.items():
        for name in names:
            depths[name] = min(len(_components(pattern)), depths.get(name, len(TAGGED)))
    return depths


def tag_problems(tags: Tags) -> list[str]:
    """What is wrong with a tags configuration, one line for each problem."""
    found = ((pattern, _pattern_problem(_components(pattern), names)) for pattern, names in tags.items())
    return [f"tag pattern {pattern!r} {problem}" for pattern, problem in found if problem]


def _pattern_problem(parts: list[str], names: object) -> str | None:
    if not all(parts):
        return "has an empty component"
    if len(parts) > len(TAGGED):
        return "has too many components; it may have " + "/".join(map(str.lower, TAGGED)) + " or schema.table.column"
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(n, str) and n for n in names):
        return "must have a list of tag names"
    return None


def _components(pattern: str) -> list[str]:
    if "/" not in pattern and "." in pattern:
        return ["*", "*", *pattern.split(".")]
    return pattern.split("/")


def _expression(parts: list[str]) -> re.Pattern[str]:
    return re.compile("/".join(re.escape(part).replace(r"\*", "[^/]*") for part in parts), re.DOTALL)


def entities(resources: Iterable[Resource], tags: TagSource) -> list[dict[str, Any]]:
    """Cedar entities (JSON form) of the resources and of everything they are in, each once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for resource in resources:
        node: Resource | None = resource
        while node is not None and (node.type, node.id) not in found:
            parents = [{"type": "Tag", "id": name} for name in sorted(tags.of(node))]
            if node.parent is not None:
                parents.append(node.parent.uid)
            found[node.type, node.id] = {"uid": node.uid, "attrs": {}, "parents": parents}
            node = node.parent
    return list(found.values())
