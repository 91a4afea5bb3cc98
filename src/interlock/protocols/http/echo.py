"""Takes out of answers what the target was shown: servers repeat requests in debug pages, errors and redirects.

A credential is found as it was sent. It is replaced by asterisks, as many as it had bytes, so that lengths stay true.
The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

from typing import Final
from urllib.parse import quote

from interlock.protocols.base import CredentialRevealed

MIN_BYTES: Final = 8
"""What is shorter is found where nobody repeats it."""


def repeatable(credential: CredentialRevealed) -> tuple[bytes, ...]:
    """What of a credential a target could repeat: values of fields without their scheme, parameters in both forms."""
    found = [value.partition(b" ")[2] or value for _, value in credential.headers]
    for _, value in credential.query:
        found += [value.encode(), quote(value, safe="").encode("ascii")]
    return tuple(sorted({secret for secret in found if len(secret) >= MIN_BYTES}, key=len, reverse=True))


class EchoGuard:
    """One answer. What could be the beginning of a credential is held until more comes; ``finish`` gives it."""

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._secrets: Final = secrets
        self._held = b""

    def hide(self, data: bytes) -> bytes:
        """Bytes without the credential."""
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, b"*" * len(secret))
        return data

    def feed(self, data: bytes) -> bytes:
        """What may go on of a body."""
        data = self.hide(self._held + data if self._held else data)
        end = len(data) - self._beginning(data)
        self._held = data[end:]
        return data[:end]

    def finish(self) -> bytes:
        """What was held."""
        held, self._held = self._held, b""
        return held

    def _beginning(self, data: bytes) -> int:
        """How many bytes at the end could be the beginning of a credential."""
        longest = 0
        for secret in self._secrets:
            at = data.find(secret[:1], max(0, len(data) - len(secret) + 1))
            while at >= 0:
                if secret.startswith(data[at:]):
                    longest = max(longest, len(data) - at)
                    break
                at = data.find(secret[:1], at + 1)
        return longest
