"""Public keys of SSH, as OpenSSH writes them: read, named by their fingerprint, weak ones refused.

Values only; nothing in here holds or makes a private key.
"""

import base64
import binascii
import hashlib
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

MIN_RSA_BITS: Final = 3072
MAX_RSA_BITS: Final = 16_384
MAX_KEY_CHARACTERS: Final = 8192
SSH_KEY_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
CERTIFICATE_SUFFIX: Final = "-cert-v01@openssh.com"
_HOW: Final = "give one public key, as in a .pub file: ssh-ed25519 AAAA… comment"


class SshPublicKey(msgspec.Struct, frozen=True):
    """A public key that may be used. ``blob`` is its wire form (RFC 4253 section 6.6) in base64."""

    algorithm: str
    blob: str
    comment: str = ""

    @property
    def line(self) -> str:
        """As in ``authorized_keys``, without the comment."""
        return f"{self.algorithm} {self.blob}"

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` prints it: ``SHA256:…``."""
        return blob_fingerprint(base64.b64decode(self.blob))

    @property
    def of_security_key(self) -> bool:
        """Whether the private key is in a device that asks for a touch (FIDO)."""
        return self.algorithm.startswith("sk-")


class SignedKey(msgspec.Struct, frozen=True):
    """A user certificate of this gateway (one line, as in a ``-cert.pub`` file), and which key it is for.

    ``ends_at_s`` is Unix time.
    """

    certificate: str
    serial: int
    fingerprint: str
    ends_at_s: float


def blob_fingerprint(blob: bytes) -> str:
    """The fingerprint of a key in its wire form."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read_ssh_key(text: str) -> SshPublicKey:
    """The key in the text of a ``.pub`` file. Raises ``ValueError``, which says what is wrong and quotes no key."""
    if "PRIVATE KEY" in text:
        raise ValueError(f"this is a private key, which nobody but its owner may have; {_HOW}")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(text) > MAX_KEY_CHARACTERS or len(lines) != 1:
        raise ValueError(f"this is not one public key; {_HOW}")
    algorithm, _, rest = lines[0].strip().partition(" ")
    blob, _, comment = rest.strip().partition(" ")
    _check_algorithm(algorithm)
    _check_blob(algorithm, blob)
    return SshPublicKey(algorithm, blob, comment.strip()[:200])


def _check_algorithm(algorithm: str) -> None:
    if algorithm.endswith(CERTIFICATE_SUFFIX):
        raise ValueError(f"this is a certificate and not a key; {_HOW}")
    if algorithm == "ssh-dss":
        raise ValueError("DSA keys are not accepted: make another one with ssh-keygen -t ed25519")
    if algorithm not in SSH_KEY_ALGORITHMS:
        raise ValueError(f"this is no public key of a kind that is accepted ({', '.join(SSH_KEY_ALGORITHMS)}); {_HOW}")


def _check_blob(algorithm: str, blob: str) -> None:
    try:
        canonical = base64.b64encode(base64.b64decode(blob, validate=True)).decode()
        key = load_ssh_public_key(f"{algorithm} {blob}".encode())
    except (binascii.Error, ValueError, UnsupportedAlgorithm, TypeError):
        raise ValueError(f"the key cannot be read; {_HOW}") from None
    if canonical != blob:  # one key has one spelling
        raise ValueError(f"the key cannot be read; {_HOW}")
    if isinstance(key, RSAPublicKey) and not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise ValueError(
            f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, and this one has {key.key_size}: "
            "make another one with ssh-keygen -t ed25519"
        )


class RegisteredSshKey(msgspec.Struct, frozen=True):
    """A key that was registered for an identity, by whom and when. Times are Unix seconds."""

    identity: str
    key: SshPublicKey
    by: str
    added_at_s: float
    expires_at_s: float | None = None

    @property
    def fingerprint(self) -> str:
        """Of the key."""
        return self.key.fingerprint
