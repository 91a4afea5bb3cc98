"""From the meaning of a text to its meaning in a session: names resolved, unqualified tables given their schemas.

The search path is tracked as the set of schemas that may be on it. A change that may yet be rolled back only adds to
the set, so that an unqualified name is decided for every table that it could stand for.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.postgres.statements.interpretation import SearchPath

UNKNOWN_NAME: Final = Meaning(
    "UNKNOWN NAME", (Access("unclassified", ResourceKind.DATABASE),), {"verb": "UNKNOWN NAME", "statements": 1}
)
"""A prepared statement or portal that the gateway has not seen defined."""


@lru_cache(maxsize=4096)
def combine(meanings: tuple[Meaning, ...]) -> Meaning:
    """One meaning with the accesses of all; verb and other facts are those of the first."""
    first = meanings[0]
    accesses = tuple(dict.fromkeys(access for meaning in meanings for access in meaning.accesses))
    facts = dict(first.facts)
    for name in ("tables", "functions"):
        joined = {item for meaning in meanings for item in _strings(meaning.facts.get(name))}
        facts[name] = tuple(sorted(joined))
    refusal = next((meaning.refusal for meaning in meanings if meaning.refusal), None)
    return Meaning(first.verb, accesses, facts, refusal)


@lru_cache(maxsize=8192)
def resolve(meaning: Meaning, schemas: tuple[str, ...]) -> Meaning:
    """The meaning with unqualified names in every schema of ``schemas``; the same object when it has none.

    With no schema on the path an unqualified name resolves to nothing that exists, except where it creates: it stays
    unresolved and policy refuses it.
    """
    if all(access.path[:1] != ("",) for access in meaning.accesses):
        return meaning
    accesses = tuple(
        dict.fromkeys(resolved for access in meaning.accesses for resolved in _in_schemas(access, schemas))
    )
    names = {".".join(access.path) for access in accesses if access.kind is ResourceKind.TABLE}
    facts = dict(meaning.facts)
    facts["tables"] = tuple(sorted(names | set(_strings(facts.get("tables")))))
    return Meaning(meaning.verb, accesses, facts, meaning.refusal)


def _in_schemas(access: Access, schemas: tuple[str, ...]) -> Sequence[Access]:
    if access.path[:1] != ("",):
        return (access,)
    return [Access(access.action, access.kind, (schema, *access.path[1:]), access.columns) for schema in schemas] or [
        access
    ]


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, tuple | list) else ()


class SchemaScope:
    """The schemas that unqualified names may mean in one session.

    A change that the target has made is in force from the next moment of rest on, until the transaction ends. What
    remains of it then depends on how that ends: with doubt, both what was and what is may be.
    """

    def __init__(self, default: tuple[str, ...], user: str) -> None:
        self._user = user
        self._default = self._named(default)
        self._lasting = self._default
        self._lasting_certain = True
        self._made: list[SearchPath] = []
        """Changes of the transaction that is open, oldest first."""
        self._doubtful = False
        """Some of them may have been undone."""
        self.schemas = self._default
        self.certain = True
        """Whether the search path is exactly ``schemas``, in that order."""

    def may_become(self, path: SearchPath) -> None:
        """A change is on its way; it may fail or be rolled back."""
        self.schemas = self.possible((path,))
        self.certain = False

    def may_be_undone(self) -> None:
        """A statement is on its way that ends the transaction or undoes a part of it."""
        if self._made:
            self.schemas, self.certain = self.possible((), undone=True), False

    def possible(self, paths: Iterable[SearchPath], undone: bool = False) -> tuple[str, ...]:
        """The schemas that may be on the search path when these changes may be made as well.

        ``undone``: or when changes of the transaction may be undone.
        """
        before = (*self._lasting, *self._of(self._made)) if undone else ()
        return tuple(dict.fromkeys((*self.schemas, *before, *self._of(paths))))

    def changed(self, path: SearchPath) -> None:
        """A change was made."""
        self._made.append(path)

    def perhaps_changed(self, path: SearchPath) -> None:
        """A change was made, or another statement ran."""
        self._made.append(path)
        self._doubtful = True

    def doubt(self) -> None:
        """Something failed or was undone in part."""
        self._doubtful = bool(self._made)

    def rolled_back(self) -> None:
        """The transaction was undone as a whole."""
        self._made, self._doubtful = [], False

    def transaction_over(self) -> None:
        """The transaction has ended; another may follow at once. What is not local stays, unless it was undone."""
        lasting = [path for path in self._made if not path.local]
        if lasting and lasting[-1] is self._made[-1] and not self._doubtful:
            self._lasting, self._lasting_certain = self._wanted(lasting[-1]), True
        elif lasting:
            self._lasting, self._lasting_certain = self._with_lasting(lasting), False
        self._made, self._doubtful = [], False

    def rest_in_transaction(self) -> None:
        """A transaction is open, and no change is on its way."""
        if not self._made:
            self.schemas, self.certain = self._lasting, self._lasting_certain
        elif not self._doubtful:
            self.schemas, self.certain = self._wanted(self._made[-1]), True
        else:
            self.schemas, self.certain = self._with_lasting(self._made), False

    def settle(self) -> None:
        """No transaction is open and no change is on its way."""
        self.transaction_over()
        self.schemas, self.certain = self._lasting, self._lasting_certain

    @property
    def changed_in_transaction(self) -> bool:
        """Whether the open transaction has changed the path, so that its end may change it back."""
        return bool(self._made)

    def _with_lasting(self, paths: list[SearchPath]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._lasting, *self._of(paths))))

    def _of(self, paths: Iterable[SearchPath]) -> Iterator[str]:
        for path in paths:
            yield from self._wanted(path)

    def _wanted(self, path: SearchPath) -> tuple[str, ...]:
        return self._default if path.schemas is None else self._named(path.schemas)

    def _named(self, schemas: tuple[str, ...]) -> tuple[str, ...]:
        named = (self._user if schema == "$user" else schema for schema in schemas)
        return tuple(dict.fromkeys(schema for schema in named if schema not in ("", "pg_catalog", "pg_temp")))
