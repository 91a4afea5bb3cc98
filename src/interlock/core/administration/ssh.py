"""SSH: registered keys, user certificates, and what clients and targets have to trust. No private key is in here."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Done, Permission, Route
from interlock.core.ssh_key import MAX_KEY_CHARACTERS

PublicKeyText = Annotated[str, Meta(min_length=1, max_length=MAX_KEY_CHARACTERS)]
Network = Annotated[str, Meta(min_length=1, max_length=64)]


class SshGatewayView(msgspec.Struct, frozen=True):
    """The gateway's public keys for SSH, and where it listens: ``port`` is 0 while it does not.

    ``known_hosts`` are the lines for the file of that name, ``user_authority`` signs certificates for clients, and
    ``target_authority`` is what targets trust.
    """

    host_names: tuple[str, ...]
    port: int
    host_key: str
    known_hosts: str
    user_authority: str
    target_authority: str


class IssuedCertificate(msgspec.Struct, frozen=True):
    """A user certificate: one line, as in a ``-cert.pub`` file. ``ends_at_s`` is Unix time."""

    certificate: str
    identity: str
    serial: int
    fingerprint: str
    ends_at_s: float
    gateway: SshGatewayView


class SshKeyView(msgspec.Struct, frozen=True):
    """A registered key. Times are Unix seconds."""

    identity: str
    fingerprint: str
    algorithm: str
    comment: str
    by: str
    added_at_s: float
    expires_at_s: float | None


class ShowSshGateway(Command[SshGatewayView], frozen=True, tag="ssh.show"):
    """The gateway's public keys for SSH, and where it listens."""

    route: ClassVar = Route("GET", "/v1/ssh", ())


class IssueSshCertificate(Command[IssuedCertificate], frozen=True, tag="ssh-cert"):
    """Get a user certificate for oneself.

    It ends with the token of the request at the latest. ``addresses`` are networks that it counts from.
    """

    route: ClassVar = Route("POST", "/v1/ssh/certificates", ())

    key: PublicKeyText
    lifetime_s: Annotated[int, Meta(ge=30, le=86_400)] | None = None
    addresses: Annotated[tuple[Network, ...], Meta(max_length=16)] = ()


class ListSshKeys(Command[tuple[SshKeyView, ...]], frozen=True, tag="ssh-keys.list"):
    """The registered keys, of one identity or of all."""

    route: ClassVar = Route("GET", "/v1/ssh/keys", (Permission.ADMINISTER, Permission.RESPOND, Permission.AUDIT))

    identity: str = ""


class AddSshKey(Command[SshKeyView], frozen=True, tag="ssh-keys.add"):
    """Register a key for an identity, for a while or until it is removed."""

    route: ClassVar = Route("POST", "/v1/identities/{name}/ssh-keys", (Permission.ADMINISTER,))

    name: str
    key: PublicKeyText
    expires_in_s: Annotated[int, Meta(ge=60, le=315_360_000)] | None = None


class RemoveSshKey(Command[Done], frozen=True, tag="ssh-keys.remove"):
    """Forget a registered key; sessions that were opened with it are cut."""

    route: ClassVar = Route("DELETE", "/v1/ssh/keys/{fingerprint}", (Permission.ADMINISTER, Permission.RESPOND))

    fingerprint: str
