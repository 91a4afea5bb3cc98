"""What an incident is about: which sessions, and which entries of the ledger.

Sessions are those that a lock on the incident's subject would be about, as far as they were open in the time that is
looked at. Nothing in here reads a recording.
"""

from collections import Counter
from collections.abc import Iterable

from interlock.core.chain import Entry
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.incident import Incident, RelatedPrincipal
from interlock.core.ledger import (
    AccessRefused,
    ActingIdentity,
    AdministrationChanged,
    AlertRaised,
    ApprovalBypassed,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalSettled,
    ApprovalVoted,
    BypassEnded,
    ConnectionRefused,
    IncidentBundled,
    IncidentClosed,
    IncidentOpened,
    LockAdded,
    LockExempted,
    LockExemptionEnded,
    LockRemoved,
    SessionClosed,
    SessionOpened,
    TokenIssued,
    ToolApproved,
    ToolWithdrawn,
)
from interlock.core.lock import LockSubject, subjects_of
from interlock.services.evidence.sessions import session_of

SESSION_MARKS = (b"session.opened", b"session.closed")
"""In the bytes of every entry that opens or closes a session."""

Subject = tuple[str, str]


def find_sessions(entries: Iterable[Entry], incident: Incident, since_ns: int) -> dict[str, SessionOpened]:
    """The sessions of an incident, by id, from the beginnings and ends of sessions; other entries may be among them."""
    subject = (incident.subject_kind.value, incident.subject)
    found: dict[str, SessionOpened] = {}
    for entry in entries:
        record = entry.record
        if isinstance(record, SessionOpened) and not is_behind(incident, entry) and subject in lockable(record):
            found[record.session] = record
        elif isinstance(record, SessionClosed) and entry.time_ns < since_ns:
            found.pop(record.session, None)
    return found


def find_related(
    entries: Iterable[Entry], incident: Incident, since_ns: int, own: dict[str, SessionOpened]
) -> tuple[RelatedPrincipal, ...]:
    """Who else had sessions in the time of these, with the same owner or in the same run."""
    owners = {owner for opened in own.values() for owner in opened.owners}
    runs = {opened.trace for opened in own.values()} - {""}
    found: dict[str, tuple[str, str]] = {}
    for entry in entries:
        record = entry.record
        if isinstance(record, SessionOpened) and record.session not in own and not is_behind(incident, entry):
            if by := _in_common(record, owners, runs):
                found[record.session] = record.who, by
        elif isinstance(record, SessionClosed) and entry.time_ns < since_ns:
            found.pop(record.session, None)
    return tuple(RelatedPrincipal(*key, count) for key, count in sorted(Counter(found.values()).items()))


def _in_common(opened: SessionOpened, owners: set[str], runs: set[str]) -> str:
    common = owners & {opened.principal, *opened.owners}
    if common:
        return f"owner {min(common)}"
    return f"run {opened.trace}" if opened.trace in runs else ""


def lockable(opened: SessionOpened) -> frozenset[Subject]:
    """Everything under which a session could have been locked."""
    kind = PrincipalKind.AGENT if opened.principal_kind == PrincipalKind.AGENT.value else PrincipalKind.USER
    principal = Principal(
        kind,
        opened.principal,
        frozenset(opened.groups),
        opened.owner or None,
        issuer=opened.issuer,
        subject=opened.subject,
        token_id=opened.token_id,
        login=opened.login,
        ancestors=opened.ancestors,
        acting=tuple(map(_actor, opened.acting)),
    )
    return frozenset((kind.value, name) for kind, name in subjects_of(principal, opened.connection, opened.trace))


def _actor(acting: ActingIdentity) -> Principal:
    return Principal(
        PrincipalKind.AGENT if acting.kind == PrincipalKind.AGENT.value else PrincipalKind.USER,
        acting.name,
        frozenset(acting.groups),
        acting.owner or None,
        issuer=acting.issuer,
        subject=acting.subject,
        token_id=acting.token_id,
        login=acting.login,
        ancestors=acting.ancestors,
    )


def is_behind(incident: Incident, entry: Entry) -> bool:
    """Whether an entry came after the incident was closed."""
    return incident.closed_sequence is not None and entry.sequence > incident.closed_sequence


class Scope:
    """Says of entries, given in the ledger's order, whether they belong to an incident."""

    def __init__(self, incident: Incident, sessions: dict[str, SessionOpened], since_ns: int) -> None:
        self._incident = incident
        self._sessions = sessions
        self._since_ns = since_ns
        self._connection = incident.subject if incident.subject_kind is LockSubject.CONNECTION else None
        subject = (incident.subject_kind.value, incident.subject)
        self._subjects = frozenset({subject}).union(*map(lockable, sessions.values()))
        names = {name for kind, name in self._subjects if kind != LockSubject.GROUP.value}
        self._names = names - {""}
        self._things = self._names | sessions.keys() | {incident.id}
        """What commands can be about: people, connections, sessions, locks, approvals, the incident."""
        self._approvals: set[str] = set()
        self._locks: set[str] = set()

    def has(self, entry: Entry) -> bool:
        """Whether the entry belongs to the incident."""
        if session_of(entry) in self._sessions:
            return self._has_of_session(entry)
        match entry.record:
            case IncidentOpened() | IncidentClosed() | IncidentBundled() as record:
                return record.incident == self._incident.id
            case LockAdded() as record:
                return self._has_lock(record, entry)
            case LockRemoved() | LockExempted() | LockExemptionEnded() as record:
                return record.lock in self._locks
            case AdministrationChanged() as record:
                about = record.actor in self._names or record.subject in self._things
                return record.subject == self._incident.id or (about and self._in_time(entry))
            case _:
                return self._in_time(entry) and self._has_other(entry)

    def _has_of_session(self, entry: Entry) -> bool:
        if isinstance(entry.record, ApprovalRequested):
            self._approvals.add(entry.record.approval)
            self._things.add(entry.record.approval)
        return not is_behind(self._incident, entry)

    def _has_lock(self, record: LockAdded, entry: Entry) -> bool:
        own = record.cause == f"incident {self._incident.id}"
        if own or (self._in_time(entry) and (record.subject_kind, record.subject) in self._subjects):
            self._locks.add(record.lock)
            self._things.add(record.lock)
            return True
        return False

    def _has_other(self, entry: Entry) -> bool:
        match entry.record:
            case ConnectionRefused() as record:
                return record.principal in self._names or record.connection == self._connection
            case TokenIssued() as record:
                return not self._names.isdisjoint((record.principal, *record.acting))
            case ApprovalVoted() | ApprovalRefused() | ApprovalSettled() as record:
                return record.approval in self._approvals
            case ToolApproved() | ToolWithdrawn() as record:
                return record.connection == self._connection
            case AlertRaised() as record:
                return record.principal in self._names
            case ApprovalBypassed() as record:
                concerned = record.principal in self._names
                self._things |= {record.bypass} if concerned else set()
                return concerned
            case BypassEnded() as record:
                return record.bypass in self._things
            case AccessRefused() as record:
                return record.actor in self._names or record.subject in self._things
            case _:
                return False

    def _in_time(self, entry: Entry) -> bool:
        return entry.time_ns >= self._since_ns and not is_behind(self._incident, entry)
