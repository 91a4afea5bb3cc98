"""The exposure report: what the sessions of an incident were given, and what they did.

From the ledger and the recordings only, so the same evidence gives the same report. Counts are of what was delivered:
where an answer was not kept, its rows are counted and said not to have been looked at.
"""

import re
from collections import OrderedDict
from typing import Final

import msgspec

from interlock.core.chain import Entry
from interlock.core.errors import EvidenceError
from interlock.core.incident import (
    ApprovalExposure,
    ChangeExposure,
    ExposedSession,
    ExposureReport,
    Incident,
    RefusalExposure,
    RelatedPrincipal,
)
from interlock.core.ledger import (
    AdministrationChanged,
    ApprovalRequested,
    ApprovalSettled,
    ApprovalVoted,
    ConnectionRefused,
    IncidentBundled,
    OperationCompleted,
    OperationDecided,
    RecordingStored,
    SessionClosed,
    SessionOpened,
)
from interlock.core.operation import OutcomeStatus, Phase
from interlock.core.recording import Direction, DocumentLine, Frame, TranscriptKind, TranscriptLine
from interlock.services.evidence.archive import ChunkSource, SessionKeys, TerminalTranscriber, Transcriber
from interlock.services.incidents.answers import Answer, Answers, Budget, Fingerprint
from interlock.services.incidents.host_commands import HostCommands
from interlock.services.incidents.playback import Playbacks, SessionPlayback
from interlock.services.incidents.scope import Scope, is_behind
from interlock.services.policy.schema import members

MAX_OPEN_ANSWERS: Final = 10_000
"""Answers of one session that are not over yet; beyond that the oldest count as over."""
MAX_REFUSALS: Final = 10_000
"""Different refusals that are told apart."""
_READING: Final = members("read")
_DELIVERING: Final = re.compile(r" on (?:Table|Endpoint|GraphqlField|Tool|Model) (.+)")
"""In an access as the ledger has it, what an answer comes from."""
_ABOUT_THE_REPORT: Final = (AdministrationChanged, IncidentBundled)
"""What looking at an incident adds to the ledger itself; a report must not depend on it."""


class _Session:
    """What is counted of one session. ``on_host``: it is made of commands, and not of questions with answers."""

    def __init__(self, opened: SessionOpened, entry: Entry, *, on_host: bool) -> None:
        self.opened = opened
        self.on_host = on_host
        self.opened_ns = entry.time_ns
        self.status = "open"
        self.operations = self.denied = self.rows = self.bytes_sent = 0
        self.answers: OrderedDict[int, Answer] = OrderedDict()

    @property
    def place(self) -> str:
        return "/".join(filter(None, (self.opened.connection, self.opened.database)))

    def exposed(self) -> ExposedSession:
        opened = self.opened
        return ExposedSession(
            opened.session,
            opened.principal,
            opened.owner,
            opened.connection,
            opened.database,
            opened.client_address,
            opened.trace,
            self.opened_ns,
            self.status,
            self.operations,
            self.denied,
            self.rows,
            self.bytes_sent,
            opened.acting_lines,
        )


