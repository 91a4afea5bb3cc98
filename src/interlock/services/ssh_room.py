"""Carries out the commands about SSH keys and certificates. It never sees a private key."""

import datetime
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from interlock.core.administration import (
    AddSshKey,
    Command,
    Done,
    IssuedCertificate,
    IssueSshCertificate,
    ListSshKeys,
    RemoveSshKey,
    ShowSshGateway,
    SshGatewayView,
    SshKeyView,
)
from interlock.core.errors import AdministrationRefused, InvalidCommand, NotFound, StateUnavailable
from interlock.core.identity import Actor, Principal, line_of
from interlock.core.ledger import AdministrationChanged
from interlock.core.settings.ssh import SshSettings
from interlock.core.ssh_key import RegisteredSshKey, SshPublicKey, read_ssh_key
from interlock.services.administration import Handler
from interlock.services.cascade import Cascade, told
from interlock.services.ports import Clock, Ledger, SshSigning
from interlock.services.state import IdentityStore, SshKeyStore


class SshRoom:
    """Implements ``services.administration.Room``.

    ``signing`` opens the authorities, and may raise ``ConfigurationError``. ``port`` is where clients are listened for,
    0 for nowhere.
    """

    def __init__(
        self,
        signing: Callable[[], SshSigning],
        keys: SshKeyStore,
        identities: IdentityStore,
        cascade: Cascade,
        ledger: Ledger,
        clock: Clock,
        settings: SshSettings,
        port: Callable[[], int],
    ) -> None:
        self._signing = signing
        self._keys = keys
        self._identities = identities
        self._cascade = cascade
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._port = port

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {
            ShowSshGateway: self._show,
            IssueSshCertificate: self._issue,
            ListSshKeys: self._list_keys,
            AddSshKey: self._add_key,
            RemoveSshKey: self._remove_key,
        }

    async def _show(self, _command: ShowSshGateway, _actor: Actor) -> SshGatewayView:
        return self._view()

    # ------------------------------------------------------------ certificates

    async def _issue(self, command: IssueSshCertificate, actor: Actor) -> IssuedCertificate:
        if actor.local:
            raise AdministrationRefused(
                "a certificate is for whoever a token speaks for, and this came without one: put it into "
                "INTERLOCK_TOKEN, or name a file with --token-file"
            )
        key = _key(command.key)
        longest_s = self._settings.certificate_lifetime_s
        lifetime_s = min(command.lifetime_s or longest_s, longest_s)
        addresses = tuple(map(_network, command.addresses))
        principal, signing = self._as_proved(actor.principal), self._signing()
        try:
            signed = signing.sign_user(key, principal, lifetime_s, addresses)
        except ValueError as error:
            raise AdministrationRefused(str(error)) from None
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time, so it signs no certificate") from None
        limits = f", from {', '.join(addresses)}" if addresses else ""
        limits += "".join(f", by {line_of(who)}" for who in principal.acting[:1])
        detail = f"serial {signed.serial}, key {signed.fingerprint}, until {_moment(signed.ends_at_s)}{limits}"
        await self._record(actor, "ssh-cert", principal.name, detail)
        return IssuedCertificate(
            signed.certificate, principal.name, signed.serial, signed.fingerprint, signed.ends_at_s, self._view()
        )

    def _as_proved(self, principal: Principal) -> Principal:
        """Without the groups that are registered for its name: those count as they are when it logs in.

        So with everybody who acts for it.
        """
        registered = self._identities.find(principal.name)
        groups = principal.groups - (registered.groups if registered is not None else frozenset())
        acting = tuple(map(self._as_proved, principal.acting))
        return msgspec.structs.replace(principal, groups=groups, acting=acting)

    # ------------------------------------------------------------ registered keys

    async def _list_keys(self, command: ListSshKeys, _actor: Actor) -> tuple[SshKeyView, ...]:
        return tuple(map(_key_view, self._keys.all(command.identity)))

    async def _add_key(self, command: AddSshKey, actor: Actor) -> SshKeyView:
        if self._identities.find(command.name) is None:
            raise NotFound(f"there is no registered identity {command.name!r}; add it with interlock identities add")
        key, now_s = _key(command.key), self._now_s()
        if (known := self._keys.find(key.fingerprint)) is not None:
            raise AdministrationRefused(f"this key belongs to {known.identity!r} already; remove it there first")
        expires_at_s = None if command.expires_in_s is None else now_s + command.expires_in_s
        registered = RegisteredSshKey(command.name, key, actor.name, now_s, expires_at_s)
        until = "no end" if expires_at_s is None else f"until {_moment(expires_at_s)}"
        await self._record(actor, "ssh-keys.add", command.name, f"{key.algorithm} {key.fingerprint}, {until}")
        await self._keys.add(registered)
        return _key_view(registered)

    async def _remove_key(self, command: RemoveSshKey, actor: Actor) -> Done:
        registered = self._keys.find(command.fingerprint)
        if registered is None:
            raise NotFound(f"there is no registered key {command.fingerprint!r}")
        await self._record(actor, "ssh-keys.remove", registered.identity, registered.fingerprint)
        await self._keys.remove(registered.fingerprint)
        cut = await self._cascade.ssh_key_removed(registered.fingerprint, actor)
        return told(f"The key of {registered.identity!r} is removed.", cut)

    # ------------------------------------------------------------ what all of them need

    def _view(self) -> SshGatewayView:
        signing, names, port = self._signing(), self._settings.host_names, self._port()
        return SshGatewayView(
            host_names=names,
            port=port,
            host_key=signing.host_key_public(),
            known_hosts=signing.known_hosts_line(names, port) if port else "",
            user_authority=signing.user_authority_public(),
            target_authority=signing.target_authority_public(),
        )

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None

    async def _record(self, actor: Actor, action: str, subject: str, detail: str) -> None:
        accepted = self._ledger.append(AdministrationChanged(actor.name, action, subject, detail))
        if accepted is not None:
            await accepted


def _key(text: str) -> SshPublicKey:
    try:
        return read_ssh_key(text)
    except ValueError as error:
        raise InvalidCommand(str(error)) from None


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise InvalidCommand(f"{text!r} is not a network: write an address, or one as 192.0.2.0/24") from None


def _moment(at_s: float) -> str:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat(timespec="seconds")


def _key_view(registered: RegisteredSshKey) -> SshKeyView:
    return SshKeyView(
        identity=registered.identity,
        fingerprint=registered.fingerprint,
        algorithm=registered.key.algorithm,
        comment=registered.key.comment,
        by=registered.by,
        added_at_s=registered.added_at_s,
        expires_at_s=registered.expires_at_s,
    )
