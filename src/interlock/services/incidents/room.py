"""Carries out the commands about incidents.

Whatever a responder does is on the ledger under their name before it is done; when the ledger does not take it, it is
not done. A value that is looked for is in no record. Evidence is read in worker threads, few at a time.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from interlock.core.administration import Command
from interlock.core.administration.incidents import (
    BundleIncident,
    BundleMade,
    BundlePiece,
    ClosedIncident,
    CloseIncident,
    FindValue,
    IncidentPage,
    ListIncidents,
    OpenedIncident,
    OpenIncident,
    ReadBundle,
    RenderedReport,
    ReportIncident,
    ShowIncident,
    Timeline,
)
from interlock.core.administration.requests import tag_of
from interlock.core.errors import AdministrationRefused, InterlockError, StateUnavailable
from interlock.core.identity import Actor
from interlock.core.incident import Incident, TimelineItem, ValueSearch
from interlock.core.ledger import AdministrationChanged, AnyRecord, IncidentClosed, IncidentOpened
from interlock.core.lock import Lock, LockReceipt, LockSubject
from interlock.core.run import run_of
from interlock.core.session import SESSION_ID_ENTROPY_BYTES, new_session_id
from interlock.services.administration import Handler
from interlock.services.incidents.bundling import Bundling
from interlock.services.incidents.leaving import SoughtSessions
from interlock.services.incidents.reading import IncidentReader, since_of
from interlock.services.incidents.register import newest
from interlock.services.incidents.reports import report_html, report_text
from interlock.services.locks import Locks
from interlock.services.ports import Clock, Ledger

READERS: Final = 2
"""Commands that read at a time; others wait for their turn."""
MAX_PAGE_LETTERS: Final = 4 << 20

_IN_NO_RECORD: Final = frozenset({"value", "incident"})

T = TypeVar("T")


class IncidentRoom:
    """Implements ``services.administration.Room``."""

    def __init__(
        self,
        reader: IncidentReader,
        bundling: Bundling,
        locks: Locks,
        ledger: Ledger,
        clock: Clock,
        settle: Callable[[], Awaitable[bool]],
    ) -> None:
        """``settle`` has everything that open sessions have been told put into their recordings; whether it is so."""
        self._settle = settle
        self._reader = reader
        self._bundling = bundling
        self._locks = locks
        self._ledger = ledger
        self._clock = clock
        self._turns = asyncio.Semaphore(READERS)
        self.listeners: list[Callable[[IncidentOpened | IncidentClosed], None]] = []
        """Are told what is on record, by the way: they neither wait nor raise."""

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {
            OpenIncident: self._open,
            ListIncidents: self._list,
            ShowIncident: self._show,
            ReportIncident: self._report,
            FindValue: self._find_value,
            BundleIncident: self._bundle,
            ReadBundle: self._read_bundle,
            CloseIncident: self._close,
        }

    # ------------------------------------------------------------ from the beginning to the end

    async def _open(self, command: OpenIncident, actor: Actor) -> OpenedIncident:
        subject = self._subject(command)
        now_s = self._now_s()
        incident_id = new_session_id(int(now_s * 1e9), secrets.token_bytes(SESSION_ID_ENTROPY_BYTES))
        mode = command.mode.value if command.mode else ""
        kind = command.subject_kind
        opened = IncidentOpened(incident_id, kind.value, subject, command.reason, actor.name, mode)
        await self._accept(opened)
        self._tell(opened)
        receipt, warning = await self._lock(command, incident_id, subject, actor)
        return OpenedIncident(incident_id, f"{kind.value} {subject}".rstrip(), receipt, warning)

    def _subject(self, command: OpenIncident) -> str:
        """The name as locks have it. Raises ``AdministrationRefused`` for none, ``StateUnavailable``."""
        kind, subject = command.subject_kind, command.subject
        if (kind is LockSubject.EVERYTHING) != (not subject):
            wanted = "takes no name" if kind is LockSubject.EVERYTHING else "needs a name"
            raise AdministrationRefused(f"an incident on {kind.value} {wanted}")
        self._locks.all()  # whoever opens an incident counts on the lock
        return run_of(subject) or subject if kind is LockSubject.RUN else subject

    async def _lock(
        self, command: OpenIncident, incident: str, subject: str, actor: Actor
    ) -> tuple[LockReceipt | None, str]:
        if command.mode is None:
            return None, ""
        kind, reason = command.subject_kind, command.reason
        try:
            receipt = await self._locks.add(kind, subject, command.mode, reason, actor.name, cause=cause_of(incident))
        except InterlockError as error:
            return None, f"the incident is open, but NOBODY IS LOCKED: {error}"
        return receipt, ""

    async def _close(self, command: CloseIncident, actor: Actor) -> ClosedIncident:
        incident = await self._find(command.id)
        if incident.closed_ns is not None:
            raise AdministrationRefused(f"incident {incident.id} is closed already")
        locks = [lock for lock in self._locks.all() if lock.cause == cause_of(incident.id)]
        if command.lift_locks:
            for lock in locks:
                await self._locks.check_may_lift(lock, actor)
        record = IncidentClosed(incident.id, actor.name, command.reason)
        await self._accept(record)
        self._tell(record)
        lifted, warnings = await self._lift(locks if command.lift_locks else [], actor, command.reason)
        left = tuple(lock.id for lock in locks if lock.id not in lifted)
        return ClosedIncident(incident.id, lifted, left, warnings)

    def _tell(self, record: IncidentOpened | IncidentClosed) -> None:
        for listener in self.listeners:
            listener(record)

    async def _lift(self, locks: list[Lock], actor: Actor, reason: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        lifted, warnings = list[str](), list[str]()
        for lock in locks:
            try:
                await self._locks.remove(lock.id, actor, reason)
                lifted.append(lock.id)
            except InterlockError as error:
                warnings.append(f"lock {lock.id} stays in force: {error}")
        return tuple(lifted), tuple(warnings)

    # ------------------------------------------------------------ reading

    async def _list(self, command: ListIncidents, _actor: Actor) -> IncidentPage:
        before = int(command.after) if command.after else 1 << 63

        def wanted(incident: Incident) -> bool:
            return not command.open_only or incident.closed_ns is None

        found = await self._aside(lambda: newest(self._reader.all(), before, wanted, command.limit + 1))
        items = tuple(found[: command.limit])
        return IncidentPage(items, str(items[-1].sequence) if len(found) > command.limit else "")

    async def _show(self, command: ShowIncident, actor: Actor) -> Timeline:
        incident = await self._find(command.id)
        await self._settle()
        await self._note(actor, command, incident.id)

        def read() -> Timeline:
            since_ns = since_of(incident, command.since_s)
            items, room = list[TimelineItem](), MAX_PAGE_LETTERS
            for item in self._reader.timeline(incident, since_ns, int(command.after or -1)):
                room -= len(item.text)
                if items and (len(items) >= command.limit or room < 0):
                    return Timeline(incident, tuple(items), str(items[-1].sequence))
                items.append(item)
            return Timeline(incident, tuple(items))

        return await self._aside(read)

    async def _report(self, command: ReportIncident, actor: Actor) -> RenderedReport:
        incident = await self._find(command.id)
        await self._settle()
        await self._note(actor, command, incident.id)

        def read() -> RenderedReport:
            report = self._reader.report(incident, since_of(incident, command.since_s))
            return RenderedReport(report, report_text(report), report_html(report))

        return await self._aside(read)

    async def _find_value(self, command: FindValue, actor: Actor) -> ValueSearch:
        incident = await self._find(command.incident) if command.incident else None
        settled = await self._settle()
        await self._note(actor, command, incident.id if incident else "", _filters(command))

        def read() -> ValueSearch:
            named: frozenset[str] | None = None
            since_ns, until_ns = _ns(command.since_s), _ns(command.until_s)
            if incident is not None:
                named = frozenset(self._reader.sessions(incident, since_of(incident, command.since_s or None)))
            sought = SoughtSessions(named, command.principal, command.connection, since_ns, until_ns)
            return self._reader.find_value(command.value, sought, settled=settled)

        return await self._aside(read)

    # ------------------------------------------------------------ bundles

    async def _bundle(self, command: BundleIncident, actor: Actor) -> BundleMade:
        await self._settle()
        async with self._turns:
            return await self._bundling.make(command, actor, self._accept)

    async def _read_bundle(self, command: ReadBundle, actor: Actor) -> BundlePiece:
        if not command.offset:
            await self._note(actor, command, command.id, f"sha256 {command.sha256}")
        return await self._bundling.piece(command)

    # ------------------------------------------------------------ what all of them need

    async def _note(self, actor: Actor, command: Command[Any], subject: str, detail: str = "") -> None:
        await self._accept(AdministrationChanged(actor.name, tag_of(type(command)), subject, detail))

    async def _find(self, prefix: str) -> Incident:
        return await self._aside(lambda: self._reader.find(prefix))

    async def _aside(self, read: Callable[[], T]) -> T:
        async with self._turns:
            return await asyncio.to_thread(read)

    async def _accept(self, record: AnyRecord) -> None:
        waiting = self._ledger.append(record)
        if waiting is not None:
            await waiting

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None


def cause_of(incident: str) -> str:
    """The cause of a lock that came with an incident."""
    return f"incident {incident}"


def _filters(command: FindValue) -> str:
    """What is looked in, without what is looked for."""
    given = ((field.name, getattr(command, field.name), field.default) for field in msgspec.structs.fields(command))
    shown = (f"{name} {value}" for name, value, default in given if name not in _IN_NO_RECORD and value != default)
    return ", ".join(shown)


def _ns(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1000
