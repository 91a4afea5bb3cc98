"""The sessions that are open on this gateway, for whoever wants to see, stop or hold them.

Knows no reason for any of it.
"""

from collections.abc import Collection
from typing import Final, Protocol

from interlock.core.session import Session, session_id_time_ms
from interlock.protocols.base import Activity
from interlock.services.live import Backend, LiveSession
from interlock.services.opening import OpenSession

TICK_S: Final = 0.25
"""How often ``notice_leaving`` is to be called."""


class Driven(Protocol):
    """``runtime.driver.StreamDriver`` or ``runtime.ssh.driver.SshDriver``: what has sockets."""

    @property
    def unsent_bytes(self) -> int: ...

    @property
    def opened(self) -> OpenSession | None: ...

    @property
    def frozen(self) -> bool: ...

    @property
    def backend(self) -> tuple[int, int] | None: ...

    @property
    def sent_bytes(self) -> int: ...

    def activity(self) -> Activity: ...

    def cut(self, code: str, reason: str) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def notice_leaving(self) -> None: ...


class LiveRegistry:
    """Implements ``services.live.LiveSessions``."""

    def __init__(self) -> None:
        self._sessions: dict[str, DrivenSession] = {}

    def all(self) -> Collection[LiveSession]:
        """As of now, the oldest first."""
        return list(self._sessions.values())

    def find(self, session_id: str) -> LiveSession | None:
        return self._sessions.get(session_id)

    def opened(self, driver: Driven) -> None:
        """A driver's session has opened."""
        assert driver.opened is not None
        self._sessions[driver.opened.session.id] = DrivenSession(driver, driver.opened)

    def ended(self, driver: Driven) -> None:
        """It is over."""
        if driver.opened is not None:
            self._sessions.pop(driver.opened.session.id, None)

    def notice_leaving(self) -> None:
        """End frozen sessions whose client has left."""
        for session in list(self._sessions.values()):
            session.notice_leaving()


class DrivenSession:
    """Implements ``services.live.LiveSession``."""

    def __init__(self, driver: Driven, opened: OpenSession) -> None:
        self._driver = driver
        self._guard = opened.guard
        self.session: Session = opened.session
        self.opened_at_s = session_id_time_ms(opened.session.id) / 1000

    @property
    def backend(self) -> Backend | None:
        found = self._driver.backend
        return None if found is None else Backend(*found)

    @property
    def can_freeze(self) -> bool:
        """One of PostgreSQL is still logging in as long as it has no process there; others can at any time."""
        return self._driver.backend is not None or self.session.protocol != "postgres"

    @property
    def state(self) -> str:
        if self._driver.frozen:
            return "frozen"
        activity = self._driver.activity()
        if activity.deciding:
            return "held"
        return "running" if activity.busy else "idle"

    @property
    def doing(self) -> str:
        activity, meaning = self._driver.activity(), self._guard.doing
        return meaning.verb if meaning is not None and (activity.busy or activity.deciding) else ""

    @property
    def busy(self) -> bool:
        return self._driver.activity().busy

    @property
    def may_show(self) -> bool:
        activity = self._driver.activity()
        return activity.busy or activity.deciding

    @property
    def may_have_written(self) -> bool:
        return self._guard.last_write > self._driver.activity().settled

    @property
    def operations(self) -> int:
        return self._guard.operations

    @property
    def denied(self) -> int:
        return self._guard.denied

    @property
    def rows(self) -> int:
        return self._guard.rows + self._driver.activity().rows

    @property
    def bytes_sent(self) -> int:
        return self._driver.sent_bytes

    @property
    def unsent_bytes(self) -> int:
        return self._driver.unsent_bytes

    def cut(self, code: str, reason: str) -> None:
        """End it at once."""
        self._driver.cut(code, reason)

    def freeze(self) -> None:
        """Let nothing through."""
        self._driver.freeze()

    def thaw(self) -> None:
        """Go on."""
        self._driver.thaw()

    def notice_leaving(self) -> None:
        """See whether its client is still there."""
        self._driver.notice_leaving()
