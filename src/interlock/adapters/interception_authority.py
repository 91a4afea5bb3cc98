"""The gateway's own certificate authority: with its certificates the forward proxy answers for the hosts it looks into.

It is made on first start. Its key stays in one file of the data directory, which only the gateway's user may read; the
key of the certificates it issues is made anew by each process and is shared by all of them. It issues for any host it
is asked for: whoever asks has decided that the host may be intercepted.
"""

import collections
import datetime
import hashlib
import os
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from interlock.adapters.private_file import create_private, read_private
from interlock.core.addresses import host_problem, read_address
from interlock.core.errors import ConfigurationError
from interlock.services.ports import Clock

AUTHORITY_FILE: Final = "interception-authority.pem"
AUTHORITY_LIFE: Final = datetime.timedelta(days=3650)
LEAF_LIFE: Final = datetime.timedelta(days=7)
RENEW_BEFORE: Final = datetime.timedelta(days=1)
SKEW: Final = datetime.timedelta(days=1)
"""By how much a client's clock may be behind."""
MAX_CONTEXTS: Final = 1000
_WARN_BEFORE: Final = datetime.timedelta(days=60)

log = structlog.get_logger()


class _Leaf(NamedTuple):
    """A host's context, and when another one is due."""

    context: ssl.SSLContext
    renew_at: datetime.datetime


class InterceptionAuthority:
    """Issues certificates for hosts and keeps the contexts that show them, the least used ones no longer."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, clock: Clock) -> None:
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaves: collections.OrderedDict[str, _Leaf] = collections.OrderedDict()

    @property
    def certificate_pem(self) -> str:
        """What clients have to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in DER, in lower-case hexadecimal."""
        return hashlib.sha256(self._certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    @property
    def ends_at_s(self) -> float:
        """Unix time at which the certificate ends."""
        return self._certificate.not_valid_after_utc.timestamp()

    def context_for(self, host: str) -> ssl.SSLContext:
        """The server's context for a host in lower case. Takes some milliseconds for a new one.

        A client that names another host in its TLS greeting (SNI) is turned away with ``unrecognized_name``; one that
        names none is taken to mean this host. Raises ``ValueError`` for what is no host, ``ConfigurationError`` when
        the authority has ended, ``OSError`` when there is no time or no place to work.
        """
        now = _moment(self._clock)
        known = self._leaves.get(host)
        if known is None or known.renew_at <= now:
            known = self._leaves[host] = self._issue(host, now)
        self._leaves.move_to_end(host)
        if len(self._leaves) > MAX_CONTEXTS:
            self._leaves.popitem(last=False)
        return known.context

    def _issue(self, host: str, now: datetime.datetime) -> _Leaf:
        if problem := host_problem(host):
            raise ValueError(f"no certificate for {host!r}: {problem}")
        ends = min(now + LEAF_LIFE, self._certificate.not_valid_after_utc)
        if ends <= now:
            raise ConfigurationError(
                f"the interception authority has ended: move {AUTHORITY_FILE} away, start the gateway again, and give "
                "clients the new certificate"
            )
        address = read_address(host)
        name: x509.GeneralName = x509.DNSName(host) if address is None else x509.IPAddress(address)
        certificate = self._sign(name, now - SKEW, ends)
        context = _server_context(certificate, self._leaf_key)
        context.sni_callback = _only_for(host)
        return _Leaf(context, ends - RENEW_BEFORE if ends - now > RENEW_BEFORE else ends)

    def _sign(self, name: x509.GeneralName, start: datetime.datetime, ends: datetime.datetime) -> x509.Certificate:
        public_key = self._leaf_key.public_key()
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return (
            x509.CertificateBuilder()
            .subject_name(_name("Intercepted by Interlock"))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def open_interception_authority(data_dir: Path, node: str, clock: Clock) -> InterceptionAuthority:
    """The authority in the data directory, made when there is none. Raises ``ConfigurationError``, ``OSError``."""
    file = data_dir / AUTHORITY_FILE
    if not file.exists():
        _make(file, node, clock)
        log.warning("made an authority for TLS interception; clients of the proxy have to trust it", file=str(file))
    certificate, key = _read(file)
    if certificate.not_valid_after_utc - _moment(clock) < _WARN_BEFORE:
        log.warning("the interception authority ends soon", file=str(file), at=str(certificate.not_valid_after_utc))
    return InterceptionAuthority(certificate, key, clock)


def _make(file: Path, node: str, clock: Clock) -> None:
    """Key and certificate in one file, which is there as a whole or not at all."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, start = _name(f"Interlock interception ({node})"[:64]), _moment(clock) - SKEW
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    create_private(unfinished, _pem(certificate, key))
    unfinished.rename(file)


def _read(file: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    pem = read_private(file)
    try:
        certificate, key = x509.load_pem_x509_certificate(pem), serialization.load_pem_private_key(pem, None)
        certificate.verify_directly_issued_by(certificate)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        raise _unusable(file) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not constraints.ca:
        raise _unusable(file)
    if key.public_key() != certificate.public_key():
        raise _unusable(file)
    return certificate, key


def _unusable(file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{file}: is not an authority of this gateway. Restore it, or move it away: then another one is made, which "
        "clients have to be given"
    )


def _server_context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    descriptor, name = tempfile.mkstemp()  # ``ssl`` reads chains from files only: a private one, gone at once
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_pem(certificate, key))
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()
    return context


def _only_for(host: str) -> Callable[[ssl.SSLObject, str, ssl.SSLContext], int | None]:
    def check(_: ssl.SSLObject, named: str, __: ssl.SSLContext) -> int | None:
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if named and named.lower() != host else None

    return check


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _moment(clock: Clock) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(clock.now_s(), datetime.UTC)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
