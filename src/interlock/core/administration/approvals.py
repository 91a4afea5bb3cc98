"""Approvals: what can be asked of them and what is answered."""

from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Permission, Route
from interlock.core.approval import ApprovalRequest, ApprovalStatus, ApprovalView, Bypass, Rehearsal

_READERS = (Permission.REVIEW, Permission.RESPOND, Permission.AUDIT)
MAX_BYPASS_S: Final = 3600
Digest = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]


class ApprovalPage(msgspec.Struct, frozen=True):
    """Requests, the newest first; ``next`` is what to give as ``after`` for more, empty at the end.

    ``bypasses`` are in force now: whatever they cover, nobody is asked about.
    """

    items: tuple[ApprovalRequest, ...]
    next: str = ""
    bypasses: tuple[Bypass, ...] = ()


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


class BypassApprovals(Command[Bypass], frozen=True, tag="approvals.bypass"):
    """Say yes to a request, and for ``lasts_s`` seconds to whatever the same rules hold of the same identity there."""

    route: ClassVar = Route("POST", "/v1/approvals/{id}/bypass", (Permission.REVIEW,))

    id: str
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    lasts_s: Annotated[int, Meta(ge=1, le=MAX_BYPASS_S)]


class EndBypass(Command[Bypass], frozen=True, tag="approvals.end-bypass"):
    """Have people asked again before the time."""

    route: ClassVar = Route("POST", "/v1/bypasses/{id}/end", (Permission.REVIEW, Permission.RESPOND))

    id: str
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
