"""Secrets made for identities that cannot bring tokens, and the verifiers that are kept of them.

A verifier proves that a client has the secret and cannot be turned back into it (RFC 5802, written as in RFC 5803).
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16
# The secret has 256 random bits, so more rounds would cost logins and gain nothing.
ITERATIONS: Final = 4096


def generate_secret() -> str:
    """A random secret of letters, digits, ``-`` and ``_``: SASLprep leaves it as it is."""
    return secrets.token_urlsafe(SECRET_BYTES)


def make_verifier(secret: str, salt: bytes | None = None) -> str:
    """``SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`` for an ASCII secret; the salt is random unless given."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode("ascii"), salt, ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt_text}${stored_text}:{server_text}"
