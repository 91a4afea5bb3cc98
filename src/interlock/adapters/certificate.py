"""The certificate that the gateway shows to clients: the configured one, or one made on first start."""

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from interlock.adapters.private_file import create_private
from interlock.core.errors import ConfigurationError
from interlock.core.settings import ApiSettings, HttpSettings, PostgresSettings

CERTIFICATE_FILE: Final = "listener.crt"
KEY_FILE: Final = "listener.key"
POSTGRES_PROTOCOL: Final = "postgresql"
_LIFE: Final = datetime.timedelta(days=825)

log = structlog.get_logger()


def listener_files(settings: PostgresSettings, data_dir: Path, now_s: float) -> tuple[Path, Path]:
    """Certificate and key of the PostgreSQL listener, made when none is configured."""
    if settings.tls_certificate and settings.tls_key:
        return Path(settings.tls_certificate), Path(settings.tls_key)
    certificate, key = data_dir / CERTIFICATE_FILE, data_dir / KEY_FILE
    if not certificate.exists():
        _make_self_signed(certificate, key, now_s)
        log.warning("no TLS certificate is configured: made a self-signed one", file=str(certificate))
    return certificate, key


def http_files(http: HttpSettings, postgres: PostgresSettings, data_dir: Path, now_s: float) -> tuple[Path, Path]:
    """Certificate and key of a listener for HTTP: its own, or else the PostgreSQL listener's."""
    if http.tls_certificate and http.tls_key:
        return Path(http.tls_certificate), Path(http.tls_key)
    return listener_files(postgres, data_dir, now_s)


def listener_tls(settings: PostgresSettings, data_dir: Path, now_s: float) -> tuple[ssl.SSLContext, bytes]:
    """The PostgreSQL listener's context and its certificate in DER. Raises ``ConfigurationError``."""
    return _context(*listener_files(settings, data_dir, now_s), POSTGRES_PROTOCOL)


def http_protocols(*, http2: bool) -> tuple[str, ...]:
    """What a listener for HTTP offers in TLS (ALPN)."""
    return ("h2", "http/1.1") if http2 else ("http/1.1",)


def listener_certificate(settings: PostgresSettings, data_dir: Path) -> str:
    """The certificate of the PostgreSQL listener, in PEM, once there is one. Raises ``ConfigurationError``."""
    file = Path(settings.tls_certificate) if settings.tls_certificate else data_dir / CERTIFICATE_FILE
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: the TLS certificate cannot be read: {error}") from error


def private_authority(certificate: str | None, settings: PostgresSettings, data_dir: Path) -> str:
    """What vouches for a listener's certificate, in PEM: what is self-signed in its file, else nothing.

    Without a ``certificate`` of its own the listener shows the PostgreSQL listener's. Raises ``ConfigurationError``.
    """
    file = Path(certificate or settings.tls_certificate or data_dir / CERTIFICATE_FILE)
    try:
        chain = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: the TLS certificate cannot be read: {error}") from error
    own = (one for one in chain if one.issuer == one.subject)
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in own)


def api_tls(api: ApiSettings, postgres: PostgresSettings, data_dir: Path, now_s: float) -> ssl.SSLContext:
    """The API's context, with its own certificate or else the PostgreSQL listener's. Raises ``ConfigurationError``."""
    if api.tls_certificate and api.tls_key:
        files = Path(api.tls_certificate), Path(api.tls_key)
    else:
        files = listener_files(postgres, data_dir, now_s)
    return _context(*files, "http/1.1")[0]


def http_tls(
    http: HttpSettings, postgres: PostgresSettings, data_dir: Path, now_s: float, *, http2: bool
) -> ssl.SSLContext:
    """The context of a listener for HTTP, with its own certificate or else the PostgreSQL listener's.

    Raises ``ConfigurationError``.
    """
    files = http_files(http, postgres, data_dir, now_s)
    return _context(*files, *http_protocols(http2=http2))[0]


def _context(certificate: Path, key: Path, *protocols: str) -> tuple[ssl.SSLContext, bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    try:
        context.load_cert_chain(certificate, key)
        own = x509.load_pem_x509_certificates(certificate.read_bytes())[0]  # those of its authorities follow
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"{certificate}: the TLS certificate or its key cannot be used: {error}") from error
    return context, own.public_bytes(serialization.Encoding.DER)


def _make_self_signed(certificate: Path, key: Path, now_s: float) -> None:
    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Interlock gateway (self-signed)")])
    start = datetime.datetime.fromtimestamp(now_s, datetime.UTC) - datetime.timedelta(hours=1)
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private_key, hashes.SHA256())
    )
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key.unlink(missing_ok=True)
    create_private(key, pem)
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
