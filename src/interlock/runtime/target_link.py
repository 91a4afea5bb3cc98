"""The driver's end towards the target: dials, begins TLS, and lets go. It knows no protocol and decides nothing."""

import asyncio
import ssl
from collections.abc import Callable

from interlock.core.errors import InterlockError
from interlock.core.session import Session
from interlock.core.settings import ConnectionSettings
from interlock.protocols import base
from interlock.runtime.addresses import Trust
from interlock.runtime.client_peer import PeerOwner
from interlock.runtime.dialer import TargetContexts, dial, dial_checked
from interlock.runtime.peer import Peer
from interlock.services.ports import CredentialVault


class TargetLink:
    """At most one byte stream to a target at a time, which ``owner`` is told about."""

    def __init__(self, owner: PeerOwner, vault: CredentialVault, contexts: TargetContexts, timeout_s: float) -> None:
        self._owner = owner
        self._vault = vault
        self._contexts = contexts
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._host = ""
        self._attempt = 0
        self.peer: Peer | None = None
        self.tls: ssl.SSLContext | None = None

    def start_timer(self, too_slow: Callable[[], None]) -> None:
        """Have ``too_slow`` called unless ``stop_timer`` comes in time: reaching and logging in count as one."""
        self.stop_timer()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, too_slow)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def connect(
        self, session: Session, settings: ConnectionSettings, asked: base.ConnectTarget
    ) -> base.TargetConnected | None:
        """Dial the connection's target, or the host that is asked for. Raises ``OSError``, ``InterlockError``.

        None when nobody waits for it any more: ``disconnect`` came in between, and whatever became of it is let go.
        """
        self._attempt += 1
        attempt = self._attempt
        try:
            credential = await self._vault.reveal(session.connection)
            tls = self._contexts.find(settings, credential)
            peer = await self._dial(settings, asked)
        except (OSError, InterlockError):
            if attempt != self._attempt:
                return None
            raise
        if attempt != self._attempt:
            peer.abandon()
            return None
        self.peer, self.tls, self._host = peer, tls, asked.host or settings.host
        return base.TargetConnected(credential.user, credential.password, session.database, settings.tls.value)

    async def _dial(self, settings: ConnectionSettings, asked: base.ConnectTarget) -> Peer:
        if settings.protocol != "http":
            return await dial(settings, self._owner, self._timeout_s)
        if not asked.host:
            host = settings.host.lower()
            return await dial_checked(host, settings.port, Trust.WRITTEN, self._owner, self._timeout_s)
        trust = Trust.PRIVATE if settings.http.allow_private else Trust.PUBLIC
        return await dial_checked(asked.host, asked.port or settings.port, trust, self._owner, self._timeout_s)

    def start_tls(self, received: bytes) -> None:
        """Begin TLS, as the client, with the host that was dialled."""
        if self.peer is not None and self.tls is not None:
            self.peer.start_tls(self.tls, received, server_side=False, host=self._host)

    def disconnect(self) -> None:
        """Close the stream, also one that is still being opened; the owner hears nothing more of it."""
        self._attempt += 1
        self.stop_timer()
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.abandon()
