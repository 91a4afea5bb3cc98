"""The keys that sign the gateway's own tokens: Ed25519, encrypted at rest, replaced one after the other.

A key is published before it signs and for as long as anything that it signed may count, so that whoever has fetched
the keys knows the one that it meets. Nothing in here shows a private key.
"""

import base64
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from interlock.adapters.identity.keys import PublishedKey
from interlock.adapters.private_file import create_private, read_private, replace_private
from interlock.core.errors import ConfigurationError, CredentialUnavailable
from interlock.core.session_token import MAX_LIFETIME_S

KEYS_FILE: Final = "token-keys.sealed"
ALGORITHM: Final = "EdDSA"
OVERLAP_S: Final = 86_400.0
"""How long before it signs a key is published, at most half of its life."""
KEPT_S: Final = 2.0 * MAX_LIFETIME_S
"""How long after its last signature a key is published."""
_CONTEXT: Final = b"keys of the gateway's own tokens"

log = structlog.get_logger(__name__)


class Sealing(Protocol):
    """``adapters.sealing.Sealer``."""

    def seal(self, plaintext: bytes, context: bytes) -> bytes: ...

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Raises CredentialUnavailable."""


class _StoredKey(msgspec.Struct, frozen=True):
    """``signs_from_s`` is Unix time; it signs until the next one does."""

    private: bytes
    signs_from_s: float

    def __repr__(self) -> str:
        return "_StoredKey(...)"


class _Key:
    """A key, ready for use."""

    def __init__(self, stored: _StoredKey) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(stored.private)
        public = OKPKey.import_key(self.private.public_key())
        self.id = public.thumbprint()
        self.published = PublishedKey(self.id, ALGORITHM, public)
        self.signs_from_s = stored.signs_from_s
        self.stored = stored

    def jwk(self) -> dict[str, Any]:
        return {**self.published.key.as_dict(private=False), "kid": self.id, "use": "sig", "alg": ALGORITHM}


class TokenKeys:
    """All keys that are published, the oldest first. ``rotate`` is to be called now and then."""

    def __init__(self, file: Path, sealing: Sealing, rotate_s: float, now_s: float) -> None:
        """Open the file, or make it with a first key. Raises ConfigurationError, OSError."""
        self._file = file
        self._sealing = sealing
        self._rotate_s = rotate_s
        self._keys = [_Key(stored) for stored in self._load()] or [self._first(now_s)]
        self.rotate(now_s)

    def sign(self, claims: bytes, token_type: str, now_s: float) -> str:
        """A compact JWS of claims in JSON, with ``token_type`` as its ``typ``."""
        key = self._signing(now_s)
        header = msgspec.json.encode({"alg": ALGORITHM, "kid": key.id, "typ": token_type})
        signing_input = f"{_base64url(header)}.{_base64url(claims)}"
        return f"{signing_input}.{_base64url(key.private.sign(signing_input.encode()))}"

    def find(self, key_id: str | None) -> PublishedKey | None:
        """The published key of this name."""
        return next((key.published for key in self._keys if key.id == key_id), None)

    def jwks(self) -> dict[str, Any]:
        """The published keys (RFC 7517 section 5)."""
        return {"keys": [key.jwk() for key in self._keys]}

    def rotate(self, now_s: float) -> None:
        """Publish the next key when it is time, and forget those that have ended. Raises OSError."""
        keys = self._without_ended(now_s)
        newest_from_s = keys[-1].signs_from_s
        ahead_s = min(OVERLAP_S, self._rotate_s / 2)
        if newest_from_s <= now_s and now_s >= newest_from_s + self._rotate_s - ahead_s:
            keys = [*keys, _new_key(max(newest_from_s + self._rotate_s, now_s + ahead_s))]
            log.info("next key for the gateway's tokens is published", key=keys[-1].id)
        if keys != self._keys:
            self._save(keys)
            self._keys = keys

    def __repr__(self) -> str:
        return "TokenKeys(...)"

    def _without_ended(self, now_s: float) -> list[_Key]:
        """Those of which something may count: all but those whose successor has signed for long enough."""
        followed = zip(self._keys, self._keys[1:], strict=False)
        ended = sum(successor.signs_from_s + KEPT_S <= now_s for _, successor in followed)
        return self._keys[ended:]

    def _signing(self, now_s: float) -> _Key:
        """The newest key whose time has come. The first of all may be from a time that the clock was ahead."""
        return next((key for key in reversed(self._keys) if key.signs_from_s <= now_s), self._keys[0])

    def _first(self, now_s: float) -> _Key:
        key = _new_key(now_s)
        create_private(self._file, self._sealed([key]))
        return key

    def _load(self) -> list[_StoredKey]:
        try:
            sealed = read_private(self._file)
        except FileNotFoundError:
            return []
        try:
            return msgspec.msgpack.decode(self._sealing.unseal(sealed, _CONTEXT), type=list[_StoredKey])
        except (CredentialUnavailable, msgspec.DecodeError) as error:
            raise ConfigurationError(
                f"{self._file}: the keys of the gateway's tokens cannot be read: {error}"
            ) from None

    def _save(self, keys: list[_Key]) -> None:
        replace_private(self._file, self._sealed(keys))

    def _sealed(self, keys: list[_Key]) -> bytes:
        return self._sealing.seal(msgspec.msgpack.encode([key.stored for key in keys]), _CONTEXT)


def _new_key(signs_from_s: float) -> _Key:
    return _Key(_StoredKey(Ed25519PrivateKey.generate().private_bytes_raw(), signs_from_s))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
