"""Searching the ledger: operations by what was asked, and entries by what happened."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from interlock.core.chain import Entry
from interlock.core.evidence import SearchHit
from interlock.core.ledger import OperationDecided, SessionClosed, SessionOpened
from interlock.core.run import is_run
from interlock.services.evidence.archive import SessionKeys, SessionOpener


class SearchQuery(msgspec.Struct, frozen=True):
    """Which operations are wanted; an empty field wants all.

    ``text`` is looked for in the request's text and parameters, whatever its case; with ``answers`` in what came back,
    too, as transcripts have it, which takes its time. The others are compared whole.
    ``run`` is what clients say that they are part of. ``after`` is an entry that what is wanted must come after.
    """

    text: str = ""
    principal: str = ""
    connection: str = ""
    verb: str = ""
    decision: str = ""
    session: str = ""
    since_ns: int = 0
    until_ns: int = 1 << 63
    after: int = -1
    run: str = ""
    answers: bool = False

    def wants_session(self, opened: SessionOpened) -> bool:
        """Whether operations of this session can be wanted."""
        return (
            (not self.principal or opened.is_of(self.principal))
            and self.connection in ("", opened.connection)
            and self.session in ("", opened.session)
            and is_run(opened.trace, self.run)
        )

    def wants_decision(self, decided: OperationDecided, entry: Entry) -> bool:
        """Whether the operation is wanted, as far as its entry can tell without a key."""
        return (
            entry.sequence > self.after
            and self.since_ns <= entry.time_ns < self.until_ns
            and self.decision in ("", decided.decision)
            and (not self.verb or self.verb.casefold() == decided.verb.casefold())
        )


class AuditQuery(msgspec.Struct, frozen=True):
    """Which entries are wanted; an empty field wants all.

    ``kind`` is a record's name or its first part (``session`` for ``session.opened``); ``text`` is looked for in its
    fields, whatever its case. Sealed requests are not opened. ``after`` is an entry that they must come after.
    """

    kind: str = ""
    text: str = ""
    since_ns: int = 0
    until_ns: int = 1 << 63
    after: int = -1

    def wants(self, entry: Entry) -> bool:
        """Whether the entry is wanted."""
        if entry.sequence <= self.after or not self.since_ns <= entry.time_ns < self.until_ns:
            return False
        if self.kind and not f"{kind_of(entry)}.".startswith(f"{self.kind}."):
            return False
        return not self.text or self.text.casefold() in str(msgspec.to_builtins(entry.record)).casefold()


class _Known(msgspec.Struct):
    """A session that is being searched."""

    opened: SessionOpened
    opener: SessionOpener
    answered: frozenset[int] | None = None
    """The operations whose answer has the text, once that is known."""


def kind_of(entry: Entry) -> str:
    """The name of what happened."""
    return str(type(entry.record).__struct_config__.tag)


Answered = Callable[[str], frozenset[int]]
"""The operations of a session in whose answers something was found."""


def search_operations(
    entries: Iterable[Entry], query: SearchQuery, keys: SessionKeys, answered: Answered
) -> Iterator[SearchHit]:
    """The wanted operations. Only sessions that are open at a time are kept in memory."""
    known: dict[str, _Known] = {}
    for entry in entries:
        record = entry.record
        if isinstance(record, SessionOpened):
            if query.wants_session(record):
                key = keys.reveal(record.session, record.wrapped_key)
                known[record.session] = _Known(record, keys.opener(record.session, key))
        elif isinstance(record, SessionClosed):
            known.pop(record.session, None)
        elif (
            isinstance(record, OperationDecided)
            and record.session in known
            and (hit := _hit(entry, record, known[record.session], query, answered))
        ):
            yield hit


def _hit(
    entry: Entry, decided: OperationDecided, known: _Known, query: SearchQuery, answered: Answered
) -> SearchHit | None:
    if not query.wants_decision(decided, entry):
        return None
    request = known.opener.unseal_request(decided.number, decided.sealed)
    text = request.text.decode(errors="replace")
    haystack = f"{text}\n{request.parameters.decode(errors='replace')}".casefold()
    if query.text.casefold() not in haystack:
        if not query.answers:
            return None
        known.answered = answered(decided.session) if known.answered is None else known.answered
        if decided.number not in known.answered:
            return None
    return SearchHit(
        session=decided.session,
        number=decided.number,
        sequence=entry.sequence,
        at_ns=entry.time_ns,
        principal=known.opened.principal,
        connection=known.opened.connection,
        verb=decided.verb,
        decision=decided.decision,
        message=decided.message,
        rules=decided.rules,
        text=text,
        trace=known.opened.trace,
        acting=known.opened.acting_lines,
    )
