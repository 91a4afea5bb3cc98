"""One side's socket, with or without TLS: turns transport callbacks into calls on its owner.

Knows nothing of any protocol. Reading is paused while anybody has a reason for it, so that back-pressure from
different places does not cancel out.
"""

import asyncio
import select
import socket
import struct
from typing import Final, cast

from interlock.protocols.base import Side
from interlock.runtime.certificate_tls import CertificateContext, ListenerTls
from interlock.runtime.client_peer import PeerOwner
from interlock.runtime.inner_tls import InnerTls
from interlock.runtime.tls import TlsEnd, TlsFailed, TlsPump

CLOSE_TIMEOUT_S = 10.0
LINGER_S: Final = 2.0
_GONE: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # struct linger of socket(7): on, no seconds


class _Nobody:
    """The owner of a peer that was abandoned."""

    def connected(self, side: Side) -> None:
        pass

    def data_received(self, side: Side, data: bytes) -> None:
        pass

    def eof_received(self, side: Side) -> None:
        pass

    def tls_established(self, side: Side) -> None:
        pass

    def tls_refused(self, side: Side, reason: str) -> None:
        pass

    def writing_paused(self, side: Side, paused: bool) -> None:
        pass

    def connection_lost(self, side: Side) -> None:
        pass


_NOBODY: Final = _Nobody()


class Peer(asyncio.Protocol):
    """A connected socket. ``received_bytes`` and ``sent_bytes`` count clear bytes."""

    def __init__(self, owner: PeerOwner, side: Side) -> None:
        self._owner = owner
        self._side = side
        self._transport: asyncio.Transport | None = None
        self._pauses: set[str] = set()
        self._closing: asyncio.TimerHandle | None = None
        self.tls: TlsEnd | None = None
        self.received_bytes = 0
        self.sent_bytes = 0
        self._lingers = False

    @property
    def address(self) -> str:
        """``host:port`` of the other end, empty when unknown."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "local:0"

    @property
    def local_port(self) -> int:
        """The port of this end, 0 when unknown."""
        name = self._transport.get_extra_info("sockname") if self._transport else None
        return int(name[1]) if isinstance(name, tuple) else 0

    @property
    def unsent_bytes(self) -> int:
        """Bytes that were written and have not left the process."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def has_left(self) -> bool:
        """Whether the other end has closed, which nobody tells while reading is paused."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return True
        poller = select.poll()
        poller.register(transport.get_extra_info("socket").fileno(), _GONE)
        return len(poller.poll(0)) > 0

    # ------------------------------------------------------------ what the owner asks for

    def write(self, data: bytes) -> None:
        """Send bytes; they are dropped when the socket is closing, or TLS has begun and is not up yet."""
        if self._transport is None or self._transport.is_closing() or (self.tls and not self.tls.established):
            return
        self.sent_bytes += len(data)
        self._transport.write(data if self.tls is None else self.tls.encrypt(data))

    def start_tls(self, context: ListenerTls, received: bytes, *, server_side: bool, host: str | None) -> None:
        """Begin TLS, also inside of TLS with a client; ``received`` are handshake bytes that were read already."""
        if isinstance(context, CertificateContext):
            self.tls = context.begin()
            self._decrypt(received)
        elif self.tls is None:
            self.tls = TlsPump(context, server_side=server_side, host=host)
            self._decrypt(received)
        else:
            self.tls = InnerTls(self.tls, context, received)
            self._decrypt(b"")

    def pause(self, reason: str) -> None:
        """Read nothing until ``resume`` was called for every reason given."""
        if not self._pauses and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._pauses.add(reason)

    def resume(self, reason: str) -> None:
        self._pauses.discard(reason)
        if not self._pauses and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close after what was written has gone out, but do not wait for ever."""
        if self._transport is not None and not self._transport.is_closing():
            if self.tls is not None:
                self._transport.write(self.tls.close())
            self._transport.close()
            self._closing = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)

    def linger(self) -> None:
        """Close after what was written has gone out, and drop for a moment what still comes.

        A socket that is closed with something unread is reset, and a client that is still sending loses what it was
        told.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.tls is not None:
            transport.write(self.tls.close())
            self.tls = None
        self._owner = _NOBODY
        self._lingers = True
        if self._pauses:
            self._pauses.clear()
            transport.resume_reading()
        transport.write_eof()
        self._closing = asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def change_owner(self, owner: PeerOwner) -> None:
        """Somebody else is told from here on."""
        self._owner = owner

    def abandon(self) -> None:
        """Close without telling the owner anything any more."""
        self._owner = _NOBODY
        self.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def drop_unsent(self) -> None:
        """Close at once when something was written that has not left: nothing more does, not even from the kernel."""
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._transport.abort()

    # ------------------------------------------------------------ what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._owner.connected(self._side)

    def data_received(self, data: bytes) -> None:
        if self.tls is None:
            self.received_bytes += len(data)
            self._owner.data_received(self._side, data)
        else:
            self._decrypt(data)

    def eof_received(self) -> bool:
        self._owner.eof_received(self._side)
        return not self._lingers

    def pause_writing(self) -> None:
        self._owner.writing_paused(self._side, True)

    def resume_writing(self) -> None:
        self._owner.writing_paused(self._side, False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closing is not None:
            self._closing.cancel()
        self._owner.connection_lost(self._side)
        self.tls = self._transport = None  # what is large goes now, not when the cycle with the owner is collected

    def _decrypt(self, data: bytes) -> None:
        assert self.tls is not None
        tls = self.tls
        was_established = tls.established
        try:
            clear = tls.receive(data)
        except TlsFailed as failed:
            self._fail(str(failed))
            return
        self._flush_handshake()
        if tls.established and not was_established:
            self._owner.tls_established(self._side)
        if clear:
            self.received_bytes += len(clear)
            self._owner.data_received(self._side, clear)
        if tls.ended:
            self._owner.eof_received(self._side)

    def _flush_handshake(self) -> None:
        if self.tls is not None and self._transport is not None and not self._transport.is_closing():
            outgoing = self.tls.outgoing()
            if outgoing:
                self._transport.write(outgoing)

    def _fail(self, reason: str) -> None:
        """Send the alert, if there is one, and tell the owner."""
        self._flush_handshake()
        self.tls = None
        self._owner.tls_refused(self._side, reason)
