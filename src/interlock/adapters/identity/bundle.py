"""SPIFFE bundles (SPIFFE Trust Domain and Bundle, section 4) and PEM files of authorities, read strictly.

Nothing in here is fetched. What a bundle does not say is not trusted: an empty one trusts nothing.
"""

import base64
import binascii
from typing import Any, Final

import msgspec
from cryptography import x509

from interlock.adapters.identity.keys import MAX_KEYS, IssuerKeys, PublishedKey, read_key

_DEFAULT_REFRESH_S: Final = 300


class Bundle(msgspec.Struct, frozen=True):
    """What a trust domain vouches with: keys of its JWT-SVIDs and authorities of its X.509-SVIDs."""

    keys: IssuerKeys
    authorities: tuple[x509.Certificate, ...]
    refresh_s: int = _DEFAULT_REFRESH_S

    def same_as(self, other: "Bundle") -> bool:
        """Whether both trust the same."""
        return self.keys.same_as(other.keys) and set(self.authorities) == set(other.authorities)


def read_bundle(document: object) -> Bundle:
    """The bundle that a JSON document is. Raises ValueError."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError("not a SPIFFE bundle")
    keys: list[PublishedKey] = []
    authorities: list[x509.Certificate] = []
    for entry in entries:
        use = entry.get("use") if isinstance(entry, dict) else None
        if use == "jwt-svid" and (key := _token_key(entry)) is not None:
            keys.append(key)
        elif use == "x509-svid":
            authorities.append(_authority(entry))
    refresh = document.get("spiffe_refresh_hint")
    hinted = refresh if isinstance(refresh, int) and refresh > 0 else _DEFAULT_REFRESH_S
    return Bundle(IssuerKeys(keys), tuple(authorities), hinted)


def read_authorities(pem: bytes) -> Bundle:
    """The authorities in a PEM file. Raises ValueError."""
    authorities = x509.load_pem_x509_certificates(pem)
    if len(authorities) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} authorities")
    return Bundle(IssuerKeys(()), tuple(authorities))


def _token_key(entry: dict[str, Any]) -> PublishedKey | None:
    """The key of an entry; one without a ``kid`` is left out, for no token can name it."""
    key = read_key({**entry, "use": "sig"})
    return key if key is not None and key.key_id else None


def _authority(entry: dict[str, Any]) -> x509.Certificate:
    """The one certificate of an entry (X.509-SVID section 6.1). Raises ValueError."""
    chain = entry.get("x5c")
    if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
        raise ValueError("an authority for X.509-SVIDs has exactly one certificate")
    try:
        return x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True))
    except binascii.Error:
        raise ValueError("an authority for X.509-SVIDs is not base64") from None
