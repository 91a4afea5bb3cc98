"""What is said about approvals, locks and alerts: who, where, how long, and where to answer. Never what was asked.

Names and reasons come from tokens, agents and people: each becomes one bounded line.
"""

import datetime
from collections.abc import Iterable
from typing import Final

import msgspec

from interlock.core.approval import ApprovalRequest, ApprovalStatus, Bypass
from interlock.core.identity import by_actors, line_of
from interlock.core.ledger import AlertRaised, IncidentClosed, IncidentOpened
from interlock.core.lock import Lock
from interlock.core.notification import MORE, TEST, Message, NotifiedEvent
from interlock.core.printable import one_line

MAX_FACT_LENGTH: Final = 300
MAX_TITLE_LENGTH: Final = 200
LOCKS_LINK: Final = "interlock lock list"
SESSIONS_LINK: Final = "interlock sessions live"
APPROVALS_LINK: Final = "interlock approvals list"

_DECIDED: Final = {
    ApprovalStatus.APPROVED: "Approved",
    ApprovalStatus.DENIED: "Denied",
    ApprovalStatus.WITHDRAWN: "Withdrawn",
    ApprovalStatus.VOID: "Void",
    ApprovalStatus.EXPIRED: "Expired",
}


def message(kind: str, title: str, facts: Iterable[tuple[str, str]], link: str, subject: str, at_s: float) -> Message:
    """A message; facts without text are left out."""
    shown = tuple((name, bounded(text, MAX_FACT_LENGTH)) for name, text in facts if text)
    return Message(kind, bounded(title, MAX_TITLE_LENGTH), shown, link, subject, at_s)


def bounded(text: str, length: int) -> str:
    """One line of at most ``length`` characters; that something is missing is said."""
    line = one_line(text[: length + 1])
    return line if len(line) <= length else f"{line[: length - 6]} (cut)"


def approval_message(request: ApprovalRequest, link: str, at_s: float) -> Message | None:
    """About a new request, or one that has come to an end; None when nobody needs to know."""
    what = f"{request.verb} by {_who(request)} on {request.connection}"
    if request.status is ApprovalStatus.PENDING:
        asking = (
            *_asker(request),
            ("needs", ", ".join(f"{demand.approvals} of {demand.group}" for demand in request.demands)),
            ("rules", ", ".join(request.rules)),
            ("open until", _until(request.expires_at_s, at_s)),
        )
        kind = NotifiedEvent.APPROVAL_REQUESTED.value
        return message(kind, f"Approval needed: {what}", asking, link, request.id, at_s)
    if request.status not in _DECIDED:
        return None
    expired = request.status is ApprovalStatus.EXPIRED
    kind = (NotifiedEvent.APPROVAL_EXPIRED if expired else NotifiedEvent.APPROVAL_DECIDED).value
    facts = (*_asker(request), ("status", request.status.value), ("by", request.settled_by))
    facts += (("reason", request.settled_reason),)
    return message(kind, f"{_DECIDED[request.status]}: {what}", facts, link, request.id, at_s)


def bypass_message(bypass: Bypass, at_s: float) -> Message:
    """About a bypass that is in force now."""
    who = by_actors(f"{bypass.principal_kind.lower()} {bypass.principal}", bypass.acting)
    facts = (
        ("bypass", bypass.id),
        ("principal", who),
        ("connection", bypass.connection),
        ("database", bypass.database),
        ("rules", ", ".join(bypass.rules)),
        ("by", bypass.vote.reviewer),
        ("reason", bypass.vote.reason),
        ("until", _until(bypass.expires_at_s, at_s)),
    )
    title = f"Approvals bypassed for {who} on {bypass.connection}"
    return message(NotifiedEvent.APPROVAL_BYPASSED.value, title, facts, APPROVALS_LINK, bypass.id, at_s)


