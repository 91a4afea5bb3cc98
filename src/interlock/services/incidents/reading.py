"""Reads incidents from a gateway's evidence: which there are, what happened, what was exposed. Changes nothing."""

from collections.abc import Iterator
from typing import Final

from interlock.core.administration.incidents import SOME_DAYS
from interlock.core.chain import Entry, decode_entry
from interlock.core.errors import InterlockError
from interlock.core.incident import ExposureReport, Incident, TimelineItem, ValueSearch
from interlock.core.ledger import OperationDecided, SessionOpened
from interlock.services.evidence.archive import EvidenceArchive, SessionKeys, SessionOpener, Transcriber
from interlock.services.evidence.bundle import Contents, gather
from interlock.services.incidents.answers import Fingerprint
from interlock.services.incidents.exposure import Exposure
from interlock.services.incidents.leaving import SoughtSessions, ValueHunt
from interlock.services.incidents.register import MARK, find_incident, read_incidents
from interlock.services.incidents.scope import SESSION_MARKS, Scope, find_related, find_sessions
from interlock.services.incidents.timeline import timeline_item

_DAY_NS: Final = 86_400_000_000_000
_MAX_OPENERS: Final = 1000


class IncidentReader:
    """Everything that raises, raises ``EvidenceError`` for damaged evidence and ``NotFound`` for no such incident."""

    def __init__(
        self, archive: EvidenceArchive, keys: SessionKeys, transcriber: Transcriber, fingerprint: Fingerprint
    ) -> None:
        self.archive = archive
        self.keys = keys
        self.transcriber = transcriber
        self._fingerprint = fingerprint

    def all(self) -> list[Incident]:
        """All incidents, the oldest first."""
        return list(read_incidents(self.entries(MARK)).values())

    def find(self, prefix: str) -> Incident:
        """The one incident whose id starts like this."""
        return find_incident(self.entries(MARK), prefix)

    def sessions(self, incident: Incident, since_ns: int) -> dict[str, SessionOpened]:
        """The sessions that an incident is about, by id."""
        return find_sessions(self.entries(*SESSION_MARKS), incident, since_ns)

    def timeline(self, incident: Incident, since_ns: int, after: int = -1) -> Iterator[TimelineItem]:
        """What happened behind an entry, in order."""
        sessions = self.sessions(incident, since_ns)
        scope, statements = Scope(incident, sessions, since_ns), _Statements(self.keys, sessions)
        for entry in self.entries():
            if scope.has(entry) and entry.sequence > after:
                item = timeline_item(entry, statements.read)
                if item is not None:
                    yield item

    def report(self, incident: Incident, since_ns: int) -> ExposureReport:
        """What was exposed."""
        sessions = self.sessions(incident, since_ns)
        related = find_related(self.entries(*SESSION_MARKS), incident, since_ns, sessions)
        exposure = Exposure(incident, since_ns, sessions, self._fingerprint, self.archive, self.keys, self.transcriber)
        for entry in self.entries():
            exposure.take(entry)
        return exposure.report(related)

    def contents(self, incident: Incident, since_ns: int, reports: dict[str, bytes]) -> Contents:
        """What goes into a bundle."""
        sessions = self.sessions(incident, since_ns)
        scope = Scope(incident, sessions, since_ns)
        entries = ((data, decode_entry(data)) for data in self.archive.entries())
        return gather(entries, scope.has, sessions, reports)

    def find_value(self, value: str, sought: SoughtSessions, *, settled: bool) -> ValueSearch:
        """Where a value was delivered. ``settled``: what open sessions have been told by now is in their recordings."""
        hunt = ValueHunt(value, sought, self.archive, self.keys, self.transcriber)
        for entry in self.entries():
            hunt.take(entry)
        return hunt.result(settled)

    def entries(self, *marks: bytes) -> Iterator[Entry]:
        """All entries, or those that have any of these bytes in them."""
        return (
            decode_entry(data) for data in self.archive.entries() if not marks or any(mark in data for mark in marks)
        )


class _Statements:
    """Opens what sessions asked, keeping the openers of a few sessions."""

    def __init__(self, keys: SessionKeys, sessions: dict[str, SessionOpened]) -> None:
        self._keys = keys
        self._sessions = sessions
        self._openers: dict[str, SessionOpener] = {}

    def read(self, decided: OperationDecided) -> str:
        """The text, empty when it cannot be read."""
        try:
            request = self._opener(decided.session).unseal_request(decided.number, decided.sealed)
        except InterlockError:
            return ""
        return request.text.decode(errors="replace")

    def _opener(self, session: str) -> SessionOpener:
        if session not in self._openers:
            if len(self._openers) >= _MAX_OPENERS:
                self._openers.clear()
            key = self._keys.reveal(session, self._sessions[session].wrapped_key)
            self._openers[session] = self._keys.opener(session, key)
        return self._openers[session]


def since_of(incident: Incident, since_s: float | None) -> int:
    """From when on an incident looks, in Unix nanoseconds: as asked for, or some days before it was opened."""
    if since_s is not None:
        return int(since_s * 1_000_000) * 1000
    return max(0, incident.opened_ns - SOME_DAYS * _DAY_NS)
