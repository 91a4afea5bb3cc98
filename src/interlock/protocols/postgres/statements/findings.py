"""What has been found out about one statement so far, and how it becomes a Statement."""

from collections.abc import Iterable
from functools import lru_cache

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.postgres.statements.interpretation import (
    Definition,
    Name,
    NameSpace,
    SearchPath,
    SettingChange,
    Statement,
    TransactionControl,
)
from interlock.protocols.postgres.statements.relations import ColumnSet

_Key = tuple[str, ResourceKind, tuple[str, ...]]


class Findings:
    """Mutable while one statement is walked; ``statement()`` seals it."""

    def __init__(self) -> None:
        self.accesses: dict[_Key, ColumnSet] = {}
        self.functions: set[str] = set()
        self.tables: set[str] = set()
        self.wheres: list[bool] = []
        """One entry for each place where a narrowing WHERE is expected: is it there?"""
        self.refusal: str | None = None
        self.defines: Definition | None = None
        self.uses: list[Name] = []
        self.forgets: list[Name] = []
        self.forgets_all: tuple[NameSpace, ...] = ()
        self.copy_in = False
        self.copy_out = False
        self.search_path: SearchPath | None = None
        self.settings: list[SettingChange] = []
        self.resets_settings = False
        self.transaction: TransactionControl | None = None

    def add(self, action: str, kind: ResourceKind, path: tuple[str, ...] = (), columns: Iterable[str] = ()) -> None:
        """One access; columns of the same action on the same resource add up."""
        noted = self.accesses.setdefault((action, kind, path), ColumnSet())
        for column in columns:
            noted.note(column)
        if kind is ResourceKind.TABLE:
            self.tables.add(".".join(part for part in path if part))

    def add_table(self, action: str, path: tuple[str, ...], columns: Iterable[str] = ()) -> None:
        """One access to a table, view, sequence or index."""
        self.add(action, ResourceKind.TABLE, path, columns)

    def add_unclassified(self) -> None:
        """Something that cannot be seen through."""
        self.add("unclassified", ResourceKind.CONNECTION)

    def refuse(self, sentence: str) -> None:
        """The gateway cannot carry this statement safely; the first reason stands."""
        self.refusal = self.refusal or sentence

    def absorb(self, meaning: Meaning) -> None:
        """Take over the accesses, facts and refusal of a statement inside this one."""
        for access in meaning.accesses:
            self.add(access.action, access.kind, access.path, access.columns)
        self.functions.update(_names(meaning, "functions"))
        self.tables.update(_names(meaning, "tables"))
        if meaning.refusal:
            self.refuse(meaning.refusal)

    def statement(self, verb: str) -> Statement:
        """The finished statement."""
        return Statement(
            meaning=self._meaning(verb),
            defines=self.defines,
            uses=tuple(self.uses),
            forgets=tuple(self.forgets),
            forgets_all=self.forgets_all,
            copy_in=self.copy_in,
            copy_out=self.copy_out,
            search_path=self.search_path,
            settings=tuple(self.settings),
            resets_settings=self.resets_settings,
            transaction=self.transaction,
        )

    def _meaning(self, verb: str, statements: int = 1) -> Meaning:
        accesses = ordered(
            Access(action, kind, path, columns.listed()) for (action, kind, path), columns in self.accesses.items()
        )
        has_where = bool(self.wheres) and all(self.wheres)
        tables, functions = tuple(sorted(self.tables)), tuple(sorted(self.functions))
        return _shared_meaning(verb, accesses, has_where, tables, functions, statements, self.refusal)


def ordered(accesses: Iterable[Access]) -> tuple[Access, ...]:
    """The one order in which accesses are listed, so that equal meanings look equal."""
    return tuple(sorted(accesses, key=lambda access: (access.kind.value, access.path, access.action)))


def _names(meaning: Meaning, fact: str) -> tuple[str, ...]:
    names = meaning.facts.get(fact, ())
    return names if isinstance(names, tuple) else ()


def union(meanings: list[Meaning]) -> Meaning:
    """One meaning for several statements that travel as one operation; ``has_where`` holds if it holds for all."""
    if len(meanings) == 1:
        return meanings[0]
    findings = Findings()
    for meaning in meanings:
        findings.absorb(meaning)
        findings.wheres.append(bool(meaning.facts.get("has_where")))
    return findings._meaning("; ".join(meaning.verb for meaning in meanings), len(meanings))


@lru_cache(maxsize=4096)
def _shared_meaning(
    verb: str,
    accesses: tuple[Access, ...],
    has_where: bool,
    tables: tuple[str, ...],
    functions: tuple[str, ...],
    statements: int,
    refusal: str | None,
) -> Meaning:
    """One object for all texts that mean the same: decisions are remembered by the meaning's identity."""
    facts = {
        "verb": verb,
        "has_where": has_where,
        "tables": tables,
        "functions": functions,
        "statements": statements,
    }
    return Meaning(verb, accesses, facts, refusal)
