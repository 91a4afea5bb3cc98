"""What all sessions of one listener share."""

import ssl
from collections.abc import Callable

from interlock.protocols.base import ProtocolSession
from interlock.runtime.cancellation import CancelKeys
from interlock.runtime.certificate_tls import ListenerTls
from interlock.runtime.dialer import TargetContexts
from interlock.runtime.live_sessions import LiveRegistry
from interlock.services.opening import Reception
from interlock.services.ports import CredentialVault, HttpCredentials


class DriverParts:
    """What all sessions of one listener share."""

    def __init__(
        self,
        protocol: str,
        new_session: Callable[[bytes], ProtocolSession],
        entropy_bytes: int,
        tls: ListenerTls,
        tls_end_point: bytes,
        reception: Reception,
        vault: CredentialVault,
        cancel_keys: CancelKeys,
        connect_timeout_s: float,
        live: LiveRegistry,
        contexts: TargetContexts,
        http_credentials: HttpCredentials | None = None,
        stand_in: Callable[[str], ssl.SSLContext] | None = None,
    ) -> None:
        """``stand_in`` makes the TLS context with which the gateway stands in for a host."""
        self.protocol = protocol
        self.new_session = new_session
        self.entropy_bytes = entropy_bytes
        self.tls = tls
        self.tls_end_point = tls_end_point
        self.reception = reception
        self.vault = vault
        self.cancel_keys = cancel_keys
        self.connect_timeout_s = connect_timeout_s
        self.live = live
        self.contexts = contexts
        self.http_credentials = http_credentials
        self.stand_in = stand_in
