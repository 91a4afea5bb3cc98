"""Entries of the ledger in words, for somebody who wants to know what happened in which order."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from interlock.core.chain import Entry
from interlock.core.identity import by_actors
from interlock.core.incident import TimelineItem
from interlock.core.ledger import (
    AccessRefused,
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
    OperationCompleted,
    OperationDecided,
    OperationRehearsed,
    Record,
    SessionClosed,
    SessionCut,
    SessionOpened,
    TokenIssued,
    ToolApproved,
    ToolsChanged,
    ToolsSeen,
    ToolWithdrawn,
)
from interlock.core.printable import one_line
from interlock.services.evidence.search import kind_of
from interlock.services.evidence.sessions import session_of

MAX_STATEMENT: Final = 300
"""Letters of a statement in the timeline; all of it is in the session."""

ReadStatement = Callable[[OperationDecided], str]
"""What a session asked, empty when it cannot be read."""


def timeline_item(entry: Entry, statement: ReadStatement) -> TimelineItem | None:
    """An entry as an item; None for what nobody needs to see, such as chunks of recordings."""
    record = entry.record
    if isinstance(record, OperationDecided):
        who, text = "", _decided(record, statement(record))
    elif (words := _WORDS.get(type(record))) is not None:
        who, text = words(record)
    else:
        return None
    return TimelineItem(entry.sequence, entry.time_ns, kind_of(entry), session_of(entry), who, one_line(text))


def _decided(record: OperationDecided, statement: str) -> str:
    text = one_line(statement)
    if len(text) > MAX_STATEMENT:
        text = f"{text[:MAX_STATEMENT]}... ({len(text) - MAX_STATEMENT} more letters)"
    rules = f" by {', '.join(record.rules)}" if record.rules else ""
    message = f"; {record.message}" if record.message else ""
    return f"#{record.number} {record.decision}{rules}: {text or record.verb}{message}"


def _opened(record: SessionOpened) -> tuple[str, str]:
    owner = f", owner {record.owner}" if record.owner else ""
    run = f", run {record.trace}" if record.trace else ""
    where = f"{record.connection}/{record.database}"
    return record.who, f"session on {where} from {record.client_address}{owner}{run}"


def _completed(record: OperationCompleted) -> tuple[str, str]:
    outcome = record.tag or record.code or record.status
    masked = f", {record.masked_values} masked values" if record.masked_values else ""
    counts = f"{record.rows} rows, {record.bytes_sent} bytes" + (f", {record.tokens} tokens" if record.tokens else "")
    return "", f"#{record.number} {record.status}: {outcome}, {counts}{masked}"


def _closed(record: SessionClosed) -> tuple[str, str]:
    counts = f"{record.operations} operations, {record.denied} denied, {record.rows} rows"
    return "", f"session {record.status}: {counts}" + (f"; {record.reason}" if record.reason else "")


def _cut(record: SessionCut) -> tuple[str, str]:
    gone = f", gone at the target after {record.gone_after_ms:.0f} ms" if record.gone_after_ms >= 0 else ""
    doing = f" while {record.in_flight} ran" if record.in_flight else ""
    return record.by, f"session {record.action} after {record.stopped_after_ms:.0f} ms{doing}{gone}: {record.reason}"


def _refused(record: ConnectionRefused) -> tuple[str, str]:
    where = f"{record.connection} from {record.client_address}"
    return by_actors(record.principal, record.acting), f"login refused on {where}: {record.reason}"


def _issued(record: TokenIssued) -> tuple[str, str]:
    acting = f", by {', '.join(record.acting)}" if record.acting else ""
    run = f", run {record.run}" if record.run else ""
    what = f"session token {record.token_id} for {', '.join(record.audience) or 'everything'}"
    return record.principal + acting, f"{what} to {record.client_address}{run}"


def _requested(record: ApprovalRequested) -> tuple[str, str]:
    asked = f"approval {record.approval} asked for #{record.number}"
    return by_actors(record.principal, record.acting), f"{asked}: {', '.join(record.demands)}"


def _tools(record: ToolsSeen | ToolsChanged) -> str:
    return f"{', '.join(name for name, _ in record.tools)} of {record.connection}"


_WORDS: Final[Mapping[type[Record], Callable[[Any], tuple[str, str]]]] = {
    SessionOpened: _opened,
    SessionClosed: _closed,
    SessionCut: _cut,
    OperationCompleted: _completed,
    OperationRehearsed: lambda r: (r.by, f"#{r.number} rehearsed for approval {r.approval}"),
    ConnectionRefused: _refused,
    TokenIssued: _issued,
    ApprovalRequested: _requested,
    ApprovalVoted: lambda r: (r.reviewer, f"approval {r.approval}: {r.verdict}: {r.reason}"),
    ApprovalRefused: lambda r: (r.reviewer, f"approval {r.approval}: {r.verdict} did not count: {r.why}"),
    ApprovalSettled: lambda r: (r.by, f"approval {r.approval} is {r.status}: {r.reason}"),
    ApprovalBypassed: lambda r: (r.by, f"bypass {r.bypass} of {', '.join(r.rules)} for {r.principal}: {r.reason}"),
    BypassEnded: lambda r: (r.by, f"bypass {r.bypass} has ended after {r.used} statements: {r.reason}"),
    LockAdded: lambda r: (r.by, f"lock {r.lock} ({r.mode}) on {r.subject_kind} {r.subject} ({r.cause}): {r.reason}"),
    LockRemoved: lambda r: (r.by, f"lock {r.lock} is lifted: {r.reason}"),
    LockExempted: lambda r: (r.by, f"lock {r.lock} does not concern {r.subject_kind} {r.subject} now: {r.reason}"),
    LockExemptionEnded: lambda r: (r.by, f"lock {r.lock} concerns {r.subject_kind} {r.subject} again: {r.reason}"),
    AlertRaised: lambda r: (r.principal, f"alert {r.alert} ({r.count}): {r.text}"),
    ToolsSeen: lambda r: ("", f"new tools {_tools(r)}{'' if r.approved else ', which wait for approval'}"),
    ToolsChanged: lambda r: ("", f"changed tools {_tools(r)}"),
    ToolApproved: lambda r: (r.by, f"tool {r.tool} of {r.connection} is approved: {r.reason}"),
    ToolWithdrawn: lambda r: (r.by, f"tool {r.tool} of {r.connection} is withdrawn: {r.reason}"),
    AdministrationChanged: lambda r: (r.actor, f"{r.action} {r.subject}{f': {r.detail}' if r.detail else ''}"),
    AccessRefused: lambda r: (r.actor, f"refused {r.action} {r.subject}: {r.why}"),
    IncidentOpened: lambda r: (r.by, f"incident on {r.subject_kind} {r.subject} is opened: {r.reason}"),
    IncidentBundled: lambda r: (r.by, f"bundle of {r.entries} entries"),
    IncidentClosed: lambda r: (r.by, f"incident is closed: {r.reason}"),
}
