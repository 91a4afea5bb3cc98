"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 5803, 7677, 5929), both ends.

Pure: nonces come from the caller. A verifier is ``SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>``, the form
that PostgreSQL keeps in ``pg_authid``. Secrets are in no ``repr``.
"""

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import Final

SCRAM: Final = "SCRAM-SHA-256"
SCRAM_PLUS: Final = "SCRAM-SHA-256-PLUS"

_MAX_ITERATIONS: Final = 100_000


class ScramError(Exception):
    """The exchange failed: malformed message, wrong proof, wrong binding or a downgrade."""


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


@lru_cache(maxsize=256)
def _salted_password(password: str, salt: bytes, iterations: int) -> bytes:
    """Cached: it costs milliseconds and a target asks for the same one at each login."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def _attributes(message: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in message.split(","):
        if len(part) < 2 or part[1] != "=" or part[0] in pairs:
            raise ScramError("malformed SCRAM message")
        pairs[part[0]] = part[2:]
    return pairs


def _decode64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ScramError("malformed base64 in a SCRAM message") from error


def _encode64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ScramError("a SCRAM message is not UTF-8") from error


def make_verifier(password: str, salt: bytes, iterations: int = 4096) -> str:
    """The verifier of a password, for storage at the server end."""
    salted = _salted_password(password, salt, iterations)
    stored_key = _sha256(_mac(salted, b"Client Key"))
    server_key = _mac(salted, b"Server Key")
    return f"{SCRAM}${iterations}:{_encode64(salt)}${_encode64(stored_key)}:{_encode64(server_key)}"


class ScramServer:
    """Checks a client's proof against a verifier.

    ``binding`` is the ``tls-server-end-point`` value of this connection, empty without TLS. Call ``first`` with the
    client's first message, then ``final`` with its second.
    """

    def __init__(self, verifier: str, mechanism: str, binding: bytes, nonce: bytes) -> None:
        try:
            scheme, iterations_salt, keys = verifier.split("$")
            iterations, salt = iterations_salt.split(":")
            stored_key, server_key = keys.split(":")
        except ValueError as error:
            raise ScramError("the stored verifier is malformed") from error
        if scheme != SCRAM:
            raise ScramError("the stored verifier is of another mechanism")
        self._challenge = f"s={salt},i={int(iterations)}"
        self._stored_key = _decode64(stored_key)
        self._server_key = _decode64(server_key)
        self._plus = mechanism == SCRAM_PLUS
        self._binding = binding
        self._nonce = _encode64(nonce)
        self._gs2_header = ""
        self._client_first_bare = ""
        self._server_first = ""

    def first(self, data: bytes) -> bytes:
        """The server's first message. Raises ``ScramError``."""
        message = _text(data)
        flag, comma, rest = message.partition(",")
        authorization, second_comma, bare = rest.partition(",")
        if not comma or not second_comma:
            raise ScramError("malformed SCRAM message")
        if authorization:
            raise ScramError("an authorization identity is not supported")
        self._check_flag(flag)
        client_nonce = _attributes(bare).get("r", "")
        if not client_nonce or bare.startswith("m="):
            raise ScramError("malformed SCRAM message")
        self._gs2_header = f"{flag},,"
        self._client_first_bare = bare
        self._server_first = f"r={client_nonce}{self._nonce},{self._challenge}"
        return self._server_first.encode()

    def _check_flag(self, flag: str) -> None:
        if self._plus and flag != "p=tls-server-end-point":
            raise ScramError("unsupported channel binding type")
        if not self._plus and flag == "y" and self._binding:
            raise ScramError("channel binding was offered but the client did not see it: possible downgrade")
        if not self._plus and flag not in ("n", "y"):
            raise ScramError("channel binding flag does not fit the mechanism")

    def final(self, data: bytes) -> bytes:
        """The server's final message, after the proof was found right. Raises ``ScramError``."""
        message = _text(data)
        without_proof, found, _ = message.rpartition(",p=")
        if not found:
            raise ScramError("malformed SCRAM message")
        attributes = _attributes(message)
        expected_binding = self._gs2_header.encode() + (self._binding if self._plus else b"")
        if not hmac.compare_digest(_decode64(attributes.get("c", "")), expected_binding):
            raise ScramError("channel binding does not match")
        if attributes.get("r", "") != _attributes(self._server_first)["r"]:
            raise ScramError("nonce does not match")
        auth_message = f"{self._client_first_bare},{self._server_first},{without_proof}".encode()
        signature = _mac(self._stored_key, auth_message)
        proof = _decode64(attributes["p"])
        if len(proof) != len(signature):
            raise ScramError("wrong proof")
        if not hmac.compare_digest(_sha256(_xor(proof, signature)), self._stored_key):
            raise ScramError("wrong proof")
        return f"v={_encode64(_mac(self._server_key, auth_message))}".encode()


class ScramClient:
    """Proves a password to a server, with channel binding where the server offers it."""

    def __init__(self, password: str, mechanism: str, binding: bytes, nonce: bytes) -> None:
        self._password = password
        if mechanism == SCRAM_PLUS:
            self._gs2_header = "p=tls-server-end-point,,"
            self._binding = binding
        else:
            self._gs2_header = "y,," if binding else "n,,"
            self._binding = b""
        self._nonce = _encode64(nonce)
        self._server_signature = b""

    def first(self) -> bytes:
        """The client's first message. The user name is left empty, as PostgreSQL takes it from the startup."""
        return f"{self._gs2_header}n=,r={self._nonce}".encode()

    def final(self, data: bytes) -> bytes:
        """The client's final message. Raises ``ScramError``."""
        server_first = _text(data)
        attributes = _attributes(server_first)
        nonce = attributes.get("r", "")
        count = attributes.get("i", "")
        iterations = int(count) if count.isdecimal() and len(count) <= len(str(_MAX_ITERATIONS)) else 0
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramError("the server's nonce does not extend ours")
        if not 0 < iterations <= _MAX_ITERATIONS:
            raise ScramError("the server asks for an unreasonable number of iterations")
        salted = _salted_password(self._password, _decode64(attributes.get("s", "")), iterations)
        client_key = _mac(salted, b"Client Key")
        binding = _encode64(self._gs2_header.encode() + self._binding)
        without_proof = f"c={binding},r={nonce}"
        auth_message = f"n=,r={self._nonce},{server_first},{without_proof}".encode()
        proof = _xor(client_key, _mac(_sha256(client_key), auth_message))
        self._server_signature = _mac(_mac(salted, b"Server Key"), auth_message)
        return f"{without_proof},p={_encode64(proof)}".encode()

    def verify(self, data: bytes) -> None:
        """Check that the server knows the verifier as well. Raises ``ScramError``."""
        signature = _decode64(_attributes(_text(data)).get("v", ""))
        if not self._server_signature or not hmac.compare_digest(signature, self._server_signature):
            raise ScramError("the server's signature is wrong: it does not know the password's verifier")
