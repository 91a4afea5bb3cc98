"""Sessions as the ledger tells them: one summary each, put together from its entries."""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from interlock.core.chain import Entry
from interlock.core.evidence import SessionSummary
from interlock.core.ledger import (
    OperationCompleted,
    OperationDecided,
    RecordingGap,
    RecordingStored,
    SessionClosed,
    SessionOpened,
)
from interlock.core.run import is_run
from interlock.core.session import SessionStatus

_MAX_CANDIDATES = 100_000


class SessionFilter(msgspec.Struct, frozen=True):
    """Which sessions are wanted; an empty field wants all.

    Names are compared whole; ``principal`` is whose session it is, or who acts in it for somebody. Times are those of
    the start. ``before`` is an entry that the session must begin before, ``run`` what its client says that it is part
    of.
    """

    principal: str = ""
    connection: str = ""
    status: str = ""
    since_ns: int = 0
    until_ns: int = 1 << 63
    before: int = 1 << 63
    run: str = ""

    def wants(self, opened: SessionOpened, entry: Entry) -> bool:
        """Whether a session that starts like this is wanted, as far as its start can tell."""
        return (
            (not self.principal or opened.is_of(self.principal))
            and self.connection in ("", opened.connection)
            and self.since_ns <= entry.time_ns < self.until_ns
            and entry.sequence < self.before
            and is_run(opened.trace, self.run)
        )


class SessionTally:
    """Counts one session's entries as they come."""

    def __init__(self, opened: SessionOpened, entry: Entry) -> None:
        self.opened = opened
        self._first = entry
        self._closed: SessionClosed | None = None
        self._ended_ns: int | None = None
        self._numbers = self._denied = self._held = self._rows = self._chunks = self._gap_bytes = 0

    def count(self, entry: Entry) -> None:
        """Take one more entry of this session."""
        match entry.record:
            case OperationDecided() as decided:
                self._numbers = max(self._numbers, decided.number)
                self._denied += decided.decision == "denied"
                self._held += decided.decision == "held"
            case OperationCompleted() as completed:
                self._rows += completed.rows
            case RecordingStored():
                self._chunks += 1
            case RecordingGap() as gap:
                self._gap_bytes += gap.size_bytes
            case SessionClosed() as closed:
                self._closed, self._ended_ns = closed, entry.time_ns

    def summary(self) -> SessionSummary:
        """What is known by now."""
        opened, closed = self.opened, self._closed
        return SessionSummary(
            session=opened.session,
            status=closed.status if closed else SessionStatus.OPEN.value,
            opened_ns=self._first.time_ns,
            ended_ns=self._ended_ns,
            reason=closed.reason if closed else "",
            protocol=opened.protocol,
            connection=opened.connection,
            database=opened.database,
            principal_kind=opened.principal_kind,
            principal=opened.principal,
            groups=opened.groups,
            owner=opened.owner,
            issuer=opened.issuer,
            subject=opened.subject,
            client_address=opened.client_address,
            application=opened.application,
            trace=opened.trace,
            policy=opened.policy,
            rules=opened.rules,
            operations=self._numbers,
            denied=self._denied,
            held=self._held,
            rows=self._rows,
            chunks=self._chunks,
            gap_bytes=self._gap_bytes,
            sequence=self._first.sequence,
            acting=opened.acting_lines,
        )


def summarize(entries: Iterable[Entry], wanted: SessionFilter, limit: int) -> list[SessionSummary]:
    """The newest sessions that are wanted, oldest first.

    Memory is bounded: by ``limit``, or, when a status is wanted, by the newest 100,000 sessions that are looked at.
    """
    tallies: OrderedDict[str, SessionTally] = OrderedDict()
    for entry in entries:
        record = entry.record
        if isinstance(record, SessionOpened):
            if wanted.wants(record, entry):
                tallies[record.session] = SessionTally(record, entry)
                _forget(tallies, wanted, limit)
        elif (session := session_of(entry)) in tallies:
            tallies[session].count(entry)
    summaries = [tally.summary() for tally in tallies.values()]
    return [summary for summary in summaries if wanted.status in ("", summary.status)][-limit:]


def _forget(tallies: OrderedDict[str, SessionTally], wanted: SessionFilter, limit: int) -> None:
    """Drop the oldest session when there are too many; a status is known at the end only, so then more stay."""
    if len(tallies) > (max(limit, _MAX_CANDIDATES) if wanted.status else limit):
        tallies.popitem(last=False)


def session_of(entry: Entry) -> str:
    """The session that an entry belongs to, empty when to none."""
    return getattr(entry.record, "session", "")