class Exposure:
    """Counts entries as they come; then ``report``."""

    def __init__(
        self,
        incident: Incident,
        since_ns: int,
        sessions: dict[str, SessionOpened],
        fingerprint: Fingerprint,
        chunks: ChunkSource,
        keys: SessionKeys,
        transcriber: Transcriber,
    ) -> None:
        self._incident = incident
        self._since_ns = since_ns
        self._fingerprint = fingerprint
        self._scope = Scope(incident, sessions, since_ns)
        self._playbacks = Playbacks(chunks, keys, transcriber)
        self._transcriber = transcriber
        self._budget = Budget()
        self._sessions: dict[str, _Session] = {}
        self._answers: dict[tuple[str, tuple[str, ...]], Answers] = {}
        self._commands = HostCommands()
        self._changes: dict[tuple[str, str], list[int]] = {}
        self._refusals: dict[tuple[str, str, str, tuple[str, ...]], list[int]] = {}
        self._approvals: dict[str, ApprovalExposure] = {}
        self._accesses: dict[tuple[str, int], tuple[str, ...]] = {}
        """Of operations that change something and have no outcome yet."""
        self._first = self._last = -1
        self._held = self._statements = self._uncounted = 0

    def take(self, entry: Entry) -> None:
        """Take one more entry of the ledger, in order."""
        if is_behind(self._incident, entry) or not self._scope.has(entry):
            return
        if not isinstance(entry.record, _ABOUT_THE_REPORT):
            self._first = entry.sequence if self._first < 0 else self._first
            self._last = entry.sequence
        self._count(entry)
        if isinstance(entry.record, RecordingStored) and self._sessions[entry.record.session].on_host:
            return
        for playback, frame, lines in self._playbacks.take(entry):
            self._told(playback, frame, lines)

    def _is_on_host(self, protocol: str) -> bool:
        try:
            return isinstance(self._transcriber(protocol), TerminalTranscriber)
        except EvidenceError:
            return False

    def _count(self, entry: Entry) -> None:
        match entry.record:
            case SessionOpened() as record:
                on_host = self._is_on_host(record.protocol)
                self._sessions[record.session] = _Session(record, entry, on_host=on_host)
            case OperationDecided() as record:
                self._decided(record, entry)
            case OperationCompleted() as record:
                self._completed(record)
            case SessionClosed() as record:
                self._sessions[record.session].status = record.status
            case ConnectionRefused() as record:
                self._refused(record.connection, "login", record.reason, (), entry)
            case ApprovalRequested() | ApprovalVoted() | ApprovalSettled() as record:
                self._approval(record, entry)
            case _:
                pass

    # ------------------------------------------------------------ operations

    def _decided(self, record: OperationDecided, entry: Entry) -> None:
        session = self._sessions[record.session]
        if record.decision == "denied":
            session.denied += 1
            self._refused(session.place, record.verb, record.message, record.rules, entry)
        elif record.decision == "held":
            self._held += 1
        elif record.phase == Phase.EXECUTE.value:
            session.operations += 1
            self._statements += 1
            self._expect(session, record)
            if session.on_host:
                self._commands.decided(session.place, record)
            else:
                self._await_answer(session, record)

    def _expect(self, session: _Session, record: OperationDecided) -> None:
        changing = tuple(access for access in record.accesses if access.partition(" ")[0] not in _READING)
        if changing:
            self._accesses[record.session, record.number] = changing

    def _await_answer(self, session: _Session, record: OperationDecided) -> None:
        group = self._group(session.place, record.accesses)
        group.statements += 1
        group.masks.update(line.rpartition(" (")[0] for line in record.masked)
        session.answers[record.number] = Answer(record.number, group, record.masked)
        if len(session.answers) > MAX_OPEN_ANSWERS:
            session.answers.popitem(last=False)[1].settle(self._budget)

    def _group(self, place: str, accesses: tuple[str, ...]) -> Answers:
        relations = tuple(sorted({found[1] for access in accesses if (found := _DELIVERING.search(access))}))
        return self._answers.setdefault((place, relations), Answers(place, relations))

    def _completed(self, record: OperationCompleted) -> None:
        session = self._sessions[record.session]
        session.rows += record.rows
        session.bytes_sent += record.bytes_sent
        if (answer := session.answers.get(record.number)) is not None:
            answer.completed = record
            answer.group.bytes_sent += record.bytes_sent
        if session.on_host:
            self._commands.completed(record)
        accesses = self._accesses.pop((record.session, record.number), ())
        if record.status == OutcomeStatus.COMPLETED.value:
            self._changed(session.place, accesses, record.tag)
        elif record.status == OutcomeStatus.INTERRUPTED.value:
            self._uncounted += bool(accesses)

    def _changed(self, place: str, accesses: tuple[str, ...], tag: str) -> None:
        _, blank, last = tag.rpartition(" ")
        rows = int(last) if blank and last.isdecimal() else 0
        for access in accesses:
            counts = self._changes.setdefault((place, access), [0, 0])
            counts[0] += 1
            counts[1] += rows

    def _told(self, playback: SessionPlayback, frame: Frame | None, lines: list[TranscriptLine]) -> None:
        session = self._sessions[playback.opened.session]
        if frame is not None and frame.direction is Direction.REQUEST:
            return
        self._data(session, lines)
        if frame is None or not frame.number:
            return
        self._settle_before(session, frame.number)
        answer = session.answers.get(frame.number)
        for line in lines:
            if line.kind is TranscriptKind.COLUMNS:
                playback.columns(line)
            elif line.kind is TranscriptKind.ROW and answer is not None:
                answer.row(playback.columns(), line.values, self._fingerprint)

    def _data(self, session: _Session, lines: list[TranscriptLine]) -> None:
        """Data of answers; they can be told behind the answer's last frame."""
        for line in lines:
            answer = session.answers.get(line.number)
            if line.kind is TranscriptKind.DATA and answer is not None:
                answer.data(line.fields if isinstance(line, DocumentLine) else (), self._fingerprint)

    def _settle_before(self, session: _Session, number: int) -> None:
        """Answers come in order: one whose outcome is known is over when a later one begins."""
        while session.answers:
            answer = next(iter(session.answers.values()))
            if answer.number >= number or answer.completed is None:
                return
            session.answers.popitem(last=False)
            answer.settle(self._budget)

    # ------------------------------------------------------------ refusals and approvals

    def _refused(self, where: str, verb: str, message: str, rules: tuple[str, ...], entry: Entry) -> None:
        key = (where, verb, message, rules)
        if key not in self._refusals and len(self._refusals) >= MAX_REFUSALS:
            key = ("", "", "other refusals, too many to tell apart", ())
        times = self._refusals.setdefault(key, [0, entry.time_ns, entry.time_ns])
        times[0] += 1
        times[2] = entry.time_ns

    def _approval(self, record: ApprovalRequested | ApprovalVoted | ApprovalSettled, entry: Entry) -> None:
        if isinstance(record, ApprovalRequested):
            self._approvals[record.approval] = ApprovalExposure(
                record.approval, record.session, record.number, entry.time_ns, record.rules, "pending", (), False
            )
            return
        before = self._approvals.get(record.approval)
        if before is None:
            return
        if isinstance(record, ApprovalVoted):
            vote = f"{record.reviewer} {record.verdict}: {record.reason}"
            changed = msgspec.structs.replace(before, votes=(*before.votes, vote))
        else:
            used = before.used or record.status == "spent"
            changed = msgspec.structs.replace(before, status=record.status, used=used)
        self._approvals[record.approval] = changed

    # ------------------------------------------------------------ the report

    def report(self, related: tuple[RelatedPrincipal, ...]) -> ExposureReport:
        """There are no more entries: what is known, with others who had something in common."""
        for playback, lines in self._playbacks.finish():
            self._told(playback, None, lines)
        for session in self._sessions.values():
            for answer in session.answers.values():
                answer.settle(self._budget)
            session.answers.clear()
        sessions = sorted((session.exposed() for session in self._sessions.values()), key=lambda one: one.session)
        groups = sorted(self._answers.items())
        return ExposureReport(
            incident=self._incident,
            since_ns=self._since_ns,
            first=self._first,
            last=self._last,
            sessions=tuple(sessions),
            statements=self._statements,
            statements_denied=sum(session.denied for session in sessions),
            statements_held=self._held,
            rows=sum(group.rows for _, group in groups),
            bytes_sent=sum(session.bytes_sent for session in sessions),
            exposed=tuple(group.exposure() for _, group in groups if group.told),
            changes=tuple(ChangeExposure(*key, *counts) for key, counts in sorted(self._changes.items())),
            refusals=tuple(_refusal(key, times) for key, times in sorted(self._refusals.items())),
            approvals=tuple(approval for _, approval in sorted(self._approvals.items())),
            related=related,
            problems=tuple(self._problems()),
            commands=self._commands.exposures(),
        )

    def _problems(self) -> list[str]:
        """What is not known."""
        playbacks, unseen = self._playbacks, sum(group.unseen for group in self._answers.values())
        unread = sum(group.unread for group in self._answers.values())
        found = [f"session {session}: its answers could not be read: {why}" for session, why in playbacks.problems]
        still = [session for session, counted in sorted(self._sessions.items()) if counted.status == "open"]
        if still:
            found.append(f"sessions that are still open, or were when this ends: {', '.join(still)}")
        if unseen:
            found.append(f"the values of {unseen} rows were not kept, or came as COPY data: no column counts them")
        if unread:
            found.append(f"{unread} answers held neither rows nor documents: no column counts what was in them")
        if playbacks.gap_bytes:
            found.append(f"{playbacks.gap_bytes} bytes were counted but not kept in recordings")
        if playbacks.forgotten:
            found.append(f"{playbacks.forgotten} chunks of recordings came too late to be looked at")
        if self._uncounted:
            found.append(f"whether {self._uncounted} interrupted statements took effect at the target is not known")
        return found


def _refusal(key: tuple[str, str, str, tuple[str, ...]], times: list[int]) -> RefusalExposure:
    return RefusalExposure(*key, *times)
