"""Incidents: what a responder deals with, what happened around it, and what it exposed.

Values only. An incident is on the ledger and nowhere else; ``services.incidents`` reads it from there.
"""

import msgspec

from interlock.core.lock import LockSubject


class Incident(msgspec.Struct, frozen=True):
    """One incident. Times are Unix nanoseconds; ``closed_ns`` is None while it is open.

    ``mode`` is that of the lock that came with it, empty for none. ``sequence`` is the entry that opened it,
    ``closed_sequence`` the one that closed it.
    """

    id: str
    subject_kind: LockSubject
    subject: str
    reason: str
    opened_by: str
    opened_ns: int
    mode: str
    sequence: int
    closed_ns: int | None = None
    closed_by: str = ""
    closed_reason: str = ""
    closed_sequence: int | None = None

    @property
    def about(self) -> str:
        """The subject in words."""
        return f"{self.subject_kind.value} {self.subject}".rstrip()


class TimelineItem(msgspec.Struct, frozen=True):
    """One thing that happened, by the ledger's entry ``sequence``; ``kind`` is the record's name, ``text`` for people.

    ``session`` is empty when it belongs to none; ``who`` is whoever did it.
    """

    sequence: int
    at_ns: int
    kind: str
    session: str
    who: str
    text: str


class ColumnExposure(msgspec.Struct, frozen=True):
    """What was delivered of one column of answers.

    ``clear``, ``masked`` and ``unclear`` count values: as they are stored, a mask in their place, and those of which
    the record does not tell which. ``distinct`` counts the different ones that were clear or unclear, by keyed
    fingerprints; ``at_least`` says that there were more than are told apart. NULL is no value, but a mask may be NULL.
    """

    name: str
    clear: int
    masked: int
    unclear: int
    distinct: int
    at_least: bool = False


class RelationExposure(msgspec.Struct, frozen=True):
    """Answers that were read from the same relations of one database.

    ``rows`` were delivered; of ``unseen`` ones the values were not kept, so the columns do not count them.
    ``masks`` are the columns that were masked in the statements, as ``schema.relation.column mask``.
    """

    database: str
    relations: tuple[str, ...]
    statements: int
    rows: int
    unseen: int
    bytes_sent: int
    masks: tuple[str, ...]
    columns: tuple[ColumnExposure, ...]


class CommandExposure(msgspec.Struct, frozen=True):
    """Commands, shells, file requests or forwardings on a host that were taken to do the same.

    ``transfers`` are files as the outcomes have them (``READ 12 bytes sha256:…``, ``LISTED 3``), ``found`` what content
    detection found in what came back, by class.
    """

    host: str
    verb: str
    accesses: tuple[str, ...]
    operations: int
    bytes_sent: int
    transfers: tuple[str, ...]
    found: tuple[tuple[str, int], ...]
    masked_values: int


class ChangeExposure(msgspec.Struct, frozen=True):
    """What was done other than reading: an action on a resource, how often, and how many rows the target counted."""

    database: str
    access: str
    statements: int
    rows: int


class RefusalExposure(msgspec.Struct, frozen=True):
    """Statements or logins that were refused for the same reason."""

    where: str
    verb: str
    message: str
    rules: tuple[str, ...]
    count: int
    first_ns: int
    last_ns: int


class ApprovalExposure(msgspec.Struct, frozen=True):
    """One request for approval: ``votes`` are ``reviewer verdict: reason``, ``used`` says that the operation ran."""

    approval: str
    session: str
    number: int
    asked_ns: int
    rules: tuple[str, ...]
    status: str
    votes: tuple[str, ...]
    used: bool


class ExposedSession(msgspec.Struct, frozen=True):
    """One session that the report is about. ``acting`` is who acts for the principal, as lines."""

    session: str
    principal: str
    owner: str
    connection: str
    database: str
    client_address: str
    run: str
    opened_ns: int
    status: str
    operations: int
    denied: int
    rows: int
    bytes_sent: int
    acting: tuple[str, ...] = ()


class RelatedPrincipal(msgspec.Struct, frozen=True):
    """Somebody with sessions in the same time that the report does not count; ``by`` says what they have in common."""

    principal: str
    by: str
    sessions: int


class ExposureReport(msgspec.Struct, frozen=True):
    """What an incident's sessions were given and did, from the ledger and the recordings. Holds no delivered value.

    It covers sessions that were open at ``since_ns`` or later, up to when the incident was closed. ``first`` and
    ``last`` are the ledger entries that it rests on. ``problems`` say what is not known.
    """

    incident: Incident
    since_ns: int
    first: int
    last: int
    sessions: tuple[ExposedSession, ...]
    statements: int
    statements_denied: int
    statements_held: int
    rows: int
    bytes_sent: int
    exposed: tuple[RelationExposure, ...]
    changes: tuple[ChangeExposure, ...]
    refusals: tuple[RefusalExposure, ...]
    approvals: tuple[ApprovalExposure, ...]
    related: tuple[RelatedPrincipal, ...]
    problems: tuple[str, ...]
    commands: tuple[CommandExposure, ...] = ()


class ValueFound(msgspec.Struct, frozen=True):
    """Answers of one operation that held the value: ``where`` a column, or what else of the answer.

    ``whole`` counts the places that were exactly the value, ``within`` those that had it among other text.
    ``acting`` is who acts for the principal, as lines.
    """

    session: str
    number: int
    at_ns: int
    principal: str
    connection: str
    where: str
    whole: int
    within: int
    acting: tuple[str, ...] = ()


class ValueSearch(msgspec.Struct, frozen=True):
    """Whether a value was delivered, as far as is known. The value itself is not in here.

    ``found`` is cut at a limit, and ``more`` says so. ``problems`` say which answers could not be looked at: without
    any, a value that was not found was in no answer as it is written.
    """

    sessions: int
    answers: int
    bytes_searched: int
    found: tuple[ValueFound, ...]
    more: bool
    problems: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """``delivered``, ``not delivered``, or ``not known`` when something could not be looked at."""
        return "delivered" if self.found else "not known" if self.problems else "not delivered"
