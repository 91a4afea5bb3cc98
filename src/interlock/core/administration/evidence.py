"""Evidence: what can be read of it while the gateway runs, and what is answered.

Reading what somebody asked or was told is on record itself.
"""

from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Permission, Route
from interlock.core.evidence import SearchHit, SessionSummary, VerificationReport
from interlock.core.recording import TranscriptLine
from interlock.core.terminal_event import TerminalEvent

_READERS: Final = (Permission.RESPOND, Permission.AUDIT)

READING_S: Final = 300.0
"""How long reading may take: a ledger can be large."""

Limit = Annotated[int, Meta(ge=1, le=1000)]
Number = Annotated[str, Meta(pattern=r"^[0-9]{0,18}$")]
Run = Annotated[str, Meta(max_length=200)]
Seconds = Annotated[float, Meta(ge=0, le=9_000_000_000)]
END_OF_TIME_S: Final = 9_000_000_000.0


class SessionPage(msgspec.Struct, frozen=True):
    """Sessions, the newest first; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[SessionSummary, ...]
    next: str = ""


class OperationItem(msgspec.Struct, frozen=True):
    """One decision on an operation, what was asked, and what came of it (empty and 0 while nothing has).

    ``text`` and ``forwarded`` are as far as they are kept; ``text_bytes`` and ``parameter_bytes`` are the full lengths.
    """

    number: int
    sequence: int
    at_ns: int
    phase: str
    verb: str
    decision: str
    rules: tuple[str, ...]
    policy: str
    message: str
    accesses: tuple[str, ...]
    masked: tuple[str, ...]
    digest: str
    text: str
    text_bytes: int
    parameter_bytes: int
    forwarded: str
    status: str = ""
    tag: str = ""
    code: str = ""
    rows: int = 0
    masked_values: int = 0
    found: dict[str, int] = {}
    tokens: int = 0


class OperationPage(msgspec.Struct, frozen=True):
    """Operations of a session in order; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[OperationItem, ...]
    next: str = ""


class TranscriptPage(msgspec.Struct, frozen=True):
    """Lines of a transcript in order; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[TranscriptLine, ...]
    next: str = ""


class TerminalPage(msgspec.Struct, frozen=True):
    """What happened at a session's terminals, in order; ``next`` is what to give as ``after`` for more, empty at the
    end."""

    items: tuple[TerminalEvent, ...]
    next: str = ""


class WatchPage(msgspec.Struct, frozen=True):
    """What is new in a session that is watched: ``terminal`` when that was asked for, else ``lines``.

    ``next`` is what to give as ``after`` for what follows; it is empty when the session is over and all was told.
    ``status`` is that of the session.
    """

    lines: tuple[TranscriptLine, ...] = ()
    terminal: tuple[TerminalEvent, ...] = ()
    next: str = ""
    status: str = ""


class SearchPage(msgspec.Struct, frozen=True):
    """Operations that were found, in order; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[SearchHit, ...]
    next: str = ""


class LedgerEntry(msgspec.Struct, frozen=True):
    """One entry of the ledger. ``record`` has the fields of its kind (see the ledger records) but what is sealed."""

    sequence: int
    at_ns: int
    kind: str
    prev: str
    record: dict[str, Any]


class LedgerPage(msgspec.Struct, frozen=True):
    """Entries in order; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[LedgerEntry, ...]
    next: str = ""


class Verification(msgspec.Struct, frozen=True):
    """Whether the evidence is as it was recorded."""

    ok: bool
    report: VerificationReport


class ListSessions(Command[SessionPage], frozen=True, tag="sessions.list"):
    """Sessions that were recorded, of one principal, connection, status or run, or all; open ones among them."""

    route: ClassVar = Route("GET", "/v1/sessions", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    principal: str = ""
    connection: str = ""
    status: Annotated[str, Meta(pattern="^(|open|closed|killed|interrupted)$")] = ""
    since_s: Seconds = 0.0
    until_s: Seconds = END_OF_TIME_S
    limit: Limit = 50
    after: Number = ""
    run: Run = ""


class ShowSession(Command[SessionSummary], frozen=True, tag="sessions.show"):
    """One session, by its id or enough of its beginning."""

    route: ClassVar = Route("GET", "/v1/sessions/{id}", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: str


class ListOperations(Command[OperationPage], frozen=True, tag="sessions.operations"):
    """What a session asked, how it was decided, and what came of it."""

    route: ClassVar = Route("GET", "/v1/sessions/{id}/operations", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: str
    limit: Limit = 100
    after: Number = ""


class ReadTranscript(Command[TranscriptPage], frozen=True, tag="sessions.transcript"):
    """What a session asked and what came back, in the order of their times."""

    route: ClassVar = Route("GET", "/v1/sessions/{id}/transcript", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: str
    limit: Limit = 1000
    after: Number = ""


class ReadTerminal(Command[TerminalPage], frozen=True, tag="sessions.terminal"):
    """What happened at the terminals of a session over SSH, in the order of its times."""

    route: ClassVar = Route("GET", "/v1/sessions/{id}/terminal", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: str
    limit: Limit = 1000
    after: Number = ""


class WatchSession(Command[WatchPage], frozen=True, tag="sessions.watch"):
    """What a session asks and is told, while it goes on: from its beginning, then as it happens.

    The answer comes when there is something new, or after ``wait_s``. Ask again with ``after``, within a minute; the
    same ``after`` gives the same answer once more. With ``terminal``, a session over SSH is told as what happened at
    its terminals.
    """

    route: ClassVar = Route("GET", "/v1/sessions/{id}/watch", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: str
    terminal: bool = False
    wait_s: Annotated[float, Meta(ge=0, le=30)] = 20.0
    after: Annotated[str, Meta(pattern=r"^([0-9a-f]{32}-[0-9]{1,18})?$")] = ""


class SearchOperations(Command[SearchPage], frozen=True, tag="operations.search"):
    """Find operations of all sessions; ``text`` is looked for in statements and parameters, whatever its case.

    With ``answers``, it is looked for in what came back, too: in rows, documents and on screens.
    """

    route: ClassVar = Route("GET", "/v1/operations", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    text: Annotated[str, Meta(max_length=1000)] = ""
    principal: str = ""
    connection: str = ""
    verb: str = ""
    decision: Annotated[str, Meta(pattern="^(|allowed|denied|held)$")] = ""
    session: str = ""
    since_s: Seconds = 0.0
    until_s: Seconds = END_OF_TIME_S
    limit: Limit = 100
    after: Number = ""
    run: Run = ""
    answers: bool = False


class SearchLedger(Command[LedgerPage], frozen=True, tag="ledger.search"):
    """Find entries of the ledger; ``kind`` is a record's name or its first part, ``text`` is looked for in fields."""

    route: ClassVar = Route("GET", "/v1/ledger/entries", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    kind: Annotated[str, Meta(max_length=100)] = ""
    text: Annotated[str, Meta(max_length=1000)] = ""
    since_s: Seconds = 0.0
    until_s: Seconds = END_OF_TIME_S
    limit: Limit = 100
    after: Number = ""


class VerifyLedger(Command[Verification], frozen=True, tag="ledger.verify"):
    """Check every hash, signature and recording of this gateway's evidence."""

    route: ClassVar = Route("POST", "/v1/ledger/verify", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S
