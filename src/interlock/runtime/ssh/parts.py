"""What all SSH connections of the gateway share."""

from collections.abc import Callable
from typing import Protocol

from interlock.core.ledger import AnyRecord
from interlock.core.settings import SshSettings
from interlock.protocols.ssh.events import ChannelContext, ChannelSession, Numbers, Request
from interlock.runtime.live_sessions import LiveRegistry
from interlock.services.opening import Reception
from interlock.services.ports import CredentialVault


class TargetCertificates(Protocol):
    """Makes what the gateway shows a host that trusts its authority."""

    def mint_for_target(
        self, session_id: str, principal_name: str, login: str, lifetime_s: int, *, forwarding: bool = False
    ) -> tuple[bytes, bytes]:
        """A private key and the certificate for it, both as OpenSSH writes them. Raises ``CredentialUnavailable``."""


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
    ) -> None:
        self.settings = settings
        self.reception = reception
        self.vault = vault
        self.certificates = certificates
        self.live = live
        self.new_channel = new_channel
        self.note = note
