"""The incidents that there are, as the ledger has them."""

from collections.abc import Callable, Iterable

import msgspec

from interlock.core.chain import Entry
from interlock.core.errors import NotFound
from interlock.core.incident import Incident
from interlock.core.ledger import IncidentClosed, IncidentOpened
from interlock.core.lock import LockSubject

MARK = b"incident."
"""In the bytes of every entry that opens, bundles or closes an incident."""


def read_incidents(entries: Iterable[Entry]) -> dict[str, Incident]:
    """All incidents by id, the oldest first."""
    found: dict[str, Incident] = {}
    for entry in entries:
        if isinstance(record := entry.record, IncidentOpened):
            found[record.incident] = opened_incident(record, entry)
        elif isinstance(record, IncidentClosed) and record.incident in found:
            found[record.incident] = _closed(found[record.incident], record, entry)
    return found


def find_incident(entries: Iterable[Entry], prefix: str) -> Incident:
    """The one incident whose id starts with ``prefix``. Raises ``NotFound`` when there is none, or several."""
    incidents = read_incidents(entries)
    if (whole := incidents.get(prefix)) is not None:
        return whole
    found = [incident for incident in incidents.values() if prefix and incident.id.startswith(prefix)]
    if len(found) != 1:
        raise NotFound(f"{'no incident' if not found else 'more than one incident'} starts with {prefix!r}")
    return found[0]


def newest(
    incidents: Iterable[Incident], before: int, wanted: Callable[[Incident], bool], limit: int
) -> list[Incident]:
    """Up to so many that are wanted and opened before an entry, the newest first."""
    found = [incident for incident in incidents if incident.sequence < before and wanted(incident)]
    return found[::-1][:limit]


def opened_incident(record: IncidentOpened, entry: Entry) -> Incident:
    """The incident that an entry opens."""
    kind = LockSubject(record.subject_kind)
    return Incident(
        record.incident, kind, record.subject, record.reason, record.by, entry.time_ns, record.mode, entry.sequence
    )


def _closed(incident: Incident, record: IncidentClosed, entry: Entry) -> Incident:
    return msgspec.structs.replace(
        incident,
        closed_ns=entry.time_ns,
        closed_by=record.by,
        closed_reason=record.reason,
        closed_sequence=entry.sequence,
    )
