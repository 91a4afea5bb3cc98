"""What people read of the evidence: sessions, operations that were found, and the result of checking it all.

Values only. ``services.evidence`` makes them.
"""

import msgspec

from interlock.core.identity import by_actors


class SessionSummary(msgspec.Struct, frozen=True):
    """One session. Times are Unix nanoseconds; ``ended_ns`` is None while there is no end.

    ``acting`` is who acts for the principal, as lines (``agent ci:acme/crm``), the current one first.
    ``sequence`` is the ledger's entry that it begins with. ``operations``, ``denied`` and ``rows`` are counted from the
    entries. ``gap_bytes`` were said but not kept.
    """

    session: str
    status: str
    opened_ns: int
    ended_ns: int | None
    reason: str
    protocol: str
    connection: str
    database: str
    principal_kind: str
    principal: str
    groups: tuple[str, ...]
    owner: str
    issuer: str
    subject: str
    client_address: str
    application: str
    trace: str
    policy: str
    rules: tuple[str, ...]
    operations: int
    denied: int
    held: int
    rows: int
    chunks: int
    gap_bytes: int
    sequence: int = 0
    acting: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """The principal and who acts for it, in words."""
        return by_actors(self.principal, self.acting)


class SearchHit(msgspec.Struct, frozen=True):
    """One operation that was found; ``trace`` is the run that its client said it is part of.

    ``acting`` is as in ``SessionSummary``.
    """

    session: str
    number: int
    sequence: int
    at_ns: int
    principal: str
    connection: str
    verb: str
    decision: str
    message: str
    rules: tuple[str, ...]
    text: str
    trace: str = ""
    acting: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """The principal and who acts for it, in words."""
        return by_actors(self.principal, self.acting)


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was recorded. ``sequence`` is the first bad entry where one can be named."""

    problem: str
    sequence: int | None = None
    session: str = ""


class VerificationReport(msgspec.Struct, frozen=True):
    """What was checked, what is wrong (``findings``), and what a reader should know (``remarks``).

    ``covered`` entries are below the newest checkpoint; those behind it are chained, but nobody has signed them yet.
    """

    entries: int
    covered: int
    checkpoints: int
    sessions: int
    open_sessions: int
    chunks: int
    gap_bytes: int
    key: str
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings
