"""What one SQL text means to the gateway: its accesses, and what it does to the session that runs it.

``Meaning`` (core) is for policy. The rest is for the session's own bookkeeping, so that it never looks at a
tree: which names a statement defines, uses and forgets, which settings it changes, whether it starts a COPY.
"""

import enum

import msgspec

from interlock.core.operation import Meaning


class NameSpace(enum.Enum):
    """Where a name lives. SQL and the protocol share both spaces."""

    PREPARED = "prepared"
    """PREPARE, EXECUTE, DEALLOCATE; Parse, Bind, Close S."""
    PORTAL = "portal"
    """DECLARE, FETCH, MOVE, CLOSE; Bind, Execute, Close P."""


class Name(msgspec.Struct, frozen=True):
    """One prepared statement or portal."""

    space: NameSpace
    name: str


class TransactionControl(enum.Enum):
    """What a statement does to the transaction."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback to"
    PREPARE = "prepare"
    """PREPARE TRANSACTION: the session's transaction ends, the work survives it."""
    COMMIT_PREPARED = "commit prepared"
    ROLLBACK_PREPARED = "rollback prepared"


class SettingChange(msgspec.Struct, frozen=True):
    """SET, RESET or set_config of one parameter.

    ``name`` is lower case. ``value`` is the literal, None for a reset to the session's default and for a value that
    the text does not show. ``local`` changes end with the transaction; a rollback undoes the others too.
    """

    name: str
    value: str | None
    local: bool = False


class SearchPath(msgspec.Struct, frozen=True):
    """The search path from here on. ``schemas`` is None for the session's default (RESET, SET ... TO DEFAULT).

    ``"$user"`` stands for the session's user, as in PostgreSQL.
    """

    schemas: tuple[str, ...] | None
    local: bool = False


class Statement(msgspec.Struct, frozen=True, eq=False):
    """One statement of a text.

    ``uses`` are names whose definition runs when this statement runs: the session adds the definition's accesses.
    ``forgets_all`` are the name spaces that are emptied (DEALLOCATE ALL, CLOSE ALL, DISCARD ALL).
    ``settings`` and ``search_path`` take effect only if the statement succeeds.
    """

    meaning: Meaning
    defines: "Definition | None" = None
    uses: tuple[Name, ...] = ()
    forgets: tuple[Name, ...] = ()
    forgets_all: tuple[NameSpace, ...] = ()
    copy_in: bool = False
    copy_out: bool = False
    search_path: SearchPath | None = None
    settings: tuple[SettingChange, ...] = ()
    resets_settings: bool = False
    """RESET ALL, DISCARD ALL."""
    transaction: TransactionControl | None = None


class Definition(msgspec.Struct, frozen=True, eq=False):
    """A name and the statement that runs when it is used.

    ``holdable`` portals outlive their transaction, all others end with it; prepared statements outlive it anyway.
    """

    name: Name
    statement: Statement
    holdable: bool = False


class Interpretation(msgspec.Struct, frozen=True, eq=False):
    """A text: what it means as one operation, and its statements in order (none for an empty text)."""

    meaning: Meaning
    statements: tuple[Statement, ...] = ()
