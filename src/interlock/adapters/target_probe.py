"""Tries whether a target can be reached, and whether its credential can be had. It logs in at SSH hosts alone."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from interlock.core.errors import AddressNotPermitted, AdministrationRefused
from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.services.ports import CredentialVault, HttpCredentials, TargetCredential

CONNECT_TIMEOUT_S: Final = 10.0


class ReachabilityProbe:
    """Implements ``services.state.TargetProbe`` with a TCP connection, to HTTP targets with TLS on it.

    How an SSH host is tried, it is given.
    """

    def __init__(
        self,
        vault: CredentialVault,
        http_credentials: HttpCredentials,
        tls_context: Callable[[ConnectionSettings, TargetCredential], ssl.SSLContext],
        addresses: Callable[[str, int], Awaitable[Sequence[str]]],
        probe_host: Callable[[str, ConnectionSettings], Awaitable[str]],
    ) -> None:
        """``addresses`` are those by which HTTP targets are dialled; it may raise ``AddressNotPermitted``."""
        self._vault = vault
        self._http_credentials = http_credentials
        self._tls_context = tls_context
        self._addresses = addresses
        self._probe_host = probe_host

    async def probe(self, connection: str, settings: ConnectionSettings) -> str:
        """A sentence on what was found.

        Raises AdministrationRefused, ConfigurationError, CredentialUnavailable, StateUnavailable.
        """
        if settings.protocol == "http":
            return await self._probe_http(connection, settings)
        if settings.protocol == "ssh":
            return await self._probe_host(connection, settings)
        await self._vault.reveal(connection)
        place = await self._reach(settings, settings.host, None)
        return f"{place} can be reached, and the credential of {connection!r} is there. The login itself was not tried."

    async def _probe_http(self, connection: str, settings: ConnectionSettings) -> str:
        credential = await self._vault.reveal(connection)
        await self._http_credentials.get(connection)
        got = "a token was got for it" if settings.http.oauth else f"what {connection!r} shows it is there"
        if not settings.host:
            return f"{connection!r} is for tunnels only: there is no target to reach."
        context = self._tls_context(settings, credential) if settings.tls is not TlsMode.DISABLE else None
        try:
            (address, *_) = await self._addresses(settings.host, settings.port)
        except AddressNotPermitted as error:
            raise AdministrationRefused(str(error)) from None
        except OSError as error:
            raise AdministrationRefused(f"{settings.host} cannot be looked up: {error.strerror or error}") from None
        place = await self._reach(settings, address, context)
        how = "without TLS" if context is None else "over TLS"
        return f"{place} can be reached {how}, and {got}. No request was made."

    async def _reach(self, settings: ConnectionSettings, address: str, context: ssl.SSLContext | None) -> str:
        place = f"{settings.host}:{settings.port}"
        name = settings.host if context is not None else None
        try:
            opening = asyncio.open_connection(address, settings.port, ssl=context, server_hostname=name)
            _, writer = await asyncio.wait_for(opening, CONNECT_TIMEOUT_S)
        except TimeoutError:
            raise AdministrationRefused(f"{place} does not answer within {CONNECT_TIMEOUT_S:.0f} s") from None
        except ssl.SSLCertVerificationError as error:
            raise AdministrationRefused(
                f"{place} shows a certificate that is not accepted: {error.verify_message}"
            ) from None
        except ssl.SSLError as error:
            raise AdministrationRefused(f"{place} does not do TLS as it should: {error.reason or 'error'}") from None
        except OSError as error:
            raise AdministrationRefused(f"{place} cannot be reached: {error.strerror or error}") from None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return place
