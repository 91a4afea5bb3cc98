"""An issuer's published keys (RFC 7517), and which of them may verify what.

Keys come from here only, never from a token. A ``kid`` is an opaque text that is compared, never parsed.
"""

import base64
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from interlock.adapters.identity.token import UnverifiedToken

MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
# What each algorithm needs of a key (RFC 7518 section 3.1, RFC 8037): type and, for curves, which one.
_KEY_TYPES: Final[dict[str, tuple[type[Any], str | None]]] = {
    "RS256": (RSAKey, None),
    "PS256": (RSAKey, None),
    "ES256": (ECKey, "P-256"),
    "ES384": (ECKey, "P-384"),
    "EdDSA": (OKPKey, "Ed25519"),
}
_IMPORTERS: Final[dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_PRIVATE_PARTS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


class PublishedKey(msgspec.Struct, frozen=True):
    """One usable public key. ``algorithm`` is the only one it is for, when the issuer says so."""

    key_id: str | None
    algorithm: str | None
    key: Key

    @property
    def thumbprint(self) -> str:
        """As RFC 7638 has it."""
        return self.key.thumbprint()

    def fits(self, algorithm: str) -> bool:
        """Whether this key may verify signatures of ``algorithm``."""
        if self.algorithm is not None and self.algorithm != algorithm:
            return False
        kind, curve = _KEY_TYPES[algorithm]
        return isinstance(self.key, kind) and curve in (None, getattr(self.key, "curve_name", None))


class IssuerKeys:
    """All keys of one issuer at one time."""

    def __init__(self, keys: Iterable[PublishedKey]) -> None:
        self._keys = tuple(keys)

    def find(self, key_id: str | None, algorithm: str) -> PublishedKey | None:
        """The key for a token, or None when it is unknown or (without a ``kid``) not the only one that fits."""
        fitting = [key for key in self._keys if key.fits(algorithm) and key_id in (None, key.key_id)]
        return fitting[0] if len(fitting) == 1 else None

    def same_as(self, other: "IssuerKeys") -> bool:
        """Whether both hold the same keys under the same names."""
        return self._fingerprints() == other._fingerprints()

    def _fingerprints(self) -> set[tuple[str | None, str | None, str]]:
        return {(key.key_id, key.algorithm, key.thumbprint) for key in self._keys}


def read_keys(document: object) -> IssuerKeys:
    """One key of a set; None when it cannot verify tokens."""
    """The usable keys of a JWK set; others (encryption keys, unknown types) are left out.

    Raises ValueError when the document is not a JWK set or has no usable key.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError("not a JWK set")
    keys = [key for key in map(read_key, entries) if key is not None]
    if not keys:
        raise ValueError("the JWK set has no key that can verify tokens")
    return IssuerKeys(keys)


def read_key(entry: object) -> PublishedKey | None:
    """One key of a set; None when it cannot verify tokens."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops", ["verify"])
    importer = _IMPORTERS.get(str(entry.get("kty")))
    if importer is None or not isinstance(operations, list) or "verify" not in operations:
        return None
    if any(part in entry for part in _PRIVATE_PARTS):
        return None
    if importer is RSAKey and not MIN_RSA_BITS <= _modulus_bits(entry.get("n")) <= MAX_RSA_BITS:
        return None
    key_id, algorithm = entry.get("kid"), entry.get("alg")
    if not isinstance(key_id, str | None) or not isinstance(algorithm, str | None):
        return None
    try:
        key = importer.import_key({name: entry[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in entry})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return PublishedKey(key_id, algorithm, key)


def _modulus_bits(modulus: object) -> int:
    """The size of a base64url-encoded RSA modulus; 0 when it is none."""
    if not isinstance(modulus, str):
        return 0
    try:
        return int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))).bit_length()
    except ValueError:
        return 0


def signature_holds(token: UnverifiedToken, published: PublishedKey) -> bool:
    """Whether the token was signed with this key. The algorithm has been checked against the issuer's list before."""
    return JWSRegistry.algorithms[token.algorithm].verify(token.signing_input, token.signature, published.key)
