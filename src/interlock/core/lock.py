"""Locks: the one primitive by which a responder stops somebody, and the receipt of what that did.

Values only. What a lock does, ``services.locks`` says.
"""

import enum

import msgspec


class LockMode(enum.Enum):
    """What becomes of whom a lock is about."""

    REFUSE = "refuse"
    """Sessions are cut, new ones refused."""
    FREEZE = "freeze"
    """Nothing goes either way any more; sessions stay to be looked at, new ones are refused."""
    READ_ONLY = "read-only"
    """Only reading is let through."""
    MASK_ALL = "mask-all"
    """Every column is masked."""


class LockSubject(enum.Enum):
    """Whom a lock is about."""

    USER = "user"
    AGENT = "agent"
    OWNER = "owner"
    GROUP = "group"
    CONNECTION = "connection"
    TOKEN = "token"  # noqa: S105 - the kind of subject
    RUN = "run"
    EVERYTHING = "everything"


class Lock(msgspec.Struct, frozen=True):
    """One lock. ``subject`` is the name within its kind, empty for everything; times are Unix seconds.

    An owner's lock is about the owner and all agents that it answers for. ``expires_at_s`` is None for one that stays
    until it is removed. ``cause`` says what made it: ``command``, ``incident ID``, ``identity disabled`` …
    """

    id: str
    subject_kind: LockSubject
    subject: str
    mode: LockMode
    reason: str
    by: str
    created_at_s: float
    expires_at_s: float | None = None
    cause: str = "command"


class SessionReceipt(msgspec.Struct, frozen=True):
    """What became of one session. Times are milliseconds from when the lock was asked for.

    ``stopped_after_ms`` is when the last byte had gone either way. ``in_flight`` is the verb of what the target was
    doing, empty for nothing; ``gone_after_ms`` when the target itself said that it was over, None when it did not say.
    ``rows`` and ``bytes_sent`` are what the client had been sent.
    """

    session: str
    node: str
    principal: str
    connection: str
    action: str
    """``cut``, ``frozen``, ``read-only`` or ``masked``."""
    stopped_after_ms: float
    in_flight: str
    gone_after_ms: float | None
    rows: int
    bytes_sent: int


class LockReceipt(msgspec.Struct, frozen=True):
    """What a lock did. ``voided_approvals`` are requests and unspent grants that it made void."""

    lock: Lock
    sessions: tuple[SessionReceipt, ...]
    voided_approvals: int = 0
    warnings: tuple[str, ...] = ()
    """What could not be verified, and why."""
