"""Sessions that are open now: what can be asked of them and what is answered."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Permission, Route
from interlock.core.administration.locks import Reason
from interlock.core.lock import SessionReceipt

_READERS = (Permission.RESPOND, Permission.AUDIT)


class LiveSession(msgspec.Struct, frozen=True):
    """A session that is open on this gateway. ``state`` is ``idle``, ``running``, ``held`` or ``frozen``.

    ``doing`` is the verb of what it runs or waits for. ``acting`` is who acts for the principal, as lines
    (``agent ci:acme/crm``), the current one first. ``issuer``, ``subject``, ``login`` and ``ancestors`` are what it can
    be revoked by besides ``token_id``: whose word proved it, what it is called there, its session there, and the tokens
    that its token came from.
    """

    id: str
    protocol: str
    connection: str
    database: str
    principal_kind: str
    principal: str
    owner: str
    groups: tuple[str, ...]
    client_address: str
    application: str
    trace: str
    token_id: str
    opened_at_s: float
    state: str
    doing: str
    operations: int
    denied: int
    rows: int
    acting: tuple[str, ...] = ()
    issuer: str = ""
    subject: str = ""
    login: str = ""
    ancestors: tuple[str, ...] = ()


class LiveSessionPage(msgspec.Struct, frozen=True):
    """Open sessions, the newest first; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[LiveSession, ...]
    next: str = ""


class ListLiveSessions(Command[LiveSessionPage], frozen=True, tag="sessions.live"):
    """The sessions that are open now; ``principal`` is also who acts for somebody."""

    route: ClassVar = Route("GET", "/v1/sessions/live", _READERS)

    principal: str = ""
    connection: str = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str = ""


class KillSession(Command[SessionReceipt], frozen=True, tag="sessions.kill"):
    """Cut one session; what it runs is cancelled at the target."""

    route: ClassVar = Route("POST", "/v1/sessions/{id}/kill", (Permission.RESPOND,))

    id: str
    reason: Reason
