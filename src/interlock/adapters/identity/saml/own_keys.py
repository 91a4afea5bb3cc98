"""The key that this gateway signs its SAML requests with, and the certificate that providers know it by.

The configured pair, or one that is made on first start and kept in the data directory, readable by its owner only.
"""

import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from interlock.adapters.private_file import create_private, read_private
from interlock.core.errors import ConfigurationError
from interlock.core.settings import SamlSettings

CERTIFICATE_FILE: Final = "saml.crt"
KEY_FILE: Final = "saml.key"
_LIFE: Final = datetime.timedelta(days=3650)
_KEY_BITS: Final = 3072


class OwnKeys:
    """Signs what this gateway sends."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        self.key = key
        self.certificate = certificate

    def sign(self, octets: bytes) -> bytes:
        """The RSA-SHA256 signature (RFC 8017 section 8.2) of some octets."""
        return self.key.sign(octets, padding.PKCS1v15(), hashes.SHA256())

    def __repr__(self) -> str:
        return "OwnKeys(...)"


def open_own_keys(settings: SamlSettings, data_dir: Path, now_s: float) -> OwnKeys:
    """The pair for requests to one provider. Raises ConfigurationError when it cannot be used."""
    certificate_file, key_file = data_dir / CERTIFICATE_FILE, data_dir / KEY_FILE
    if settings.signing_certificate and settings.signing_key:
        certificate_file, key_file = Path(settings.signing_certificate), Path(settings.signing_key)
    elif not key_file.exists():
        _make(certificate_file, key_file, now_s)
    try:
        key = serialization.load_pem_private_key(read_private(key_file), password=None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{key_file}: the key for SAML requests cannot be used: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigurationError(f"{key_file}: must be the RSA key of {certificate_file}")
    return OwnKeys(key, certificate)


def _make(certificate_file: Path, key_file: Path, now_s: float) -> None:
    """The certificate first: without the key it is made again."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Interlock gateway (SAML requests)")])
    start = datetime.datetime.fromtimestamp(now_s, datetime.UTC) - datetime.timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFE)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    create_private(key_file, pem)
