"""TLS over a byte stream that somebody else owns: bytes in, bytes out, for both ends.

Working on memory buffers lets TLS begin in the middle of a connection, also with bytes that were already read (direct
TLS). Nothing in here touches a socket.
"""

import contextlib
import hashlib
import ssl
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

_READ_BYTES: Final = 1 << 18


class TlsFailed(Exception):
    """The handshake or a record failed; the text is safe to show."""


class TlsEnd(Protocol):
    """One end of a TLS connection; see ``TlsPump``."""

    established: bool
    ended: bool

    def receive(self, data: bytes) -> bytes: ...

    def encrypt(self, data: bytes) -> bytes: ...

    def close(self) -> bytes: ...

    def outgoing(self) -> bytes: ...

    @property
    def alpn(self) -> str | None: ...

    def peer_end_point(self) -> bytes: ...

    def peer_chain(self) -> tuple[bytes, ...]: ...


class TlsPump:
    """One TLS end. Feed it with ``receive``, send what ``outgoing`` gives."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, host: str | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=host)
        self.established = False
        self.ended = False
        """Whether the other end has said that nothing more comes (close_notify). It may be waiting for ours."""

    def receive(self, data: bytes) -> bytes:
        """Take encrypted bytes; the clear bytes they hold, if any. Raises ``TlsFailed``.

        The handshake goes on in here as well: look at ``established`` and send ``outgoing`` afterwards.
        """
        self._incoming.write(data)
        if not self.established and not self.advance():
            return b""
        parts: list[bytes] = []
        try:
            while True:
                part = self._object.read(_READ_BYTES)
                if not part:
                    self.ended = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            raise TlsFailed(_reason(error)) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def advance(self) -> bool:
        """Go on with the handshake; whether it is complete. Raises ``TlsFailed``."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise TlsFailed(_reason(error)) from error
        self.established = True
        return True

    def encrypt(self, data: bytes) -> bytes:
        """Clear bytes as encrypted ones."""
        self._object.write(data)
        return self._outgoing.read()

    def close(self) -> bytes:
        """The closing alert to send; nothing when there is none to send."""
        if not self.established:
            return b""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """What the handshake wants to send."""
        return self._outgoing.read()

    @property
    def alpn(self) -> str | None:
        return self._object.selected_alpn_protocol()

    def peer_end_point(self) -> bytes:
        """``tls-server-end-point`` of the server we talk to (RFC 5929)."""
        certificate = self._object.getpeercert(binary_form=True)
        return server_end_point(certificate) if certificate else b""

    def peer_chain(self) -> tuple[bytes, ...]:
        """The client's certificates: none, for this end asks for none."""
        return ()


def server_end_point(certificate_der: bytes) -> bytes:
    """The channel binding of a server certificate: its digest, empty where RFC 5929 does not define one."""
    try:
        algorithm = x509.load_der_x509_certificate(certificate_der).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return b""
    if algorithm is None:
        return b""
    name = "sha256" if isinstance(algorithm, hashes.MD5 | hashes.SHA1) else algorithm.name
    return hashlib.new(name, certificate_der).digest()


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    return (error.reason or "protocol error").lower().replace("_", " ")
