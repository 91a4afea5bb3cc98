"""Tries whether a target can be reached, and whether its credential can be had. It does not log in there."""

import asyncio
import contextlib
from typing import Final

from interlock.core.errors import AdministrationRefused
from interlock.core.settings import ConnectionSettings
from interlock.services.ports import CredentialVault

CONNECT_TIMEOUT_S: Final = 10.0


class ReachabilityProbe:
    """Implements ``services.state.TargetProbe`` with a TCP connection."""

    def __init__(self, vault: CredentialVault) -> None:
        self._vault = vault

    async def probe(self, connection: str, settings: ConnectionSettings) -> str:
        """A sentence on what was found. Raises AdministrationRefused, CredentialUnavailable, StateUnavailable."""
        await self._vault.reveal(connection)
        place = f"{settings.host}:{settings.port}"
        try:
            opening = asyncio.open_connection(settings.host, settings.port)
            _, writer = await asyncio.wait_for(opening, CONNECT_TIMEOUT_S)
        except TimeoutError:
            raise AdministrationRefused(f"{place} does not answer within {CONNECT_TIMEOUT_S:.0f} s") from None
        except OSError as error:
            raise AdministrationRefused(f"{place} cannot be reached: {error.strerror or error}") from None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return f"{place} can be reached, and the credential of {connection!r} is there. The login itself was not tried."
