"""The engine of the one pass over a statement's tree; what each node means is in ``expressions`` and
``queries``.

The walk keeps its own stack, so depth costs nothing. Nodes that no handler knows are walked through: a
construct that a newer grammar adds cannot hide what is inside it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from interlock.protocols.postgres.statements.catalogue import is_catalogue, reading_action
from interlock.protocols.postgres.statements.findings import Findings
from interlock.protocols.postgres.statements.nodes import Node, relation_path
from interlock.protocols.postgres.statements.relations import (
    CommonTables,
    Scope,
    Source,
    attribute_columns,
    is_common_table,
)

Handler = Callable[["Walk", Node, Scope], None]


class Walk:
    """One statement's walk: ``push`` its parts, then ``finish``; the findings are complete afterwards."""

    def __init__(self, findings: Findings, handlers: Mapping[str, Handler]) -> None:
        self.findings = findings
        self._handlers = handlers
        self._pending: list[tuple[Any, Scope]] = []
        self.top = Scope()
        """Outside of any query."""
        self._scopes = [self.top]

    def push(self, node: Any, scope: Scope | None = None) -> None:
        """Walk ``node`` (a node, a body, a list of nodes, or None) later, in ``scope``."""
        if node:
            self._pending.append((node, scope or self.top))

    def finish(self) -> None:
        """Walk what is pending, then give columns to tables. Raises TooComplex."""
        self._drain()
        attribute_columns(self._scopes)
        for scope in self._scopes:
            for source in scope.sources:
                self._settle(scope, source)

    def open_scope(self, enclosing: Scope) -> Scope:
        """The level of a query that stands in ``enclosing``."""
        scope = Scope(enclosing, enclosing.ctes)
        if not enclosing.sources:
            scope.holder = enclosing.holder
        self._scopes.append(scope)
        return scope

    def open_frame(self, parent: Scope | None, ctes: CommonTables | None) -> Scope:
        """A level without sources, for a query that sees other CTEs or other columns than its place suggests."""
        scope = Scope(parent, ctes)
        self._scopes.append(scope)
        return scope

    def add_relation(
        self,
        body: Node,
        scope: Scope,
        names: tuple[str, ...] = (),
        *,
        renamed: bool = False,
        target: bool = False,
    ) -> Source:
        """A RangeVar's body becomes a source: a table, or a CTE when a visible one has its bare name.

        ``names`` are qualifiers besides its own, ``renamed`` says that an alias list hides its column names.
        """
        alias = body.get("alias", {})
        name = body.get("relname", "")
        path: tuple[str, str] | None = relation_path(body)
        if not target and "schemaname" not in body and is_common_table(name, scope.ctes):
            path = None
        own = alias.get("aliasname", name)
        source = Source(path, (own, *names), renamed=renamed or "colnames" in alias, target=target)
        scope.sources.append(source)
        return source

    def _drain(self) -> None:
        pending, handlers = self._pending, self._handlers
        while pending:
            node, scope = pending.pop()
            if type(node) is list:
                pending.extend([(item, scope) for item in reversed(node) if item and "A_Const" not in item])
                continue
            for key, value in node.items():
                handler = handlers.get(key)
                if handler is not None:
                    handler(self, value, scope)
                elif type(value) is dict:
                    if "relname" in value:
                        self.add_relation(value, scope).columns.note("*")
                    else:
                        pending.append((value, scope))
                elif type(value) is list:
                    pending.append((value, scope))

    def _settle(self, scope: Scope, source: Source) -> None:
        """A finished source becomes accesses; the target of a write is read only if a column of it is named."""
        if source.path is None:
            return
        if not source.target or source.columns:
            action = reading_action(source.path, source.columns)
            self.findings.add_table(action, source.path, source.columns)
        if scope.is_locked(source.names) and not is_catalogue(source.path):
            self.findings.add_table("lock", source.path)
