"""What the use cases need of the sessions that are open now, and of the targets behind them, as protocols.

Nothing in here does anything. The runtime implements the sessions, an adapter looks at the targets.
"""

import enum
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from interlock.core.lock import Lock
from interlock.core.session import Session


class Backend(NamedTuple):
    """The process of the target that serves a session, and the port that the gateway's end of the connection has."""

    process_id: int
    port: int


class BackendState(enum.Enum):
    """What a target says of a process. One that it does not name is gone."""

    WORKING = "working"
    """It runs a statement, or the target does not say that it does not."""
    RESTING = "resting"


class LiveSession(Protocol):
    """One session that is open on this gateway."""

    @property
    def session(self) -> Session: ...

    @property
    def opened_at_s(self) -> float:
        """Unix time."""

    @property
    def backend(self) -> Backend | None:
        """None before the target has taken the session."""

    @property
    def can_freeze(self) -> bool:
        """Whether it has come so far that it can be stopped and go on later."""

    @property
    def state(self) -> str:
        """``idle``, ``running``, ``held`` or ``frozen``."""

    @property
    def doing(self) -> str:
        """The verb of what runs or waits, empty for nothing."""

    @property
    def busy(self) -> bool:
        """Whether the target has something to do for it, or to say."""

    @property
    def may_show(self) -> bool:
        """Whether something is permitted that the client has not had the whole answer of."""

    @property
    def may_have_written(self) -> bool:
        """Whether what it did since its last finished transaction was not only reading."""

    @property
    def operations(self) -> int: ...

    @property
    def denied(self) -> int: ...

    @property
    def rows(self) -> int:
        """Rows that the client has been sent, also of an answer that is not complete."""

    @property
    def bytes_sent(self) -> int:
        """Bytes for the client, of which the last ones may have been dropped when it was cut."""

    @property
    def unsent_bytes(self) -> int:
        """Bytes for the client that have not left the gateway."""

    def cut(self, code: str, reason: str) -> None:
        """End it at once. ``code`` is an SQLSTATE; what the target runs is asked to stop."""

    def freeze(self) -> None:
        """Let nothing through either way from now on; what the target runs is asked to stop."""

    def thaw(self) -> None:
        """Go on where ``freeze`` has stopped."""


class LiveSessions(Protocol):
    """The sessions that are open on this gateway."""

    def all(self) -> Collection[LiveSession]:
        """As of now, the oldest first."""

    def find(self, session_id: str) -> LiveSession | None: ...


class NoLiveSessions:
    """``LiveSessions`` where no gateway runs."""

    def all(self) -> Collection[LiveSession]:
        return ()

    def find(self, session_id: str) -> LiveSession | None:
        return None


class ActivityView(Protocol):
    """A look at one target's processes, over a connection of the gateway's own. Raises ``CatalogueUnavailable``."""

    async def states(self, backends: Collection[Backend]) -> Mapping[Backend, BackendState]:
        """Those of the processes that are there now."""

    async def cancel(self, backends: Collection[Backend]) -> None:
        """Stop what those of the processes run that are surely the sessions' own."""

    async def terminate(self, backends: Collection[Backend]) -> None:
        """End those of the processes that are surely the sessions' own."""


class TargetActivity(Protocol):
    """Looks at what targets are doing."""

    def open(self, connection: str, database: str) -> AbstractAsyncContextManager[ActivityView]:
        """Raises ``CatalogueUnavailable`` when the target cannot be looked at, or its word could mislead."""


class ApprovalVoider(Protocol):
    """Takes approvals away from whom a lock is about."""

    async def void_matching(self, lock: Lock, before: Lock | None = None) -> int:
        """Make void what waits and what is granted and not spent; returns how many. Never raises.

        With ``before`` it is only about those whom the lock did not concern when it was like that.
        """
