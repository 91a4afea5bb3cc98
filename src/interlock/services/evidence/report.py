"""The result of a verification."""

import msgspec


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
