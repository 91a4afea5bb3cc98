"""The evidence of a gateway elsewhere, read through its API: what the commands show of it, page by page.

What the gateway keeps sealed does not come this way: it is empty here.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from interlock.core.administration import AnswerT, Command
from interlock.core.administration.evidence import (
    END_OF_TIME_S,
    LedgerEntry,
    ListOperations,
    ListSessions,
    OperationItem,
    ReadTerminal,
    ReadTranscript,
    SearchLedger,
    SearchOperations,
    ShowSession,
    VerifyLedger,
)
from interlock.core.chain import Entry
from interlock.core.checkpoint import VerifierKey
from interlock.core.errors import ConfigurationError, EvidenceError, InvalidCommand, NotFound
from interlock.core.evidence import SearchHit, SessionSummary, VerificationReport
from interlock.core.ledger import AnyRecord, OperationCompleted, OperationDecided
from interlock.core.recording import SealedRequest, TranscriptLine
from interlock.core.terminal_event import TerminalEvent
from interlock.services.evidence import AuditQuery, OperationView, SearchQuery, SessionFilter

_MAX_PAGE = 1000
_SEALED = {"sealed": b"", "wrapped_key": b""}

ItemT = TypeVar("ItemT", covariant=True)


class Page(Protocol[ItemT]):
    """Any page of a list."""

    @property
    def items(self) -> tuple[ItemT, ...]: ...

    @property
    def next(self) -> str: ...


class Ask(Protocol):
    """``Workbench.administer``."""

    def __call__(self, command: Command[AnswerT], /) -> AnswerT: ...


class RemoteEvidence:
    """Implements ``workbench.EvidenceReader``."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def sessions(self, wanted: SessionFilter, limit: int) -> list[SessionSummary]:
        """The newest sessions, oldest first."""
        since_s, until_s = _seconds(wanted.since_ns), _seconds(wanted.until_ns)

        def page(after: str, size: int) -> Page[SessionSummary]:
            command = ListSessions(
                wanted.principal,
                wanted.connection,
                wanted.status,
                since_s,
                until_s,
                limit=size,
                after=after,
                run=wanted.run,
            )
            return self._ask(command)

        return list(_pages(page, limit))[::-1]

    def resolve(self, prefix: str) -> str:
        """The one session whose id starts with ``prefix``. Raises EvidenceError."""
        return self.summary(prefix).session

    def summary(self, session: str) -> SessionSummary:
        """What is known of one session. Raises EvidenceError."""
        try:
            return self._ask(ShowSession(session))
        except NotFound as error:
            raise EvidenceError(str(error)) from None

    def operations(self, session: str) -> Iterator[OperationView]:
        """The session's operations in order."""
        items = _pages(lambda after, size: self._ask(ListOperations(session, limit=size, after=after)))
        return (_view(session, item) for item in items)

    def transcript(self, session: str) -> Iterator[TranscriptLine]:
        """What was asked and what came back."""
        return _pages(lambda after, size: self._ask(ReadTranscript(session, limit=size, after=after)))

    def has_terminal(self, session: str) -> bool:
        """Whether the session was on a terminal."""
        try:
            self._ask(ReadTerminal(session, limit=1))
        except InvalidCommand:
            return False
        return True

    def terminal(self, session: str) -> Iterator[TerminalEvent]:
        """What happened at the session's terminals."""
        return _pages(lambda after, size: self._ask(ReadTerminal(session, limit=size, after=after)))

    def search(self, query: SearchQuery) -> Iterator[SearchHit]:
        """The operations that match, in order."""
        command = SearchOperations(
            query.text,
            query.principal,
            query.connection,
            query.verb,
            query.decision,
            query.session,
            _seconds(query.since_ns),
            _seconds(query.until_ns),
            run=query.run,
            answers=query.answers,
        )
        return _pages(
            lambda after, size: self._ask(msgspec.structs.replace(command, limit=size, after=after)), first=100
        )

    def audit(self, query: AuditQuery) -> Iterator[Entry]:
        """The ledger's entries that match, in order."""
        command = SearchLedger(query.kind, query.text, _seconds(query.since_ns), _seconds(query.until_ns))
        items = _pages(
            lambda after, size: self._ask(msgspec.structs.replace(command, limit=size, after=after)), first=100
        )
        return map(_entry, items)

    def verify(self, key: VerifierKey | None = None, pinned: Sequence[str] = ()) -> VerificationReport:
        """What the gateway says about its own evidence. Raises ConfigurationError when it is to prove more."""
        if key is not None or pinned:
            raise ConfigurationError("a key and checkpoints are compared with evidence on this machine, not with --api")
        return self._ask(VerifyLedger()).report


def _pages(ask: Callable[[str, int], Page[ItemT]], limit: int | None = None, first: int = _MAX_PAGE) -> Iterator[ItemT]:
    """All items, or so many, a page at a time as they are taken; the first page may be a smaller one."""
    after, taken, size = "", 0, first
    while limit is None or taken < limit:
        page = ask(after, size if limit is None else min(size, limit - taken))
        yield from page.items
        taken += len(page.items)
        after, size = page.next, _MAX_PAGE
        if not after:
            return


def _view(session: str, item: OperationItem) -> OperationView:
    decided = OperationDecided(
        session=session,
        number=item.number,
        phase=item.phase,
        verb=item.verb,
        decision=item.decision,
        rules=item.rules,
        policy=item.policy,
        message=item.message,
        accesses=item.accesses,
        digest=bytes.fromhex(item.digest),
        sealed=b"",
        masked=item.masked,
    )
    request = SealedRequest(item.text.encode(), b"", item.text_bytes, item.parameter_bytes, item.forwarded.encode())
    return OperationView(item.at_ns, item.sequence, decided, request, _completed(session, item))


def _completed(session: str, item: OperationItem) -> OperationCompleted | None:
    if not item.status:
        return None
    return OperationCompleted(
        session=session,
        number=item.number,
        status=item.status,
        tag=item.tag,
        code=item.code,
        rows=item.rows,
        bytes_sent=0,
        masked_values=item.masked_values,
        found=tuple(item.found.items()),
        tokens=item.tokens,
    )


def _entry(item: LedgerEntry) -> Entry:
    """The entry, with nothing where something is sealed. Raises EvidenceError for a record of a newer gateway."""
    fields: dict[str, Any] = {**_SEALED, **item.record, "kind": item.kind}
    try:
        record: AnyRecord = msgspec.convert(fields, AnyRecord)
    except msgspec.ValidationError as error:
        raise EvidenceError(f"entry {item.sequence} is of a gateway that this command does not know: {error}") from None
    return Entry(item.sequence, item.at_ns, bytes.fromhex(item.prev), record)


def _seconds(time_ns: int) -> float:
    return min(time_ns / 1e9, END_OF_TIME_S)
