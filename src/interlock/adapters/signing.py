"""The key that signs the ledger's checkpoints: made on first start, kept in the data directory."""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.adapters.private_file import create_private, read_private
from interlock.core.checkpoint import Signer
from interlock.core.errors import ConfigurationError

SIGNING_KEY_FILE: Final = "signing.key"
_KEY_BYTES: Final = 32


def open_signer(data_dir: Path, node: str) -> Signer:
    """The node's signer. Raises ``ConfigurationError`` when its key file cannot be used."""
    file = data_dir / SIGNING_KEY_FILE
    if not file.exists():
        create_private(file, Ed25519PrivateKey.generate().private_bytes_raw())
    raw = read_private(file)
    if len(raw) != _KEY_BYTES:
        raise ConfigurationError(f"{file}: is not a signing key of this gateway")
    return Signer(node, Ed25519PrivateKey.from_private_bytes(raw))
