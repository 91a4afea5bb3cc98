"""Identities that are registered by hand: what can be asked of them and what is answered."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Done, Permission, Route
from interlock.core.settings import IdentityKind

IdentityName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+=|-]{0,254}$")]
GroupName = Annotated[str, Meta(min_length=1, max_length=200)]
OwnerName = Annotated[str, Meta(min_length=1, max_length=255)]
Purpose = Annotated[str, Meta(max_length=500)]
AllowedIssuer = Annotated[str, Meta(min_length=1, max_length=500)]

_READERS = (Permission.ADMINISTER, Permission.RESPOND, Permission.AUDIT)


class IdentityView(msgspec.Struct, frozen=True):
    """A registered identity as it can be shown."""

    name: str
    kind: str
    owner: str | None
    groups: tuple[str, ...]
    disabled: bool
    created_at_s: float
    has_secret: bool
    purpose: str = ""
    issuers: tuple[str, ...] = ()
    """Whose tokens may have the name; empty: any issuer's."""
    unconfirmed: bool = False
    """Whether a change of its owner waits to be confirmed."""


class GeneratedSecret(msgspec.Struct, frozen=True):
    """A secret that was made for an identity. It is shown once."""

    identity: str
    secret: str

    def __repr__(self) -> str:
        return f"GeneratedSecret(identity={self.identity!r})"


class ListIdentities(Command[tuple[IdentityView, ...]], frozen=True, tag="identities.list"):
    """All registered identities, by name."""

    route: ClassVar = Route(
        "GET",
        "/v1/identities",
        (
            Permission.ADMINISTER,
            Permission.RESPOND,
            Permission.AUDIT,
        ),
    )


class ShowIdentity(Command[IdentityView], frozen=True, tag="identities.show"):
    """One registered identity."""

    route: ClassVar = Route(
        "GET",
        "/v1/identities/{name}",
        (
            Permission.ADMINISTER,
            Permission.RESPOND,
            Permission.AUDIT,
        ),
    )

    name: str


class AddIdentity(Command[Done], frozen=True, tag="identities.add"):
    """Register an identity; with ``replace``, change the one of its name, which keeps its state and secret.

    Owner, purpose and issuers stay as they are when they are not given. An agent with another owner is locked until
    that is confirmed.
    """

    route: ClassVar = Route("PUT", "/v1/identities/{name}", (Permission.ADMINISTER,))

    name: IdentityName
    kind: IdentityKind
    owner: OwnerName | None = None
    groups: tuple[GroupName, ...] = ()
    replace: bool = False
    purpose: Purpose | None = None
    issuers: tuple[AllowedIssuer, ...] | None = None


class TransferIdentity(Command[Done], frozen=True, tag="identities.transfer"):
    """Give a registered agent another owner. It is locked until that is confirmed."""

    route: ClassVar = Route("POST", "/v1/identities/{name}/transfer", (Permission.ADMINISTER,))

    name: str
    owner: OwnerName


class ConfirmOwner(Command[Done], frozen=True, tag="identities.confirm"):
    """Confirm an agent's new owner: by that owner, or by somebody with the permission ``administer``.

    Whoever made the change and whoever answered for the agent before cannot, under any of their names.
    """

    route: ClassVar = Route("POST", "/v1/identities/{name}/confirm", ())

    name: str


class DisableIdentity(Command[Done], frozen=True, tag="identities.disable"):
    """Lock an identity until it is enabled: its sessions are cut, and new logins refused."""

    route: ClassVar = Route(
        "POST",
        "/v1/identities/{name}/disable",
        (
            Permission.ADMINISTER,
            Permission.RESPOND,
        ),
    )

    name: str


class EnableIdentity(Command[Done], frozen=True, tag="identities.enable"):
    """Let a disabled identity log in again."""

    route: ClassVar = Route("POST", "/v1/identities/{name}/enable", (Permission.ADMINISTER,))

    name: str


class RemoveIdentity(Command[Done], frozen=True, tag="identities.remove"):
    """Forget an identity with its groups, owner and secret; its sessions are cut. Locks on it stay in force."""

    route: ClassVar = Route("DELETE", "/v1/identities/{name}", (Permission.ADMINISTER,))

    name: str


class GenerateSecret(Command[GeneratedSecret], frozen=True, tag="identities.secret"):
    """Make a secret for an identity that cannot bring tokens; an earlier one stops working."""

    route: ClassVar = Route("POST", "/v1/identities/{name}/secret", (Permission.ADMINISTER,))

    name: str
