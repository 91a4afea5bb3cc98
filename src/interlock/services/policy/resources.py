"""Resources as Cedar entities: ids, and the way up to the connection.

An id is a slash path that begins with the connection (``prod-pg/app/public/users``); ``/`` and ``%`` within a component
are percent-escaped, so two resources never share an id. A file has a component for each directory above it: ``web/`` is
the root of a host, ``web/~`` the login's home, and ``?`` in the last place something below a directory that is not
known; ``?`` in a name, and ``~`` at the beginning of one in the root, are escaped, too.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from interlock.core.file_paths import ROOT, UNKNOWN, FilePath
from interlock.core.masking import DETECTOR_CLASSES
from interlock.core.operation import Access, ResourceKind

_BAD_ESCAPE = re.compile(r"%(?!25|2F)")
_BAD_FILE_ESCAPE = re.compile(r"%(?!25|2F|3F|7E)")
_FILE_NAME = r"(?!\.\.?(?:/|$))[^/?]+"
_FILE_ID = re.compile(
    rf"(?:(?:~(?:[A-Za-z_][A-Za-z0-9_.-]*)?|(?!~){_FILE_NAME})(?:/{_FILE_NAME})*(?:/\?)?|\?)?", re.DOTALL
)
FILE = "File"
UNKNOWN_FILE = "?"
"""The last component of the id of something in a directory of which nobody knows what."""
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
    ResourceKind.PROGRAM: ("Connection", "Program"),
    ResourceKind.FILE: ("Connection", "File"),
    ResourceKind.GATEWAY: ("Gateway",),
}
"""Entity types from the connection down to a resource of each kind; a path has one component for each.

Only a file may have more, all of them files.
"""

LINEAGE_BY_TYPE: Mapping[str, tuple[str, ...]] = {types[-1]: types for types in (*LINEAGE.values(), COLUMN, FIELD)}


_ANY_FORM = (re.compile(".*", re.DOTALL), "anything")
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "Endpoint": (re.compile("[A-Za-z0-9_.-]{1,63}"), "the name of an endpoint: letters, digits and . _ -"),
    "Field": (re.compile(r"/.+|[^/*].*|\*", re.DOTALL), "a key, a path with %2F in front, or * for all others"),
    "GraphqlField": (
        re.compile(r"(Query|Mutation|Subscription)\.[_A-Za-z][_0-9A-Za-z]*"),
        "Query, Mutation or Subscription, a dot, and the field's real name",
    ),
    "Host": (re.compile("[^A-Z:]+|[0-9a-f:.]+"), "a host in lower case, without a port"),
}
"""What ids of some types look like behind the connection."""


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
        if len(self.components) == 2 and self.type == FILE and self.components[1]:
            return Resource((self.components[0], ""), self.types)
        return Resource(self.components[:-1], self.types[:-1]) if len(self.types) > 1 else None


def id_problem(entity_type: str, entity_id: str) -> str | None:
    """Why no resource can have this id, or None when one can; a rule about it would never apply."""
    if entity_type == "Detector" and entity_id not in DETECTOR_CLASSES:
        return f'Detector::"{entity_id}" is no resource: its id must be one of {", ".join(DETECTOR_CLASSES)}'
    types = LINEAGE_BY_TYPE.get(entity_type)
    if types is None:
        return None
    if entity_type == FILE:
        return _file_problem(entity_id)
    components = entity_id.split("/")
    if len(components) != len(types) or not all(components):
        return f'{entity_type}::"{entity_id}" is no resource: its id must be {"/".join(map(str.lower, types))}'
    if _BAD_ESCAPE.search(entity_id):
        return f'{entity_type}::"{entity_id}" is no resource: in an id, % is written %25 and / within a name %2F'
    pattern, form = _FORMS.get(entity_type, _ANY_FORM)
    if not pattern.fullmatch(unescape(components[-1])):
        return f'{entity_type}::"{entity_id}" is no resource: behind the connection its id must be {form}'
    return None


def _file_problem(entity_id: str) -> str | None:
    connection, slash, path = entity_id.partition("/")
    if not (connection and slash and _FILE_ID.fullmatch(path)):
        form = "connection/ and the path from the root, or from ~, without . and .. and without / at its end"
    elif _BAD_FILE_ESCAPE.search(path) or _BAD_ESCAPE.search(connection):
        form = "written with %25 for % and, within a name, %2F for / and %3F for ?"
    else:
        return None
    return f'{FILE}::"{entity_id}" is no resource: its id must be {form}'


def escape(component: str) -> str:
    """A name as one component of an id."""
    return component.replace("%", "%25").replace("/", "%2F")


def unescape(component: str) -> str:
    """The name that a component of an id stands for."""
    return component.replace("%2F", "/").replace("%25", "%")


def resolve(access: Access, connection: str, database: str) -> Resource:
    """The resource that an access of a session on this connection and database is about.

    Raises ``UnresolvedName`` when a component is missing or empty.
    """
    if access.kind is ResourceKind.FILE:
        return _file(connection, access.path)
    types = LINEAGE[access.kind]
    if "Database" in types and not (access.kind is ResourceKind.DATABASE and access.path):
        names = (connection, database, *access.path)
    else:
        names = (connection, *access.path)
    if len(names) != len(types) or not all(names):
        raise UnresolvedName(access.kind.value)
    return Resource(tuple(map(escape, names)), types)


def _file(connection: str, path: FilePath) -> Resource:
    if not connection or not path or UNKNOWN in path[:-1]:
        raise UnresolvedName(FILE)
    names = [UNKNOWN_FILE if name == UNKNOWN else escape(name).replace("?", "%3F") for name in path[1:]]
    if path[0] != ROOT:
        names.insert(0, path[0])
    elif names and names[0].startswith("~"):
        names[0] = "%7E" + names[0][1:]
    components = (escape(connection), *(names or [""]))
    return Resource(components, ("Connection", *(FILE,) * (len(components) - 1)))


class TagSource(Protocol):
    """Says which tags a resource has."""

    def of(self, resource: Resource) -> set[str]:
        """The tags of the resource itself; those of what it is in reach it through the hierarchy."""


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
