"""Who may do what on the gateway itself, by the same policy that decides about statements.

A permission is an action on the entity ``Gateway``. It is granted to people only, by a ``permit`` and nothing else:
what breaks, and what would need an approval, grants nothing. The gateway's own operators on its machine need no policy
for all but the right to review: they can read and change everything there anyway, but they cannot answer for others.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from interlock.core.administration import Command, Permission
from interlock.core.administration.policy import Caller, WhoAmI
from interlock.core.administration.requests import subject_of, tag_of
from interlock.core.errors import NotAllowed, StateUnavailable
from interlock.core.identity import Actor, Principal, PrincipalKind, line_of
from interlock.core.ledger import AccessRefused
from interlock.services.policy import ClientFacts, PolicyStore
from interlock.services.policy.permissions import MEANINGS
from interlock.services.ports import Clock, Ledger

OF_OPERATORS: Final = frozenset(Permission) - {Permission.REVIEW}
"""What the gateway's own operators may do without a policy."""


class Bars(Protocol):
    """Says who is kept from the gateway itself."""

    def bar_on(self, principal: Principal) -> str | None:
        """Why this person may not use the gateway: a lock on them, their owner, a group or their token; else None.

        A lock on everything or on a connection is about sessions only. Raises StateUnavailable.
        """


class NoBars:
    """Implements ``Bars``: nobody is locked."""

    def bar_on(self, principal: Principal) -> str | None:
        return None


NOBODY: Final = NoBars()


class Authority:
    """Decides for each command anew. Without ``policies`` only the gateway's own operators may do anything."""

    def __init__(
        self, ledger: Ledger, clock: Clock, node: str, policies: PolicyStore | None = None, bars: Bars = NOBODY
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._node = node
        self._policies = policies
        self._bars = bars
        self.handlers: Mapping[type[Command[Any]], Callable[[Any, Actor], Awaitable[object]]] = {WhoAmI: self._who_am_i}

    def permissions(self, actor: Actor) -> frozenset[Permission]:
        """What the actor may do now. Never raises for what went wrong: that grants nothing.

        Nobody has any through somebody who acts for them.
        """
        if actor.principal.acting:
            return frozenset()
        if self._bar_on(actor) is not None or self._has_expired(actor):
            return frozenset()
        granted = frozenset(permission for permission in Permission if self._permits(actor, permission))
        return granted | OF_OPERATORS if actor.local else granted

    async def check(self, command: Command[Any], actor: Actor) -> None:
        """Let a command through, or record who asked for what. Raises NotAllowed, LedgerUnavailable."""
        await self.require(command.route.permissions, actor, tag_of(type(command)), subject_of(command))

    async def require(self, permissions: tuple[Permission, ...], actor: Actor, action: str, subject: str = "") -> None:
        """Let through whoever has any of these permissions; with none named, whoever is not locked.

        Raises NotAllowed when it is on record, LedgerUnavailable when it cannot be recorded.
        """
        why = self._refusal(permissions, actor)
        if why is None:
            return
        accepted = self._ledger.append(AccessRefused(actor.name, action, subject, why))
        if accepted is not None:
            await accepted
        raise NotAllowed(f"{actor.name} may not do this ({action}): {why}")

    async def _who_am_i(self, _command: WhoAmI, actor: Actor) -> Caller:
        who, permissions = actor.principal, self.permissions(actor)
        return Caller(
            who.name,
            who.kind.name.lower(),
            tuple(sorted(who.groups)),
            tuple(permission for permission in Permission if permission in permissions),
            self._node,
            actor.local,
            who.expires_at_s,
            tuple(map(line_of, who.acting)),
        )

    def _refusal(self, permissions: tuple[Permission, ...], actor: Actor) -> str | None:
        """Why the actor may not, None when it may."""
        if (bar := self._bar_on(actor)) is not None:
            return bar
        if self._has_expired(actor):
            return "the token has expired"
        if not permissions or not self.permissions(actor).isdisjoint(permissions):
            return None
        if actor.principal.acting:
            return "nobody has permissions on the gateway through somebody who acts for them"
        words = " or ".join(f'"{permission.value}"' for permission in permissions)
        return f'no policy rule gives them the permission {words} on Gateway::"{self._node}"'

    def _permits(self, actor: Actor, permission: Permission) -> bool:
        if self._policies is None or actor.principal.kind is not PrincipalKind.USER:
            return False
        try:
            client = ClientFacts(actor.client_address)
            session = self._policies.engine.for_session(actor.principal, self._node, "", client)
            verdict = session.decide(MEANINGS[permission], self._clock.now_s())
        except Exception:  # noqa: BLE001 - fail closed: whatever broke, nothing is granted
            return False
        return verdict.denial is None and verdict.hold is None

    def _bar_on(self, actor: Actor) -> str | None:
        try:
            return self._bars.bar_on(actor.principal)
        except StateUnavailable:
            return "whether access is locked cannot be found out now"

    def _has_expired(self, actor: Actor) -> bool:
        end_s = actor.principal.expires_at_s
        if end_s is None:
            return False
        try:
            return end_s <= self._clock.now_s()
        except OSError:
            return True
