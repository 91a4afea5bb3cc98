"""Messages to people about what happens in the gateway, and what is still to be delivered of them.

Values only. What a message is made of, ``services.notifications`` says; how a channel shows it, its adapter.
"""

import enum
from typing import Final

import msgspec

MORE: Final = "more"
"""Kind of the message that stands for those that were too many."""
TEST: Final = "test"
"""Kind of a message that tries a channel out."""


class NotifiedEvent(enum.Enum):
    """What messages are about."""

    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_DECIDED = "approval.decided"
    """Approved, denied, withdrawn or made void."""
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_BYPASSED = "approval.bypassed"
    LOCK_ADDED = "lock.added"
    LOCK_REMOVED = "lock.removed"
    ALERT_RAISED = "alert.raised"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_CLOSED = "incident.closed"


class Message(msgspec.Struct, frozen=True):
    """One message, without any statement. Every text in it is one bounded line that steers no terminal.

    ``kind`` is the value of a ``NotifiedEvent``, ``MORE`` or ``TEST``; ``subject`` the id of what it is about; ``link``
    a URL or, where there is none, a command; ``counts``, of ``MORE`` only, how many there were of each kind.
    """

    kind: str
    title: str
    facts: tuple[tuple[str, str], ...]
    link: str
    subject: str
    at_s: float
    counts: dict[str, int] = {}


class Excerpt(msgspec.Struct, frozen=True):
    """The beginning of a statement, exactly as it was sent; ``left_out_bytes`` is how much is missing."""

    text: str
    left_out_bytes: int = 0


class Letter(msgspec.Struct, frozen=True):
    """A message on its way to one channel. ``id`` stays the same however often it is tried."""

    id: str
    message: Message
    statement: Excerpt | None = None


class Outgoing(msgspec.Struct, frozen=True):
    """A message that one channel has not got yet. Times are Unix seconds.

    It is tried when ``due_at_s`` is past, and given up after ``until_s``. ``gathering``: it still takes in what is too
    much. ``problem`` is why the last attempt failed.
    """

    id: str
    channel: str
    message: Message
    created_at_s: float
    due_at_s: float
    until_s: float
    attempts: int = 0
    gathering: bool = False
    problem: str = ""
