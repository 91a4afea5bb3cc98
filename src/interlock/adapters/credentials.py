"""The targets' credentials: sealed in the state store, or read from where the settings say, at each use.

Only ``reveal`` gives one out, for the dialler. ``repr`` shows nothing of it, and no error quotes it.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from interlock.adapters.sealing import Sealer
from interlock.adapters.store.connections import ConnectionTable, SealedCredentialTable
from interlock.core.errors import CredentialUnavailable
from interlock.core.settings import CredentialReference

MAX_CREDENTIAL_BYTES: Final = 65_536


class RevealedCredential(msgspec.Struct, frozen=True):
    """Implements ``services.ports.TargetCredential``."""

    user: str
    password: str | None
    certificate_pem: bytes | None
    private_key_pem: bytes | None

    def __repr__(self) -> str:
        return f"RevealedCredential(user={self.user!r})"


class Vault:
    """Implements ``services.ports.CredentialVault`` and ``services.state.CredentialKeeper``."""

    def __init__(self, connections: ConnectionTable, sealed: SealedCredentialTable, sealer: Sealer) -> None:
        self._connections = connections
        self._sealed = sealed
        self._sealer = sealer
        self.listeners: list[Callable[[str], None]] = []
        """Told the connection of every credential that was sealed."""

    async def reveal(self, connection: str) -> RevealedCredential:
        """The credential of a connection. Raises CredentialUnavailable, StateUnavailable."""
        settings = self._connections.find(connection)
        if settings is None:
            raise CredentialUnavailable(f"there is no connection {connection!r}")
        return RevealedCredential(
            user=settings.user,
            password=await self._password(connection, settings.credential),
            certificate_pem=await _read(settings.client_certificate),
            private_key_pem=await _read(settings.client_key),
        )

    async def seal(self, connection: str, password: str) -> None:
        """Keep a connection's password, encrypted. Raises StateUnavailable."""
        await self._sealed.save(connection, self._sealer.seal(password.encode(), _context(connection)))
        for listener in self.listeners:
            listener(connection)

    def has(self, connection: str) -> bool:
        """Whether a sealed credential is kept for the connection. Raises StateUnavailable."""
        return self._sealed.find(connection) is not None

    async def _password(self, connection: str, reference: CredentialReference | None) -> str | None:
        if reference is None:
            return None
        if reference.sealed:
            content = self._unseal(connection)
        elif reference.env is not None:
            content = os.environb.get(os.fsencode(reference.env), b"")
        else:
            content = (await _read(reference.file) or b"").removesuffix(b"\n").removesuffix(b"\r")
        return _decode(content, connection)

    def _unseal(self, connection: str) -> bytes:
        sealed = self._sealed.find(connection)
        if sealed is None:
            raise CredentialUnavailable(f"the credential of {connection!r} is not set: connections set-credential")
        return self._sealer.unseal(sealed, _context(connection))


def _decode(content: bytes, connection: str) -> str:
    """The password as text. The errors show nothing of it."""
    if not content or len(content) > MAX_CREDENTIAL_BYTES:
        raise CredentialUnavailable(f"the credential of {connection!r} is empty or too long where it should be")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CredentialUnavailable(f"the credential of {connection!r} is not UTF-8") from None


async def _read(file: str | None) -> bytes | None:
    """The content of a file (read in a thread: it may be on a network), None without a file."""
    if file is None:
        return None
    try:
        return await asyncio.to_thread(_read_bounded, Path(file))
    except OSError as error:
        raise CredentialUnavailable(f"{file}: cannot be read: {error.strerror}") from None


def _read_bounded(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_CREDENTIAL_BYTES + 1)


def _context(connection: str) -> bytes:
    return b"credential of connection " + connection.encode()
