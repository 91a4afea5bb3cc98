"""The commands about approvals. Who may give them is decided before; whose answer counts, the board decides.

Whoever looks at a statement is on record before it is shown.
"""

from collections.abc import Callable, Mapping
from typing import Any

from interlock.core.administration.approvals import (
    ApprovalPage,
    Approve,
    BypassApprovals,
    Deny,
    EndBypass,
    ListApprovals,
    Rehearse,
    ShowApproval,
)
from interlock.core.administration.base import Command
from interlock.core.administration.requests import tag_of
from interlock.core.approval import ApprovalRequest, ApprovalView, Bypass, Rehearsal
from interlock.core.errors import AdministrationRefused, NotFound
from interlock.core.identity import Actor
from interlock.core.ledger import AdministrationChanged
from interlock.services.administration import Handler
from interlock.services.approvals.board import Approvals
from interlock.services.approvals.rehearsals import Rehearsals
from interlock.services.approvals.view import view_of
from interlock.services.evidence.archive import Transcriber
from interlock.services.ports import Ledger


class ApprovalRoom:
    """Implements ``services.administration.Room``."""

    def __init__(
        self,
        approvals: Approvals,
        ledger: Ledger,
        transcriber: Transcriber,
        link_of: Callable[[str], str],
        rehearsals: Rehearsals | None = None,
    ) -> None:
        """Without ``rehearsals`` nothing can be rehearsed: no gateway is running."""
        self._approvals = approvals
        self._ledger = ledger
        self._rehearsals = rehearsals
        self._transcriber = transcriber
        self._link_of = link_of

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {
            ListApprovals: self._list,
            ShowApproval: self._show,
            Approve: self._approve,
            Deny: self._deny,
            Rehearse: self._rehearse,
            BypassApprovals: self._bypass,
            EndBypass: self._end_bypass,
        }

    async def _list(self, command: ListApprovals, _actor: Actor) -> ApprovalPage:
        found = self._approvals.recent(command.status, command.limit + 1, command.after)
        more = len(found) > command.limit
        items = tuple(found[: command.limit])
        return ApprovalPage(items, items[-1].id if more else "", self._approvals.bypasses())

    async def _show(self, command: ShowApproval, actor: Actor) -> ApprovalView:
        found = self._approvals.question(command.id)
        if found is None:
            raise NotFound(f"there is no request {command.id!r}")
        request, question = found
        accepted = self._ledger.append(
            AdministrationChanged(actor.name, "evidence.read", request.id, tag_of(ShowApproval))
        )
        if accepted is not None:
            await accepted
        seen = self._rehearsals.of(request, actor) if self._rehearsals is not None else None
        return view_of(request, question, self._transcriber, self._link_of, seen)

    async def _approve(self, command: Approve, actor: Actor) -> ApprovalRequest:
        return await self._approvals.vote(
            command.id, actor, approves=True, reason=command.reason, digest=command.digest
        )

    async def _deny(self, command: Deny, actor: Actor) -> ApprovalRequest:
        return await self._approvals.vote(command.id, actor, approves=False, reason=command.reason)

    async def _rehearse(self, command: Rehearse, actor: Actor) -> Rehearsal:
        if self._rehearsals is None:
            raise AdministrationRefused("this takes a running gateway, and none is running here")
        return await self._rehearsals.rehearse(command.id, actor)

    async def _bypass(self, command: BypassApprovals, actor: Actor) -> Bypass:
        return await self._approvals.bypass(command.id, actor, reason=command.reason, lasts_s=command.lasts_s)

    async def _end_bypass(self, command: EndBypass, actor: Actor) -> Bypass:
        return await self._approvals.end_bypass(command.id, actor.name, command.reason)
