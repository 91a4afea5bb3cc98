"""Incidents: what can be asked of them and what is answered.

A value that is looked for is in the body of a request only, and in no ``repr``.
"""

from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Permission, Route
from interlock.core.administration.evidence import END_OF_TIME_S, READING_S, Limit, Number, Seconds
from interlock.core.administration.locks import MAX_SUBJECT_CHARACTERS, Reason
from interlock.core.incident import ExposureReport, Incident, TimelineItem, ValueSearch
from interlock.core.lock import LockMode, LockReceipt, LockSubject

_RESPONDERS: Final = (Permission.RESPOND,)
_READERS: Final = (Permission.RESPOND, Permission.AUDIT)

IncidentId = Annotated[str, Meta(pattern="^[0-9a-z]{1,26}$")]
SOME_DAYS: Final = 30
"""How many days before it was opened an incident looks at, unless somebody says otherwise."""


class OpenedIncident(msgspec.Struct, frozen=True):
    """A new incident, and what its lock did; ``receipt`` is None when there is none.

    ``about`` is the subject in words; ``warning`` says why nobody is locked although somebody should be.
    """

    id: str
    about: str
    receipt: LockReceipt | None = None
    warning: str = ""


class ClosedIncident(msgspec.Struct, frozen=True):
    """A closed incident, with its locks: those that were lifted and those that stay in force."""

    id: str
    lifted: tuple[str, ...]
    in_force: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class IncidentPage(msgspec.Struct, frozen=True):
    """Incidents, the newest first; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[Incident, ...]
    next: str = ""


class Timeline(msgspec.Struct, frozen=True):
    """What happened, in order; ``next`` is what to give as ``after`` for more, empty at the end."""

    incident: Incident
    items: tuple[TimelineItem, ...]
    next: str = ""


class RenderedReport(msgspec.Struct, frozen=True):
    """An exposure report, and the same for people. The same evidence gives the same bytes."""

    report: ExposureReport
    text: str
    html: str


class BundleMade(msgspec.Struct, frozen=True):
    """A bundle that the gateway keeps until the next one of the incident. ``sha256`` is of the whole file."""

    incident: str
    size_bytes: int
    sha256: str
    entries: int
    sessions: int


class BundlePiece(msgspec.Struct, frozen=True):
    """Bytes of a bundle from the offset that was asked for; ``end`` says that there are no more."""

    data: bytes
    end: bool


class OpenIncident(Command[OpenedIncident], frozen=True, tag="incidents.open"):
    """Begin to deal with somebody or something: lock it, unless ``mode`` is null, and keep track."""

    route: ClassVar = Route("POST", "/v1/incidents", _RESPONDERS)

    subject_kind: LockSubject
    reason: Reason
    subject: Annotated[str, Meta(max_length=MAX_SUBJECT_CHARACTERS)] = ""
    mode: LockMode | None = LockMode.REFUSE


class ListIncidents(Command[IncidentPage], frozen=True, tag="incidents.list"):
    """Incidents, open ones or all."""

    route: ClassVar = Route("GET", "/v1/incidents", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    open_only: bool = False
    limit: Limit = 100
    after: Number = ""


class ShowIncident(Command[Timeline], frozen=True, tag="incidents.show"):
    """What happened around an incident: sessions, statements, refusals, approvals, locks, commands."""

    route: ClassVar = Route("GET", "/v1/incidents/{id}", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: IncidentId
    since_s: Seconds | None = None
    limit: Limit = 1000
    after: Number = ""


class ReportIncident(Command[RenderedReport], frozen=True, tag="incidents.report"):
    """What an incident's sessions were given and did."""

    route: ClassVar = Route("GET", "/v1/incidents/{id}/report", _READERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: IncidentId
    since_s: Seconds | None = None


class BundleIncident(Command[BundleMade], frozen=True, tag="incidents.bundle"):
    """Make a signed archive of an incident's evidence and reports; ``ReadBundle`` gives it out."""

    route: ClassVar = Route("POST", "/v1/incidents/{id}/bundle", _RESPONDERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: IncidentId
    since_s: Seconds | None = None


class ReadBundle(Command[BundlePiece], frozen=True, tag="incidents.read-bundle"):
    """A piece of the newest bundle of an incident; ``sha256`` is that of the whole, so that it is always the same."""

    route: ClassVar = Route("GET", "/v1/incidents/{id}/bundle", _RESPONDERS)

    id: IncidentId
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    offset: Annotated[int, Meta(ge=0)] = 0


class CloseIncident(Command[ClosedIncident], frozen=True, tag="incidents.close"):
    """Be done with an incident. Its locks stay in force, unless they are to be lifted too."""

    route: ClassVar = Route("POST", "/v1/incidents/{id}/close", _RESPONDERS)
    answer_timeout_s: ClassVar[float] = READING_S

    id: IncidentId
    reason: Reason
    lift_locks: bool = False


class FindValue(Command[ValueSearch], frozen=True, tag="incidents.did-it-leave"):
    """Whether a value was in an answer that was delivered; in one incident's sessions, or in all that are wanted."""

    route: ClassVar = Route("POST", "/v1/incidents/did-it-leave", _RESPONDERS)
    answer_timeout_s: ClassVar[float] = READING_S

    value: Annotated[str, Meta(min_length=1, max_length=10_000)]
    incident: Annotated[str, Meta(pattern="^[0-9a-z]{0,26}$")] = ""
    principal: str = ""
    connection: str = ""
    since_s: Seconds = 0.0
    until_s: Seconds = END_OF_TIME_S

    def __repr__(self) -> str:
        return "FindValue(...)"
