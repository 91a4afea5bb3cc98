"""TLS for listeners that ask clients for a certificate, over a byte stream that somebody else owns.

The library proves that a client holds its certificate's private key, and nothing else: whether the certificate is
believed is found out when the client logs in, by what is trusted at that moment, so that a refusal has a reason that
the client can read in its own protocol. Nothing in here touches a socket.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from interlock.runtime.tls import TlsFailed

_READ_BYTES: Final = 1 << 18
_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2."""
_OPTIONS: Final = SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION


class CertificateContext:
    """What all connections of one listener share. Raises ``ValueError`` when its own files cannot be used."""

    def __init__(self, certificate: Path, key: Path, protocols: Sequence[str]) -> None:
        self._context = context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(_OPTIONS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_cipher_list(_CIPHERS)
        context.set_verify(SSL.VERIFY_PEER, _believed_later)
        self._protocols = [protocol.encode() for protocol in protocols]
        context.set_alpn_select_callback(self._choose)
        try:
            context.use_certificate_chain_file(str(certificate))
            context.use_privatekey_file(str(key))
            context.check_privatekey()
        except SSL.Error:
            raise ValueError(f"{certificate}: the TLS certificate or its key cannot be used") from None

    def begin(self) -> "CertificateTls":
        """A new server's end."""
        return CertificateTls(self._context)

    def _choose(self, _connection: SSL.Connection, offered: list[bytes]) -> bytes | SSL._NoOverlappingProtocols:
        for protocol in self._protocols:
            if protocol in offered:
                return protocol
        return SSL.NO_OVERLAPPING_PROTOCOLS


ListenerTls = ssl.SSLContext | CertificateContext
"""TLS of a listener: without client certificates, or with them."""


class CertificateTls:
    """A server's end; see ``tls.TlsEnd``."""

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self.established = False
        self.ended = False

    def receive(self, data: bytes) -> bytes:
        """See ``TlsPump.receive``."""
        if data:
            self._connection.bio_write(data)
        if not self.established and not self._advance():
            return b""
        parts: list[bytes] = []
        try:
            while True:
                parts.append(self._connection.recv(_READ_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error as error:
            raise TlsFailed(_reason(error)) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def encrypt(self, data: bytes) -> bytes:
        """Clear bytes as encrypted ones."""
        if data:
            self._connection.sendall(data)
        return self.outgoing()

    def close(self) -> bytes:
        """The closing alert to send; nothing when there is none to send."""
        if not self.established:
            return b""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return b""
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What is to be sent."""
        parts: list[bytes] = []
        try:
            while True:
                parts.append(self._connection.bio_read(_READ_BYTES))
        except SSL.WantReadError:
            return b"".join(parts)

    @property
    def alpn(self) -> str | None:
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None

    def peer_end_point(self) -> bytes:
        """Of servers only."""
        return b""

    def peer_chain(self) -> tuple[bytes, ...]:
        """The client's certificate and those that it sent behind it, in DER; empty when it has shown none."""
        leaf = self._connection.get_peer_certificate(as_cryptography=True)
        if leaf is None:
            return ()
        rest = self._connection.get_peer_cert_chain(as_cryptography=True) or []
        behind = [certificate for certificate in rest if certificate != leaf]
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in (leaf, *behind))

    def _advance(self) -> bool:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise TlsFailed(_reason(error)) from error
        self.established = True
        return True


def _believed_later(*_: object) -> bool:
    """Let the handshake go on: the certificate is judged when the client logs in."""
    return True


def _reason(error: SSL.Error) -> str:
    errors = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reason = errors[-1][-1] if errors else ""
    return str(reason) or "protocol error"
