"""What statements do to the search path when the target has taken them."""

from interlock.protocols.postgres.outstanding import Change
from interlock.protocols.postgres.scope import SchemaScope
from interlock.protocols.postgres.statements.interpretation import SearchPath, TransactionControl


class PathChange(Change):
    """The search path changes."""

    def __init__(self, scope: SchemaScope, path: SearchPath) -> None:
        self._scope = scope
        self._path = path
        scope.may_become(path)

    def taken(self, idle: bool) -> None:
        self._scope.changed(self._path)

    def perhaps_taken(self) -> None:
        self._scope.perhaps_changed(self._path)


class TransactionStep(Change):
    """A statement that ends a transaction or undoes a part of it, and with it changes of the search path."""

    def __init__(self, scope: SchemaScope, control: TransactionControl) -> None:
        self._scope = scope
        self._control = control
        scope.may_be_undone()

    def taken(self, idle: bool) -> None:
        if self._control is TransactionControl.ROLLBACK:
            self._scope.rolled_back()
        elif self._control is TransactionControl.COMMIT:
            self._scope.transaction_over()
        else:
            self._scope.doubt()

    def perhaps_taken(self) -> None:
        self._scope.doubt()
