"""Evidence over the API: a page at a time, read aside, and on record where it shows what was asked or answered.

Reading takes files and the processor's time, so it runs in worker threads, few at a time. Nothing in here changes
evidence, and no text that is searched for is put on record: it may be what nobody should see.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from interlock.core.administration import Command
from interlock.core.administration.evidence import (
    LedgerEntry,
    LedgerPage,
    ListOperations,
    ListSessions,
    OperationItem,
    OperationPage,
    ReadTerminal,
    ReadTranscript,
    SearchLedger,
    SearchOperations,
    SearchPage,
    SessionPage,
    ShowSession,
    TerminalPage,
    TranscriptPage,
    Verification,
    VerifyLedger,
)
from interlock.core.administration.requests import tag_of
from interlock.core.chain import Entry
from interlock.core.errors import InvalidCommand, NotFound, UnknownSession
from interlock.core.evidence import SearchHit, SessionSummary
from interlock.core.identity import Actor
from interlock.core.ledger import AdministrationChanged
from interlock.core.recording import TranscriptLine
from interlock.core.session import is_session_id
from interlock.core.terminal_event import TerminalEvent
from interlock.services.administration import Handler
from interlock.services.evidence.search import AuditQuery, SearchQuery, kind_of
from interlock.services.evidence.service import EvidenceService
from interlock.services.evidence.sessions import SessionFilter
from interlock.services.evidence.telling import OperationView
from interlock.services.ports import Ledger

READERS: Final = 2
"""Commands that read at a time; others wait for their turn."""
MAX_PAGE_BYTES: Final = 4 << 20
"""A page ends when it has so much text, however few items that are."""

SEALED: Final = frozenset({"sealed", "wrapped_key"})
"""Fields of records that hold what is encrypted."""

T = TypeVar("T")


class EvidenceCommands:
    """Implements ``administration.Room`` over one gateway's evidence."""

    def __init__(self, evidence: EvidenceService, ledger: Ledger) -> None:
        self._evidence = evidence
        self._ledger = ledger
        self._turns = asyncio.Semaphore(READERS)
        self.handlers: Mapping[type[Command[Any]], Handler] = {
            ListSessions: self._list_sessions,
            ShowSession: self._show_session,
            ListOperations: self._list_operations,
            ReadTranscript: self._read_transcript,
            ReadTerminal: self._read_terminal,
            SearchOperations: self._search_operations,
            SearchLedger: self._search_ledger,
            VerifyLedger: self._verify,
        }

    async def _list_sessions(self, command: ListSessions, _actor: Actor) -> SessionPage:
        wanted = SessionFilter(
            command.principal,
            command.connection,
            command.status,
            _ns(command.since_s),
            _ns(command.until_s),
            int(command.after) if command.after else 1 << 63,
            command.run,
        )
        found = await self._aside(lambda: self._evidence.sessions(wanted, command.limit + 1))
        items = tuple(reversed(found))[: command.limit]
        return SessionPage(items, str(items[-1].sequence) if len(found) > command.limit else "")

    async def _show_session(self, command: ShowSession, _actor: Actor) -> SessionSummary:
        return await self._aside(lambda: self._evidence.summary(self._find(command.id)))

    async def _list_operations(self, command: ListOperations, actor: Actor) -> OperationPage:
        await self._record(actor, command, command.id)

        def read() -> OperationPage:
            views = self._evidence.operations(self._find(command.id), int(command.after or -1))
            return OperationPage(*_page(map(_operation, views), command.limit, lambda item: item.sequence, _item_bytes))

        return await self._aside(read)

    async def _read_transcript(self, command: ReadTranscript, actor: Actor) -> TranscriptPage:
        return TranscriptPage(*await self._told(command, actor, self._evidence.transcript, _size))

    async def _read_terminal(self, command: ReadTerminal, actor: Actor) -> TerminalPage:
        return TerminalPage(*await self._told(command, actor, self._terminal, lambda event: len(event.text)))

    def _terminal(self, session: str) -> Iterator[TerminalEvent]:
        if not self._evidence.has_terminal(session):
            raise InvalidCommand("this session was on no terminal: read its transcript")
        return self._evidence.terminal(session)

    async def _told(
        self,
        command: ReadTranscript | ReadTerminal,
        actor: Actor,
        tell: Callable[[str], Iterator[T]],
        size: Callable[[T], int],
    ) -> tuple[tuple[T, ...], str]:
        """A page of what is told of a session."""
        await self._record(actor, command, command.id)
        start = int(command.after or 0)

        def read() -> tuple[tuple[T, ...], str]:
            told = enumerate(tell(self._find(command.id)), 1)
            rest = ((number, each) for number, each in told if number > start)
            items, cursor = _page(rest, command.limit, lambda numbered: numbered[0], lambda numbered: size(numbered[1]))
            return tuple(each for _, each in items), cursor

        return await self._aside(read)

    async def _search_operations(self, command: SearchOperations, actor: Actor) -> SearchPage:
        await self._record(actor, command, command.session, _filters(command))

        def read() -> SearchPage:
            query = SearchQuery(
                command.text,
                command.principal,
                command.connection,
                command.verb,
                command.decision,
                self._find(command.session) if command.session else "",
                _ns(command.since_s),
                _ns(command.until_s),
                int(command.after or -1),
                command.run,
                command.answers,
            )
            hits = self._evidence.search(query)
            return SearchPage(*_page(hits, command.limit, lambda hit: hit.sequence, _hit_bytes))

        return await self._aside(read)

    async def _search_ledger(self, command: SearchLedger, actor: Actor) -> LedgerPage:
        await self._record(actor, command, "", _filters(command))
        query = AuditQuery(
            command.kind, command.text, _ns(command.since_s), _ns(command.until_s), int(command.after or -1)
        )

        def read() -> LedgerPage:
            entries = map(ledger_entry, self._evidence.audit(query))
            return LedgerPage(*_page(entries, command.limit, lambda entry: entry.sequence, _entry_bytes))

        return await self._aside(read)

    async def _verify(self, _command: VerifyLedger, _actor: Actor) -> Verification:
        report = await self._aside(self._evidence.verify)
        return Verification(report.ok, report)

    async def _aside(self, read: Callable[[], T]) -> T:
        """Read in a worker thread. Raises EvidenceError, NotFound."""
        try:
            async with self._turns:
                return await asyncio.to_thread(read)
        except UnknownSession as error:
            raise NotFound(str(error)) from None

    def _find(self, session: str) -> str:
        """The session that an id, or enough of its beginning, stands for. Raises UnknownSession."""
        return session if is_session_id(session) else self._evidence.resolve(session)

    async def _record(self, actor: Actor, command: Command[Any], subject: str, filters: str = "") -> None:
        """Put reading on the ledger and wait until it is accepted. Raises LedgerUnavailable."""
        detail = f"{tag_of(type(command))}{filters}"
        accepted = self._ledger.append(AdministrationChanged(actor.name, "evidence.read", subject, detail))
        if accepted is not None:
            await accepted


