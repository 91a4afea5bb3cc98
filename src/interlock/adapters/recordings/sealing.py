"""How a session's recording is encrypted: one random AES-256 key a session, and what each use of it is bound to.

Every use has its own nonce domain (four bytes) in front of an eight-byte counter, so that no two encryptions under
one key ever share a nonce. The session's id is authenticated with all of them.
"""

import hashlib
import hmac
from typing import Protocol

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from interlock.core.errors import EvidenceError
from interlock.core.recording import Frame, SealedRequest

KEY_BYTES = 32
NONCE_BYTES = 12
_TAG_BYTES = 16
MAX_CHUNK_BYTES = 256 << 20
_REQUEST_DOMAIN = b"req\x00"
_CHUNK_DOMAIN = b"chk\x00"
_frames = msgspec.msgpack.Decoder(list[Frame])
_request = msgspec.msgpack.Decoder(SealedRequest)
encode = msgspec.msgpack.Encoder().encode


class Sealer(Protocol):
    """The gateway's key-encryption key. ``context`` is authenticated with what is sealed."""

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt."""

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt. Raises an ``InterlockError`` when it is not what was sealed in this context."""


def key_context(session_id: str) -> bytes:
    """What a wrapped session key is bound to."""
    return b"interlock session key " + session_id.encode()


class SessionCipher:
    """Encrypts and decrypts with one session's key. ``repr`` shows nothing of it."""

    def __init__(self, key: bytes, session_id: str) -> None:
        self._cipher = AESGCM(key)
        self._session = session_id.encode()
        self._gap_key = hmac.digest(key, b"interlock recording gap", "sha256")

    def seal_request(self, counter: int, number: int, request: SealedRequest) -> bytes:
        """Nonce and ciphertext of a request; ``counter`` must never repeat in a session."""
        nonce = _REQUEST_DOMAIN + counter.to_bytes(8, "big")
        return nonce + self._cipher.encrypt(nonce, encode(request), self._session + number.to_bytes(8, "big"))

    def unseal_request(self, number: int, sealed: bytes) -> SealedRequest:
        """The request in ``OperationDecided.sealed``. Raises ``EvidenceError`` when it is not authentic."""
        if sealed[:4] != _REQUEST_DOMAIN or len(sealed) < NONCE_BYTES + _TAG_BYTES:
            raise EvidenceError("a sealed request has a wrong form")
        bound = self._session + number.to_bytes(8, "big")
        clear = self._decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound, "a sealed request")
        try:
            return _request.decode(clear)
        except msgspec.DecodeError:
            raise EvidenceError("a sealed request cannot be read") from None

    def seal_frames(self, counter: int, frames: list[Frame], compressor: zstandard.ZstdCompressor) -> bytes:
        """The ciphertext of a chunk; ``counter`` must never repeat in a session, not even after a failed write."""
        nonce = _CHUNK_DOMAIN + counter.to_bytes(8, "big")
        return self._cipher.encrypt(nonce, compressor.compress(encode(frames)), self._session)

    def unseal_frames(self, counter: int, ciphertext: bytes) -> list[Frame]:
        """The frames of a chunk. Raises ``EvidenceError`` when it is not authentic."""
        nonce = _CHUNK_DOMAIN + counter.to_bytes(8, "big")
        clear = self._decrypt(nonce, ciphertext, self._session, "a recording chunk")
        try:
            return _frames.decode(zstandard.ZstdDecompressor().decompress(clear, max_output_size=MAX_CHUNK_BYTES))
        except (zstandard.ZstdError, msgspec.DecodeError):
            raise EvidenceError("a recording chunk cannot be read") from None

    def gap_digest(self) -> "hmac.HMAC":
        """A digest of what is left out; keyed, so that it does not give away a short value."""
        return hmac.new(self._gap_key, digestmod=hashlib.sha256)

    def _decrypt(self, nonce: bytes, ciphertext: bytes, bound: bytes, what: str) -> bytes:
        try:
            return self._cipher.decrypt(nonce, ciphertext, bound)
        except InvalidTag:
            raise EvidenceError(f"{what} is not authentic") from None
