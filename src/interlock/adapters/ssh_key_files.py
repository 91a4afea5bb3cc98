"""Private keys of SSH in files that only the gateway's user may read: read, and made when they are not there."""

from pathlib import Path

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from interlock.adapters.private_file import create_private, read_private
from interlock.core.errors import ConfigurationError
from interlock.core.ssh_key import read_ssh_key

PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

log = structlog.get_logger()


def open_own_key(file: Path) -> Ed25519PrivateKey:
    """The gateway's own key in a file, which is there as a whole or not at all; made when it is not.

    Raises ``ConfigurationError``, ``OSError``.
    """
    if not file.exists():
        unfinished = file.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        create_private(unfinished, private_text(Ed25519PrivateKey.generate()))
        unfinished.rename(file)
        log.info("made a key for SSH", file=str(file))
    key = _read(file)
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(file)
    return key


def read_host_key(file: Path) -> PrivateKey:
    """The host key of settings. Raises ``ConfigurationError``, also for a weak key."""
    try:
        key = _read(file)
    except OSError as error:
        raise ConfigurationError(f"ssh.host_key: {file}: {error.strerror}") from None
    try:
        read_ssh_key(public_line(key))
    except ValueError as error:
        raise ConfigurationError(f"ssh.host_key: {file}: {error}") from None
    return key


def _read(file: Path) -> PrivateKey:
    content = read_private(file)
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in content else load_pem_private_key
    try:
        key = load(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable(file) from None
    if not isinstance(key, PrivateKey):
        raise _unusable(file)
    return key


def _unusable(file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{file}: is not a private key without passphrase that the gateway can use. Restore it, or move it away: then "
        "another one is made, which clients and targets have to be given"
    )


def private_text(key: PrivateKey) -> bytes:
    """The key as OpenSSH writes it, without passphrase."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public_line(key: PrivateKey | PublicKey) -> str:
    """The public key as OpenSSH writes it: ``ssh-ed25519 AAAA…``."""
    public = key.public_key() if isinstance(key, PrivateKey) else key
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
