"""Carries out the commands about registered identities. It never shows a secret twice."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from interlock.core.administration import (
    AddIdentity,
    Command,
    ConfirmOwner,
    DisableIdentity,
    Done,
    EnableIdentity,
    GeneratedSecret,
    GenerateSecret,
    IdentityView,
    ListIdentities,
    Permission,
    RemoveIdentity,
    ShowIdentity,
    TransferIdentity,
)
from interlock.core.errors import AdministrationRefused, InvalidCommand, NotAllowed, NotFound, StateUnavailable
from interlock.core.identity import Actor, PrincipalKind, RegisteredIdentity
from interlock.core.ledger import AccessRefused, AdministrationChanged, AnyRecord
from interlock.core.settings import AgentSettings, IdentityKind
from interlock.services.administration import Handler
from interlock.services.authority import Authority
from interlock.services.cascade import Cascade, told
from interlock.services.generated_secret import generate_secret, make_verifier
from interlock.services.ownership import Ownership
from interlock.services.ports import Clock, Ledger
from interlock.services.state import IdentityStore

_KINDS = {IdentityKind.AGENT: PrincipalKind.AGENT, IdentityKind.USER: PrincipalKind.USER}


class IdentityRoom:
    """Implements ``services.administration.Room``. Changes go one at a time: each sees the one before it.

    ``labels`` are the names that settings have for issuers, by URL.
    """

    def __init__(
        self,
        identities: IdentityStore,
        ownership: Ownership,
        cascade: Cascade,
        authority: Authority,
        ledger: Ledger,
        clock: Clock,
        settings: AgentSettings,
        labels: Mapping[str, str],
    ) -> None:
        self._identities = identities
        self._ownership = ownership
        self._cascade = cascade
        self._authority = authority
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._labels = labels
        self._one_at_a_time = asyncio.Lock()

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {
            ListIdentities: self._list,
            ShowIdentity: self._show,
            AddIdentity: self._in_turn(self._add),
            TransferIdentity: self._in_turn(self._transfer),
            ConfirmOwner: self._in_turn(self._confirm),
            DisableIdentity: self._in_turn(self._disable),
            EnableIdentity: self._in_turn(self._enable),
            RemoveIdentity: self._in_turn(self._remove),
            GenerateSecret: self._in_turn(self._generate_secret),
        }

    def _in_turn(self, handler: Handler) -> Handler:
        async def handle(command: Any, actor: Actor) -> object:
            async with self._one_at_a_time:
                return await handler(command, actor)

        return handle

    async def _list(self, _command: ListIdentities, _actor: Actor) -> tuple[IdentityView, ...]:
        return tuple(map(_view, self._identities.all()))

    async def _show(self, command: ShowIdentity, _actor: Actor) -> IdentityView:
        return _view(self._identity(command.name))

    # ------------------------------------------------------------ what is registered

    async def _add(self, command: AddIdentity, actor: Actor) -> Done:
        known = self._identities.find(command.name)
        if known is not None and not command.replace:
            raise AdministrationRefused(f"identity {command.name!r} exists already; change it with --replace")
        identity = _changed(known or self._new(command), command)
        if self._settings.require_owner and identity.kind is PrincipalKind.AGENT and identity.owner is None:
            raise InvalidCommand("an agent needs an owner here: say with --owner who answers for it")
        detail = f"kind {command.kind.value}, owner {identity.owner or '-'}, groups {', '.join(command.groups) or '-'}"
        detail += f", issuers {', '.join(sorted(identity.issuers)) or 'any'}, purpose {identity.purpose or '-'}"
        return await self._put(known, identity, actor, "identities.add", detail)

    def _new(self, command: AddIdentity) -> RegisteredIdentity:
        return RegisteredIdentity(command.name, _KINDS[command.kind], created_at_s=self._now_s())

    async def _transfer(self, command: TransferIdentity, actor: Actor) -> Done:
        known = self._identity(command.name)
        if known.kind is not PrincipalKind.AGENT:
            raise AdministrationRefused(f"{command.name!r} is a user, and answers for itself")
        identity = msgspec.structs.replace(known, owner=command.owner)
        detail = f"owner {command.owner}, before {known.owner or '-'}"
        return await self._put(known, identity, actor, "identities.transfer", detail)

    async def _put(
        self, known: RegisteredIdentity | None, identity: RegisteredIdentity, actor: Actor, action: str, detail: str
    ) -> Done:
        """Put an identity in the place of what is known of it. What is taken from it is taken from its sessions."""
        await self._cascade.check_may_change(known or identity, actor)
        handover = self._ownership.handover(known, identity, actor)
        identity = msgspec.structs.replace(identity, handover=handover)
        await self._record(AdministrationChanged(actor.name, action, identity.name, detail))
        locked = await self._ownership.lock(identity, handover) if handover is not None else None
        await self._identities.save(identity)
        text = f"{identity.kind.value} {identity.name!r} is registered."
        if handover is not None:
            text += f" It is locked until its new owner {identity.owner!r} is confirmed by a second person."
            return told(text, locked or await self._cascade.identity_narrowed(known, identity, self._labels, actor))
        await self._ownership.unlock(identity.name, actor.name, "it is with whom it was before")
        if known is None:
            await self._cascade.owner_returned(identity.name, actor)
        return told(text, await self._cascade.identity_narrowed(known, identity, self._labels, actor))

    async def _remove(self, command: RemoveIdentity, actor: Actor) -> Done:
        identity = self._identity(command.name)
        await self._cascade.check_may_change(identity, actor)
        agents = self._ownership.agents_of(command.name) if identity.kind is PrincipalKind.USER else ()
        await self._record(AdministrationChanged(actor.name, "identities.remove", command.name))
        text = f"Identity {command.name!r} is removed. Locks on it stay in force."
        if agents:
            reason = f"{command.name} is not registered any more and answered for {len(agents)} agents"
            locked = await self._cascade.owner_left(command.name, reason, actor.name)
            await self._identities.remove(command.name)
            return told(f"{text} So are it and its agents now: {', '.join(agents)}.", locked)
        await self._identities.remove(command.name)
        return told(text, await self._cascade.identity_removed(identity, actor))

    # ------------------------------------------------------------ owners

    async def _confirm(self, command: ConfirmOwner, actor: Actor) -> Done:
        identity = self._identities.find(command.name)
        nothing = NotFound(f"no change of the owner of {command.name!r} that you may confirm waits for it")
        if identity is None or (handover := identity.handover) is None:
            raise nothing
        if not self._may_answer(identity, actor):
            await self._record(_refused(command, actor, "only its new owner or an administrator may confirm it"))
            raise nothing
        if (why := self._ownership.bars_confirming(identity, handover, actor)) is not None:
            await self._record(_refused(command, actor, why))
            raise NotAllowed(f"{actor.name} may not do this (identities.confirm): {why}")
        detail = f"owner {identity.owner}, before {', '.join(handover.formerly)}, changed by {handover.by}"
        await self._record(AdministrationChanged(actor.name, "identities.confirm", command.name, detail))
        await self._ownership.unlock(command.name, actor.name, f"{identity.owner} is confirmed as its owner")
        await self._identities.save(msgspec.structs.replace(identity, handover=None))
        return Done(f"{identity.owner!r} answers for {command.name!r} now.")

    def _may_answer(self, identity: RegisteredIdentity, actor: Actor) -> bool:
        who = actor.principal
        is_owner = who.kind is PrincipalKind.USER and not who.acting and who.name == identity.owner
        return is_owner or Permission.ADMINISTER in self._authority.permissions(actor)

    # ------------------------------------------------------------ shutting out, secrets

    async def _disable(self, command: DisableIdentity, actor: Actor) -> Done:
        identity = self._identity(command.name)
        await self._record(AdministrationChanged(actor.name, "identities.disable", command.name))
        receipt = await self._cascade.identity_disabled(identity, actor)
        await self._set_disabled(identity, disabled=True)
        return told(f"Identity {command.name!r} is disabled: it cannot log in any more.", receipt)

    async def _enable(self, command: EnableIdentity, actor: Actor) -> Done:
        identity = self._identity(command.name)
        await self._cascade.check_may_change(identity, actor)
        await self._record(AdministrationChanged(actor.name, "identities.enable", command.name))
        await self._cascade.identity_enabled(identity, actor)
        await self._set_disabled(identity, disabled=False)
        return Done(f"Identity {command.name!r} may log in again.")

    async def _set_disabled(self, identity: RegisteredIdentity, *, disabled: bool) -> None:
        await self._identities.save(msgspec.structs.replace(identity, disabled=disabled))

    async def _generate_secret(self, command: GenerateSecret, actor: Actor) -> GeneratedSecret:
        identity = self._identity(command.name)
        now_s = self._now_s()
        await self._record(AdministrationChanged(actor.name, "identities.secret", command.name))
        secret = generate_secret()
        verifier = make_verifier(secret)
        await self._identities.save(msgspec.structs.replace(identity, scram_verifier=verifier, secret_made_at_s=now_s))
        return GeneratedSecret(command.name, secret)

    # ------------------------------------------------------------ what all of them need

    def _identity(self, name: str) -> RegisteredIdentity:
        identity = self._identities.find(name)
        if identity is None:
            raise NotFound(f"there is no registered identity {name!r}")
        return identity

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None

    async def _record(self, record: AnyRecord) -> None:
        """Put something on the ledger and wait until it is accepted. Raises LedgerUnavailable."""
        accepted = self._ledger.append(record)
        if accepted is not None:
            await accepted


def _refused(command: ConfirmOwner, actor: Actor, why: str) -> AccessRefused:
    return AccessRefused(actor.name, "identities.confirm", command.name, why)


def _changed(identity: RegisteredIdentity, command: AddIdentity) -> RegisteredIdentity:
    """What a command makes of an identity: what it does not say stays, but for groups."""
    return msgspec.structs.replace(
        identity,
        kind=_KINDS[command.kind],
        owner=identity.owner if command.owner is None else command.owner,
        groups=frozenset(command.groups),
        purpose=identity.purpose if command.purpose is None else command.purpose,
        issuers=identity.issuers if command.issuers is None else frozenset(command.issuers),
    )


def _view(identity: RegisteredIdentity) -> IdentityView:
    return IdentityView(
        name=identity.name,
        kind=identity.kind.name.lower(),
        owner=identity.owner,
        groups=tuple(sorted(identity.groups)),
        disabled=identity.disabled,
        created_at_s=identity.created_at_s,
        has_secret=identity.scram_verifier is not None,
        purpose=identity.purpose,
        issuers=tuple(sorted(identity.issuers)),
        unconfirmed=identity.handover is not None,
    )
