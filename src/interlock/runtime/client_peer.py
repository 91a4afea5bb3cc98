"""What a driver needs of whoever its client is: a socket (``peer.Peer``), or a stream within one (``http2_peer``)."""

import ssl
from typing import Protocol

from interlock.runtime.tls import TlsPump


class ClientPeer(Protocol):
    """One client. ``received_bytes`` and ``sent_bytes`` count clear bytes; see ``Peer`` for the rest."""

    received_bytes: int
    sent_bytes: int

    @property
    def tls(self) -> TlsPump | None: ...

    @property
    def address(self) -> str: ...

    @property
    def unsent_bytes(self) -> int: ...

    @property
    def has_left(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    def start_tls(self, context: ssl.SSLContext, received: bytes, *, server_side: bool, host: str | None) -> None: ...

    def pause(self, reason: str) -> None: ...

    def resume(self, reason: str) -> None: ...

    def close(self) -> None: ...

    def linger(self) -> None: ...

    def abort(self) -> None: ...

    def drop_unsent(self) -> None: ...
