"""Bypasses in force: for a while, one person's word stands for the answers to what is like one request.

In memory only, so that none outlives the process. Who may give one, and what else ends it, the board says.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from interlock.core.approval import ApprovalRequest, Bypass
from interlock.core.identity import Actor
from interlock.services.approvals.terms import asker_of

MAX_USES: Final = 1000
"""So many statements a bypass lets pass; each is a request of its own in the store."""


class Standing(NamedTuple):
    """A bypass, the request that it was given at, and by whom."""

    bypass: Bypass
    request: ApprovalRequest
    actor: Actor


class Bypasses:
    """Those that have been given and not taken away."""

    def __init__(self) -> None:
        self._standing: dict[str, Standing] = {}

    def __iter__(self) -> Iterator[Standing]:
        return iter(tuple(self._standing.values()))

    def put(self, bypass: Bypass, request: ApprovalRequest, actor: Actor) -> None:
        """It is in force."""
        self._standing[bypass.id] = Standing(bypass, request, actor)

    def take(self, bypass_id: str) -> Bypass | None:
        """It is not in force any more; None when it was not."""
        standing = self._standing.pop(bypass_id, None)
        return standing.bypass if standing is not None else None

    def use(self, bypass: Bypass) -> None:
        """It has let a statement pass."""
        standing = self._standing[bypass.id]
        used = msgspec.structs.replace(standing.bypass, used=standing.bypass.used + 1)
        self._standing[bypass.id] = standing._replace(bypass=used)

    def covering(self, draft: ApprovalRequest, now_s: float) -> Standing | None:
        """One that answers a new request: of the same identity, at the same place, for no other rules and policy.

        The same one has to act for it.
        """
        wanted = {demand.rule for demand in draft.demands}
        for standing in self:
            bypass = standing.bypass
            place = (bypass.connection, bypass.database, bypass.policy)
            same = place == (draft.connection, draft.database, draft.policy)
            same = same and asker_of(standing.request).asker == asker_of(draft).asker
            if same and wanted <= set(bypass.rules) and not has_ended(bypass, now_s):
                return standing
        return None


def has_ended(bypass: Bypass, now_s: float) -> bool:
    """Whether it has had its time or its uses, or cannot have begun yet."""
    return bypass.used >= MAX_USES or not bypass.vote.at_s <= now_s < bypass.expires_at_s