def ledger_entry(entry: Entry) -> LedgerEntry:
    """An entry for people, without what is sealed."""
    fields = msgspec.to_builtins(entry.record)
    shown = {name: value for name, value in fields.items() if name not in SEALED and name != "kind"}
    return LedgerEntry(entry.sequence, entry.time_ns, kind_of(entry), entry.prev.hex(), shown)


def _operation(view: OperationView) -> OperationItem:
    decided, completed, request = view.decided, view.completed, view.request
    item = OperationItem(
        number=decided.number,
        sequence=view.sequence,
        at_ns=view.at_ns,
        phase=decided.phase,
        verb=decided.verb,
        decision=decided.decision,
        rules=decided.rules,
        policy=decided.policy,
        message=decided.message,
        accesses=decided.accesses,
        masked=decided.masked,
        digest=decided.digest.hex(),
        text=request.text.decode(errors="replace"),
        text_bytes=request.text_bytes,
        parameter_bytes=request.parameter_bytes,
        forwarded=request.forwarded.decode(errors="replace"),
    )
    if completed is None:
        return item
    return msgspec.structs.replace(
        item,
        status=completed.status,
        tag=completed.tag,
        code=completed.code,
        rows=completed.rows,
        masked_values=completed.masked_values,
        found=dict(completed.found),
        tokens=completed.tokens,
    )


def _page(
    found: Iterator[T], limit: int, place: Callable[[T], int], size: Callable[[T], int]
) -> tuple[tuple[T, ...], str]:
    """As many as may be on one page, at least one if there is any, and where the next page begins."""
    items: list[T] = []
    room = MAX_PAGE_BYTES
    for item in found:
        room -= size(item)
        if items and (len(items) >= limit or room < 0):
            return tuple(items), str(place(items[-1]))
        items.append(item)
    return tuple(items), ""


def _size(line: TranscriptLine) -> int:
    return len(line.text) + sum(len(value) for value in line.values if value)


def _item_bytes(item: OperationItem) -> int:
    return len(item.text) + len(item.forwarded)


def _hit_bytes(hit: SearchHit) -> int:
    return len(hit.text)


def _entry_bytes(entry: LedgerEntry) -> int:
    return sum(len(value) for value in entry.record.values() if isinstance(value, str))


def _filters(command: SearchOperations | SearchLedger) -> str:
    """What is searched by, without the text."""
    given = ((field.name, getattr(command, field.name), field.default) for field in msgspec.structs.fields(command))
    return "".join(
        f", {name}{'' if name == 'text' else f' {value}'}" for name, value, default in given if value != default
    )


def _ns(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1000
