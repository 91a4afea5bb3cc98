"""Which relation a name in a statement means: by schema, along the search path, or one of the session's own."""

from collections.abc import Iterable

import msgspec

from interlock.core.catalogue import Relation
from interlock.core.operation import Access, ResourceKind
from interlock.protocols.postgres.masking.index import MaskingIndex
from interlock.protocols.postgres.statements.catalogue import (
    BUILTIN_RELATIONS,
    CATALOG_SCHEMA,
    INFORMATION_SCHEMA,
)
from interlock.protocols.postgres.statements.nodes import Node

TEMPORARY = "pg_temp"


class Surroundings(msgspec.Struct, frozen=True):
    """What a session adds to the meaning of names.

    ``path`` are the schemas of the search path, in order when ``path_is_certain``, otherwise those that may be on it.
    ``own`` are relations that the session has made, as (schema, name) with ``""`` for the search path and ``pg_temp``
    for temporary ones.
    """

    path: tuple[str, ...]
    path_is_certain: bool = True
    own: frozenset[tuple[str, str]] = frozenset()


class Refused(Exception):
    """The statement cannot be carried out under the principal's masks; the text is a sentence for the client."""


class Unknown(Exception):
    """Something that the catalogue does not have: it may be new. The text and ``code`` are as the target would say.

    ``location`` is the byte of the text that it is about, -1 for none.
    """

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code
        self.location = -1


def unknown_relation(name: str) -> Unknown:
    return Unknown(f'relation "{name}" does not exist', "42P01")


def unknown_function(name: str) -> Unknown:
    return Unknown(f"function {name} does not exist", "42883")


class Names:
    """Resolves relation names for one statement."""

    def __init__(self, index: MaskingIndex, surroundings: Surroundings) -> None:
        self._index = index
        self._around = surroundings

    def made(self, names: frozenset[tuple[str, str]]) -> None:
        """Relations that an earlier statement of the text makes are the session's own for the later ones."""
        self._around = msgspec.structs.replace(self._around, own=self._around.own | names)

    def resolve(self, body: Node) -> tuple[Relation | None, bool]:
        """What a RangeVar's body means, and whether it must be written with its schema to mean it for certain.

        None is a relation without rows of others: the server's own or the session's. Raises ``Refused`` and
        ``Unknown``.
        """
        try:
            return self._resolve(body.get("schemaname", ""), body.get("relname", ""))
        except Unknown as unknown:
            unknown.location = body.get("location", -1)
            raise

    def _resolve(self, schema: str, name: str) -> tuple[Relation | None, bool]:
        if schema:
            return self._qualified(schema, name), False
        if name in BUILTIN_RELATIONS:
            return self._built_in(name), False
        return self._on_path(name)

    def _qualified(self, schema: str, name: str) -> Relation | None:
        found = self._index.relation(schema, name)
        if found is not None:
            return found
        if schema.startswith("pg_toast"):
            raise Refused(f"{schema}.{name} holds parts of other tables' values and cannot be read under a mask.")
        server = schema in (CATALOG_SCHEMA, INFORMATION_SCHEMA)
        if server or schema.startswith(TEMPORARY) or (schema, name) in self._around.own:
            return None
        raise unknown_relation(f"{schema}.{name}")

    def _built_in(self, name: str) -> Relation | None:
        found = self._index.relation(CATALOG_SCHEMA, name)
        if found is None and any(self._index.relation(schema, name) for schema in self._around.path):
            raise Refused(f'Write the schema of "{name}": the server may have a relation of that name itself.')
        return found

    def _on_path(self, name: str) -> tuple[Relation | None, bool]:
        found = [relation for schema in self._around.path if (relation := self._index.relation(schema, name))]
        masked = any(map(self._index.is_masked, found))
        if (TEMPORARY, name) in self._around.own:
            if masked:
                raise Refused(
                    f'"{name}" can mean a temporary table of this session or a table with masked columns: '
                    f"write pg_temp.{name}, or the schema of the table."
                )
            return None, False
        if not found:
            self._require_own(name)
            return None, False
        if len(found) > 1 and masked and not self._around.path_is_certain:
            raise Refused(f'Write the schema of "{name}": while the search path changes it can mean several tables.')
        return found[0], self._index.has_masked(name)

    def _require_own(self, name: str) -> None:
        own = self._around.own
        if ("", name) in own or any((schema, name) in own for schema in self._around.path):
            return
        raise unknown_relation(name)


def relation_names(accesses: Iterable[Access], action: str) -> frozenset[tuple[str, str]]:
    """The relations that a statement makes (``create``) or removes (``drop``)."""
    return frozenset(
        (access.path[0], access.path[1])
        for access in accesses
        if access.action == action and access.kind is ResourceKind.TABLE and len(access.path) == 2
    )