def lock_added(lock: Lock, at_s: float) -> Message:
    """About a lock that is in force now."""
    until = "it is removed" if lock.expires_at_s is None else _until(lock.expires_at_s, at_s)
    facts = (*_lock_facts(lock), ("by", lock.by), ("reason", lock.reason), ("cause", lock.cause), ("until", until))
    title = f"Locked: {_subject(lock)} ({lock.mode.value})"
    return message(NotifiedEvent.LOCK_ADDED.value, title, facts, LOCKS_LINK, lock.id, at_s)


def lock_removed(lock: Lock, by: str, reason: str, at_s: float) -> Message:
    """About a lock that was lifted or has ended."""
    facts = (*_lock_facts(lock), ("by", by), ("reason", reason))
    title = f"Lock lifted: {_subject(lock)}"
    return message(NotifiedEvent.LOCK_REMOVED.value, title, facts, LOCKS_LINK, lock.id, at_s)


def alert_message(alert: AlertRaised, at_s: float) -> Message:
    """About something that the gateway noticed by itself."""
    facts = (("alert", alert.alert), ("principal", alert.principal), ("count", str(alert.count)))
    kind = NotifiedEvent.ALERT_RAISED.value
    return message(kind, f"Alert: {alert.text}", facts, SESSIONS_LINK, alert.principal[:MAX_FACT_LENGTH], at_s)


def incident_message(record: IncidentOpened | IncidentClosed, at_s: float) -> Message:
    """About an incident that a responder has opened or closed."""
    facts: tuple[tuple[str, str], ...] = (("incident", record.incident), ("by", record.by), ("reason", record.reason))
    kind, title = NotifiedEvent.INCIDENT_CLOSED, f"Incident closed: {record.incident}"
    if isinstance(record, IncidentOpened):
        on = f"{record.subject_kind} {record.subject}".rstrip()
        facts += (("on", on), ("lock", record.mode or "none"))
        kind, title = NotifiedEvent.INCIDENT_OPENED, f"Incident opened: {on}"
    return message(kind.value, title, facts, f"interlock incident show {record.incident}", record.incident, at_s)


def test_message(by: str, at_s: float) -> Message:
    """One that asks for nothing."""
    return message(TEST, "Test: this channel works", (("sent by", by),), "interlock notifications list", "", at_s)


def more_message(at_s: float) -> Message:
    """One to gather counts in."""
    return message(MORE, "", (), APPROVALS_LINK, "", at_s)


def with_counts(gathered: Message) -> Message:
    """What a message that has gathered counts says; any other as it is."""
    if not gathered.counts:
        return gathered
    title = f"And {sum(gathered.counts.values())} more within a short time"
    facts = tuple((kind, str(count)) for kind, count in sorted(gathered.counts.items()))
    return msgspec.structs.replace(gathered, title=title, facts=facts)


def _asker(request: ApprovalRequest) -> tuple[tuple[str, str], ...]:
    return (
        ("request", request.id),
        ("principal", _who(request)),
        ("owner", request.owner),
        ("connection", request.connection),
        ("database", request.database),
        ("run", request.trace),
    )


def _who(request: ApprovalRequest) -> str:
    return by_actors(f"{request.principal_kind.lower()} {request.principal}", tuple(map(line_of, request.acting)))


def _lock_facts(lock: Lock) -> tuple[tuple[str, str], ...]:
    return (("lock", lock.id), ("on", _subject(lock)), ("mode", lock.mode.value))


def _subject(lock: Lock) -> str:
    return f"{lock.subject_kind.value} {lock.subject}".rstrip()


def _until(end_s: float, now_s: float) -> str:
    end = datetime.datetime.fromtimestamp(end_s, datetime.UTC)
    left_s = max(0, round(end_s - now_s))
    left = f"{left_s} s" if left_s < 120 else f"{left_s // 60} min"
    return f"{end:%Y-%m-%d %H:%M:%S} UTC (in {left})"
