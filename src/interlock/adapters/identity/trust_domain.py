"""A trust domain: its bundle, fetched or read from a file and kept, and what it vouches with now.

It stays in use for a while when it cannot be had; after that nobody gets in by it.
"""

import asyncio
from typing import Final

from cryptography import x509

from interlock.adapters.identity.bundle import Bundle, read_authorities, read_bundle
from interlock.adapters.identity.document_file import read_bounded, read_document
from interlock.adapters.identity.issuer import find_key, no_keys
from interlock.adapters.identity.issuer_client import FetchFailed, IssuerClient
from interlock.adapters.identity.kept import COOLDOWN_S, Kept
from interlock.adapters.identity.keys import PublishedKey
from interlock.core.settings import TrustDomainSettings
from interlock.services.ports import Clock

LONGEST_REFRESH_S: Final = 3600


class TrustDomain:
    """Implements ``verification.TokenSource`` for JWT-SVIDs, and has the authorities for certificates."""

    def __init__(self, settings: TrustDomainSettings, clock: Clock) -> None:
        self.settings = settings
        self._client = IssuerClient(settings)
        self._bundle: Kept[Bundle] = Kept(
            settings.label, clock, self._fetch, Bundle.same_as, self._refresh_s, settings.max_stale_s
        )

    @property
    def generation(self) -> int:
        return self._bundle.generation

    async def refresh_when_old(self) -> None:
        """See to it that the bundle may be used now. Raises LoginRefused when there is none that may."""
        if await self._bundle.current() is None:
            raise no_keys()

    async def find_key(self, key_id: str | None, algorithm: str) -> PublishedKey:
        """The key for a JWT-SVID. Raises LoginRefused."""
        return await find_key(self._bundle, lambda bundle: bundle.keys, key_id, algorithm)

    async def authorities(self, *, anew: bool = False) -> tuple[x509.Certificate, ...]:
        """Who signs certificates now; ``anew``, fetched again unless that was tried a moment ago.

        Raises LoginRefused when there is no bundle.
        """
        bundle = await (self._bundle.fetch_again() if anew else self._bundle.current())
        if bundle is None:
            raise no_keys()
        return bundle.authorities

    async def close(self) -> None:
        """Release the connections."""
        await self._client.close()

    def _refresh_s(self, bundle: Bundle) -> float:
        if self.settings.bundle_url is None:
            return COOLDOWN_S
        return max(COOLDOWN_S, min(self.settings.refresh_s or bundle.refresh_s, LONGEST_REFRESH_S))

    async def _fetch(self) -> Bundle:
        settings = self.settings
        place = settings.bundle_url or settings.bundle_file or settings.authorities_file or ""
        try:
            if settings.authorities_file is not None:
                return read_authorities(await asyncio.to_thread(read_bounded, settings.authorities_file))
            if settings.bundle_file is not None:
                return read_bundle(await read_document(settings.bundle_file))
            return read_bundle(await self._client.get(place))
        except ValueError as error:
            raise FetchFailed(f"{place}: {error}") from None
