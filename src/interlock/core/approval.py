"""Approvals: a question to people about one exact operation, their answers, and what became of it.

Values only. Who may answer and what an answer is good for, ``services.approvals`` says.
"""

import enum

import msgspec

from interlock.core.decision import ApprovalDemand
from interlock.core.identity import Principal


class ApprovalStatus(enum.Enum):
    """Where a request stands. Only ``PENDING`` takes votes, only ``APPROVED`` can be spent."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """Whoever asked has gone or has cancelled."""
    VOID = "void"
    """A lock, a changed policy or a lost reviewer took it away."""
    SPENT = "spent"
    """The operation was forwarded, once."""


class Vote(msgspec.Struct, frozen=True):
    """One person's answer. ``groups`` are those that it counts for; ``at_s`` is Unix time.

    ``registered`` are those of the groups that were registered for the person: without them it counts no more.
    """

    reviewer: str
    approves: bool
    reason: str
    groups: tuple[str, ...]
    at_s: float
    registered: tuple[str, ...] = ()


class ApprovalRequest(msgspec.Struct, frozen=True):
    """One question. The statement itself is kept sealed beside it (see ``ApprovalView``).

    ``digest`` is SHA-256, in hexadecimal, over principal, connection, database, the operation with all its parameters,
    what it means, and the policy version. ``claims`` are those of the principal, for four eyes. ``asked`` counts equal
    requests. ``expires_at_s`` is when a request that nobody has answered is denied; once it is approved, when the
    approval ends. ``policy`` is the policy's version. Times are Unix seconds. The last four are of the principal, for
    locks.
    """

    id: str
    digest: str
    status: ApprovalStatus
    session: str
    number: int
    principal_kind: str
    principal: str
    owner: str
    groups: tuple[str, ...]
    issuer: str
    subject: str
    claims: tuple[tuple[str, str], ...]
    token_id: str
    connection: str
    database: str
    application: str
    trace: str
    client_address: str
    verb: str
    accesses: tuple[str, ...]
    rules: tuple[str, ...]
    demands: tuple[ApprovalDemand, ...]
    message: str
    policy: str
    created_at_s: float
    expires_at_s: float
    asked: int = 1
    votes: tuple[Vote, ...] = ()
    settled_by: str = ""
    settled_reason: str = ""
    issued_at_s: float | None = None
    login: str = ""
    ancestors: tuple[str, ...] = ()
    acting: tuple[Principal, ...] = ()


class Bypass(msgspec.Struct, frozen=True):
    """For a while, whatever the same rules hold of one identity in one database counts as approved by one person.

    ``rules`` are those that ask, ``policy`` is their version: under another one nothing passes. ``acting`` is who acts
    for the identity, as lines. ``vote`` says who it was and why. ``used`` counts the statements that have passed. Times
    are Unix seconds.
    """

    id: str
    approval: str
    principal_kind: str
    principal: str
    connection: str
    database: str
    rules: tuple[str, ...]
    policy: str
    vote: Vote
    expires_at_s: float
    used: int = 0
    acting: tuple[str, ...] = ()


class RowSample(msgspec.Struct, frozen=True):
    """Some rows of a table, as text, masked for whoever looks; None for NULL."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


class Rehearsal(msgspec.Struct, frozen=True):
    """What the statement did, in a transaction that is still open or was rolled back.

    ``tag`` is the target's completion word with its count (``DELETE 12``); ``problem`` says why there is none.
    ``before`` and ``after`` are samples of the rows that were changed.
    """

    tag: str = ""
    problem: str = ""
    before: tuple[RowSample, ...] = ()
    after: tuple[RowSample, ...] = ()
    held: bool = False
    """The transaction is open: an approval commits exactly it."""


class ApprovalView(msgspec.Struct, frozen=True):
    """A request as reviewers see it: the exact statement and values, what is left out said so.

    ``noun`` is what people call it: ``statement``, ``request``, or ``command`` on a host.
    """

    request: ApprovalRequest
    statement: str
    parameters: tuple[str | None, ...] = ()
    remarks: tuple[str, ...] = ()
    """What the reviewer has to know besides: what is not shown, what is hidden in the text, what is not covered."""
    rehearsal: Rehearsal | None = None
    link: str = ""
    noun: str = "statement"


class Question(msgspec.Struct, frozen=True):
    """What is sealed beside a request: the operation itself, as recordings have it, and the protocol that reads it."""

    protocol: str
    text: bytes
    parameters: bytes
    text_bytes: int
    parameter_bytes: int
    forwarded: bytes = b""
    parameter_types: bytes = b""
    runs: tuple[tuple[bytes, bytes], ...] = ()
    """What the text runs by name, with the values that are bound to it."""
    runs_left_out: int = 0
    noun: str = ""
    """What the operation is called; empty for what was asked before there was more than one word for a protocol."""
    unknown: str = ""
    """Why nobody can say what it does."""


OPEN_STATUSES = frozenset({ApprovalStatus.PENDING, ApprovalStatus.APPROVED})
"""A request that may still lead to an execution."""
