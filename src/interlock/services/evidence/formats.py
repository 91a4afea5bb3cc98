"""A session for other tools: JSON Lines with everything, or an SQL script with what was asked.

Both hold what the session's key opens: treat them like the data itself.
"""

import datetime
from collections.abc import Iterator

import msgspec

from interlock.core.chain import Entry
from interlock.core.errors import EvidenceError
from interlock.core.merkle import leaf_hash
from interlock.core.printable import one_line, printable
from interlock.services.evidence.search import kind_of
from interlock.services.evidence.service import EvidenceService
from interlock.services.evidence.telling import OperationView


def timestamp(time_ns: int) -> str:
    """Unix nanoseconds as RFC 3339 in UTC, to the microsecond."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(microsecond=rest // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def operation_fields(view: OperationView) -> dict[str, object]:
    """An operation as plain values, with its text and parameters readable."""
    decided, completed, request = view.decided, view.completed, view.request
    return {
        "number": decided.number,
        "at": timestamp(view.at_ns),
        "entry": view.sequence,
        "phase": decided.phase,
        "verb": decided.verb,
        "decision": decided.decision,
        "rules": decided.rules,
        "policy": decided.policy,
        "message": decided.message,
        "accesses": decided.accesses,
        "digest": decided.digest.hex(),
        "text": request.text.decode(errors="replace"),
        "text_bytes": request.text_bytes,
        "parameter_bytes": request.parameter_bytes,
        "forwarded": request.forwarded.decode(errors="replace"),
        "masked": decided.masked,
        "status": completed.status if completed else None,
        "tag": completed.tag if completed else None,
        "code": completed.code if completed else None,
        "rows": completed.rows if completed else None,
        "masked_values": completed.masked_values if completed else None,
        "found": dict(completed.found) if completed else None,
        "tokens": completed.tokens if completed else None,
    }


def entry_fields(entry: Entry, data: bytes | None = None) -> dict[str, object]:
    """A ledger entry as plain values; ``hash`` is its leaf hash when its bytes are given."""
    fields: dict[str, object] = {"entry": entry.sequence, "at": timestamp(entry.time_ns), "kind": kind_of(entry)}
    fields |= msgspec.to_builtins(entry.record)
    fields["prev"] = entry.prev.hex()
    if data is not None:
        fields["hash"] = leaf_hash(data).hex()
    return fields


def session_json_lines(evidence: EvidenceService, session: str) -> Iterator[bytes]:
    """One line for the session, one for each operation, one for each thing that was said."""
    yield _line({"kind": "session"} | msgspec.to_builtins(evidence.summary(session)))
    for view in evidence.operations(session):
        yield _line({"kind": "operation"} | operation_fields(view))
    for line in evidence.transcript(session):
        yield _line({"kind": "transcript", "is": line.kind.value} | _without_kind(msgspec.to_builtins(line)))


def session_sql(evidence: EvidenceService, session: str) -> Iterator[str]:
    """The statements in order; what was not allowed, or cannot be given to the letter, is commented out.

    Raises ``EvidenceError`` for a session that has no statements.
    """
    if evidence.has_exchanges(session):
        raise EvidenceError("this session is made of HTTP exchanges: export it as har")
    if evidence.has_terminal(session):
        raise EvidenceError("this session is made of commands, not of SQL: export it as asciicast")
    summary = evidence.summary(session)
    yield f"-- session {session}: {one_line(summary.who)} on {one_line(summary.connection)}\n"
    yield f"-- {timestamp(summary.opened_ns)}, {summary.status}\n"
    for view in evidence.operations(session):
        decided, request = view.decided, view.request
        outcome = f", {one_line(view.completed.tag or view.completed.code)}" if view.completed else ""
        yield f"\n-- {decided.number} at {timestamp(view.at_ns)}: {decided.decision}{outcome}\n"
        for column in decided.masked:
            yield f"-- masked: {one_line(column)}\n"
        if request.parameter_bytes:
            yield f"-- with {request.parameter_bytes} bytes of parameters\n"
        original = request.text.decode(errors="replace")
        text = printable(original)
        whole = decided.decision == "allowed" and len(request.text) == request.text_bytes and text == original
        if whole:
            yield text.rstrip().removesuffix(";") + "\n;\n"
        else:
            yield "".join(f"-- {line}\n" for line in text.splitlines())


def _without_kind(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name != "kind"}


def _line(fields: dict[str, object]) -> bytes:
    return msgspec.json.encode(fields) + b"\n"
