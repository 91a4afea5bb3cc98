"""TLS inside of TLS: what a client of an HTTPS proxy speaks once its CONNECT is answered."""

import ssl

from interlock.runtime.tls import TlsEnd, TlsPump


class InnerTls(TlsPump):
    """A server's end inside of an established one. It takes and gives the bytes of the outer one.

    ``received`` are bytes of the inner handshake that came out of the outer one already.
    """

    def __init__(self, outer: TlsEnd, context: ssl.SSLContext, received: bytes) -> None:
        super().__init__(context, server_side=True)
        self._outer = outer
        self._received = received

    def receive(self, data: bytes) -> bytes:
        """See ``TlsPump``; nothing is a question about what was received before."""
        received, self._received = self._received, b""
        if data:
            received += self._outer.receive(data)
        return super().receive(received)

    def encrypt(self, data: bytes) -> bytes:
        return self._outer.encrypt(super().encrypt(data))

    def close(self) -> bytes:
        last = super().close()
        return (self._outer.encrypt(last) if last else b"") + self._outer.close()

    def outgoing(self) -> bytes:
        inner = super().outgoing()
        return self._outer.outgoing() + (self._outer.encrypt(inner) if inner else b"")
