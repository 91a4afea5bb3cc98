"""What all SSH connections of the gateway share."""

from collections.abc import Callable
from typing import Protocol

from interlock.core.ledger import AnyRecord
from interlock.core.settings import SshSettings
from interlock.protocols.ssh.events import ChannelContext, ChannelSession, Numbers, Request
from interlock.runtime.live_sessions import LiveRegistry
from interlock.runtime.ssh.attempts import LoginAttempts
from interlock.services.opening import Reception
from interlock.services.ports import CredentialVault


class TargetCertificates(Protocol):
    """Makes what the gateway shows a host that trusts its authority."""

    def mint_for_target(
        self, session_id: str, principal_name: str, login: str, lifetime_s: int, *, forwarding: bool = False
    ) -> tuple[bytes, bytes]:
        """A private key and the certificate for it, both as OpenSSH writes them. Raises ``CredentialUnavailable``."""


class DeviceLogin(Protocol):
    """One person's login elsewhere that is under way."""

    @property
    def instruction(self) -> str:
        """Where to sign in, and what to look for there."""

    async def poll(self) -> str:
        """The token, once the person has signed in. Raises ``LoginRefused``; may be cancelled."""

    def abandon(self) -> None:
        """Nobody waits for it any more."""


class DeviceLogins(Protocol):
    """Lets people sign in with a browser elsewhere (RFC 8628)."""

    async def begin(self, client_host: str) -> DeviceLogin:
        """For somebody who connected from this address. Raises ``LoginRefused``."""


NewChannel = Callable[[Request, ChannelContext, Numbers], ChannelSession]


class SshParts:
    """What all SSH connections of the gateway share. ``new_channel`` raises ``ValueError`` for what it has none for."""

    def __init__(
        self,
        settings: SshSettings,
        reception: Reception,
        vault: CredentialVault,
        certificates: TargetCertificates,
        live: LiveRegistry,
        new_channel: NewChannel,
        note: Callable[[AnyRecord], None],
        attempts: LoginAttempts,
        device_logins: DeviceLogins | None = None,
    ) -> None:
        self.settings = settings
        self.reception = reception
        self.vault = vault
        self.certificates = certificates
        self.live = live
        self.new_channel = new_channel
        self.note = note
        self.attempts = attempts
        self.device_logins = device_logins
