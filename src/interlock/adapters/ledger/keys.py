"""The ledger's signing key on disk: made at the first start, sealed with the gateway's key."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.adapters.ledger.disk import replace_file
from interlock.adapters.recordings.sealing import Sealer
from interlock.core.checkpoint import Signer

_FILE = "signing.key.sealed"
_CONTEXT = b"interlock ledger signing key"


def load_or_create_signer(directory: Path, name: str, sealer: Sealer) -> Signer:
    """The signer of the ledger in ``directory``; ``name`` is the ledger's origin (``interlock/NODE``).

    Raises ``OSError``, or whatever the sealer raises when the key was sealed with another one. Raises ``ValueError``
    for a name with white space or ``+``.
    """
    path = directory / _FILE
    if path.exists():
        return Signer(name, Ed25519PrivateKey.from_private_bytes(sealer.unseal(path.read_bytes(), _CONTEXT)))
    key = Ed25519PrivateKey.generate()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, sealer.seal(key.private_bytes_raw(), _CONTEXT))
    return Signer(name, key)
