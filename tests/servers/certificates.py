"""Certificates for tests: a throw-away authority, and good and bad certificates issued by it.

Keys are P-256 and written unencrypted into the given directory: never use any of this outside tests.
"""

import datetime
import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """PEM files of one certificate and its private key."""

    certificate_file: Path
    key_file: Path


class CertificateAuthority:
    """A self-signed authority that writes what it issues as PEM files into ``directory``."""

    def __init__(self, directory: Path, *, common_name: str = "Test authority") -> None:
        self._directory = directory
        self._serial_numbers = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(common_name)
        now = datetime.datetime.now(datetime.UTC)
        key_identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._authority_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(key_identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate_file = directory / "authority.pem"
        self.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue_server(self, names: Sequence[str] = LOOPBACK_NAMES, *, expired: bool = False) -> Certificate:
        """A server certificate for DNS names and IP addresses; pass other ``names`` for one of the wrong host."""
        return self._issue(names[0], names, ExtendedKeyUsageOID.SERVER_AUTH, expired=expired)

    def issue_client(self, common_name: str, *, expired: bool = False) -> Certificate:
        """A client certificate; PostgreSQL's ``cert`` method compares ``common_name`` with the role."""
        return self._issue(common_name, (), ExtendedKeyUsageOID.CLIENT_AUTH, expired=expired)

    def _issue(
        self, common_name: str, names: Sequence[str], usage: x509.ObjectIdentifier, *, expired: bool
    ) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        ends = datetime.datetime.now(datetime.UTC) + (-_DAY if expired else 30 * _DAY)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - 31 * _DAY)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(self._authority_key, critical=False)
        )
        if names:
            subject_names = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(subject_names, critical=False)
        return self._write(builder.sign(self._key, hashes.SHA256()), key)

    def _write(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
        number = next(self._serial_numbers)
        files = Certificate(self._directory / f"{number}.pem", self._directory / f"{number}.key")
        files.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key_file.touch(mode=0o600)
        files.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return files


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
