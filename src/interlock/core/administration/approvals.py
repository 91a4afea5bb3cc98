"""Approvals: what can be asked of them and what is answered."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Permission, Route
from interlock.core.approval import ApprovalRequest, ApprovalStatus, ApprovalView, Rehearsal

_READERS = (Permission.REVIEW, Permission.RESPOND, Permission.AUDIT)
Digest = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]


class ApprovalPage(msgspec.Struct, frozen=True):
    """Requests, the newest first; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[ApprovalRequest, ...]
    next: str = ""


class ListApprovals(Command[ApprovalPage], frozen=True, tag="approvals.list"):
    """Requests for approval, of one status or of all."""

    route: ClassVar = Route("GET", "/v1/approvals", _READERS)

    status: ApprovalStatus | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str = ""


class ShowApproval(Command[ApprovalView], frozen=True, tag="approvals.show"):
    """One request with the exact statement."""

    route: ClassVar = Route("GET", "/v1/approvals/{id}", _READERS)

    id: str


class Approve(Command[ApprovalRequest], frozen=True, tag="approvals.approve"):
    """Say yes, once, to exactly this operation. With ``digest`` only if it is still the one that was looked at."""

    route: ClassVar = Route("POST", "/v1/approvals/{id}/approve", (Permission.REVIEW,))

    id: str
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    digest: Digest = ""


class Deny(Command[ApprovalRequest], frozen=True, tag="approvals.deny"):
    """Say no."""

    route: ClassVar = Route("POST", "/v1/approvals/{id}/deny", (Permission.REVIEW,))

    id: str
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class Rehearse(Command[Rehearsal], frozen=True, tag="approvals.rehearse"):
    """Run the held statement in a transaction that stays open, and see what it does; an approval commits that one."""

    route: ClassVar = Route("POST", "/v1/approvals/{id}/rehearse", (Permission.REVIEW,))

    id: str
